"""Rules over what a provider keeps from one call to the next: saved voices, embeddings, conversations, batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.rules.responses import excerpt
from voicegauge.checks.subjects import Call, ResourceStep
from voicegauge.contract import MISSING, Operation
from voicegauge.contract.extension import BatchSpec, ResourceSpec


def find_resource_item(answer: Any, resource: ResourceSpec, thing: str) -> dict[str, Any] | None:
    """The object of an answer that tells of the thing with this id, wherever it stands; `None` where none does."""
    name = resource.id.tokens[-1]
    waiting = [answer]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get(name) == thing:
                return value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return None


@rule(
    "resource-used-after-delete",
    on=ResourceStep,
    proves="What was deleted cannot be used any more.",
    basis="x-resource.delete, x-resource.uses",
)
def _used_after_delete(life: ResourceStep) -> Iterator[Violation]:
    if life.step == "use" and life.deleted and life.call.ok:
        yield Violation(
            f"{life.description}: answered {life.call.status}", life.contract_pointer, evidence=excerpt(life.call)
        )


@rule(
    "resource-listed-after-delete",
    on=ResourceStep,
    proves="What was deleted is not listed any more.",
    basis="x-resource.delete, x-resource.list",
)
def _listed_after_delete(life: ResourceStep) -> Iterator[Violation]:
    if life.step == "list" and life.deleted and life.call.ok and life.item is not None:
        yield Violation(
            f"{life.description}: {life.resource_id} is listed", life.contract_pointer, evidence=excerpt(life.call)
        )


@rule(
    "resource-not-listed",
    on=ResourceStep,
    proves="What an account has made is in its list.",
    basis="x-resource.list",
)
def _not_listed(life: ResourceStep) -> Iterator[Violation]:
    if life.step == "list" and not life.deleted and not life.foreign and life.call.ok and life.item is None:
        yield Violation(
            f"{life.description}: {life.resource_id} is not listed", life.contract_pointer, evidence=excerpt(life.call)
        )


@rule(
    "resource-state-ignored",
    on=ResourceStep,
    proves="What is in a state in which it may not be used is refused.",
    basis="x-resource.uses.*.states",
)
def _state_ignored(life: ResourceStep) -> Iterator[Violation]:
    if life.step == "use" and life.withheld and not life.deleted and not life.foreign and life.call.ok:
        yield Violation(
            f"{life.description}: answered {life.call.status}", life.contract_pointer, evidence=excerpt(life.call)
        )


@rule(
    "resource-state-wrong",
    on=ResourceStep,
    proves="A thing is told of in the state that it was brought into.",
    basis="x-resource.states, x-resource.transitions",
)
def _state_wrong(life: ResourceStep) -> Iterator[Violation]:
    if life.resource.state is None or life.deleted or life.foreign or not life.call.ok or life.step == "use":
        return
    name = life.resource.state.tokens[-1]
    told = (life.item or {}).get(name, MISSING) if life.step == "list" else life.call.read_response(life.resource.state)
    if told is not MISSING and told != life.state:
        yield Violation(
            f"{life.description}: {name} is {told!r:.80}, not {life.state!r}",
            life.contract_pointer,
            evidence=excerpt(life.call),
        )


@rule(
    "resource-of-another-account",
    on=ResourceStep,
    proves="What one account has made is neither shown to another one nor used by it.",
    basis="x-resource",
)
def _of_another_account(life: ResourceStep) -> Iterator[Violation]:
    if not life.foreign or not life.call.ok:
        return
    if life.step == "use" or life.item is not None:
        yield Violation(
            f"{life.description}: answered {life.call.status}", life.contract_pointer, evidence=excerpt(life.call)
        )


@rule(
    "resource-id-changed",
    on=ResourceStep,
    proves="What is used is told of by the id that it was made with.",
    basis="x-resource.id, x-resource.uses.*.id",
)
def _id_changed(life: ResourceStep) -> Iterator[Violation]:
    if (
        life.step != "use"
        or life.call.operation is not life.creator
        or not life.call.ok
        or life.foreign
        or life.deleted
    ):
        return
    told = life.call.read_response(life.resource.id)
    if told is not MISSING and told != life.resource_id:
        yield Violation(
            f"{life.description}: asked for {life.resource_id!r:.80}, told of {told!r:.80}", life.contract_pointer
        )


@rule(
    "batch-count-wrong",
    on=Call,
    proves="A batch has as many items as were asked for, and is over when all of them are.",
    basis="x-batch.total, x-batch.completed, x-batch.results",
)
def _batch_count_wrong(call: Call) -> Iterator[Violation]:
    submit = _batch_operation(call)
    if submit is None or submit.batch is None or not call.ok:
        return
    batch, at = submit.batch, f"{submit.pointer}/x-batch"
    total, completed = (call.read_response(place) for place in (batch.total, batch.completed))
    asked = call if call.operation is submit else call.submit
    items = asked.read_request(batch.items) if asked is not None else MISSING
    if isinstance(items, list) and total not in (MISSING, len(items)):
        yield Violation(f"total is {total!r:.40} for {len(items)} items", f"{at}/total")
    if isinstance(total, int) and isinstance(completed, int) and not 0 <= completed <= total:
        yield Violation(f"completed is {completed} of {total}", f"{at}/completed")
    yield from _at_the_end(call, batch, at, total, completed)


def _at_the_end(call: Call, batch: BatchSpec, at: str, total: Any, completed: Any) -> Iterator[Violation]:
    job = call.operation.job
    state = job.states.get(str(call.read_response(job.state))) if job is not None else None
    if state is None or state.end != "success":
        return
    if MISSING not in (total, completed) and completed != total:
        yield Violation(f"over with {completed!r:.40} of {total!r:.40} items", f"{at}/completed")
    results = batch.results.read_body(call.response_json)
    if isinstance(results, list) and total not in (MISSING, len(results)):
        yield Violation(f"over with {len(results)} results of {total!r:.40} items", f"{at}/results")


def _batch_operation(call: Call) -> Operation | None:
    """The operation whose batch a call submits or asks for."""
    for operation in call.contract.operations.values():
        status = operation.speech.response.job if operation.batch is not None and operation.speech else None
        if status is not None and (call.operation is operation or call.operation.id == status):
            return operation
    return None
