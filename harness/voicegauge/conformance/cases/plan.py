"""Plans a check: lists the cases that follow from contracts. Equal contracts give equal plans.

Cases that should be rejected come first, because they are free. They show whether a service accepts anything before
money is spent on it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence

import msgspec

from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases.audio_input import plan_audio_input_cases
from voicegauge.conformance.cases.bodies import plan_body_cases, plan_optional_field_cases, plan_text_cases
from voicegauge.conformance.cases.case import (
    CaseRelation,
    ConformanceCase,
    SkippedCase,
    expect_accepted,
    make_case,
    operation_name,
)
from voicegauge.conformance.cases.operations import mark_billable, plan_operation_cases
from voicegauge.conformance.cases.order import order_cases
from voicegauge.conformance.cases.pairwise import combination_cases
from voicegauge.conformance.cases.parameters import plan_parameter_cases
from voicegauge.conformance.cases.rejections import plan_authentication_cases, plan_rejection_reason_cases
from voicegauge.conformance.cases.related_deliveries import related_deliveries
from voicegauge.conformance.cases.uploads import plan_upload_cases
from voicegauge.conformance.cases.valid_requests import (
    DEFAULT_TEXT,
    text_characters,
    valid_speech_request,
    with_body_value,
)
from voicegauge.conformance.cases.webhooks import add_webhook_cases
from voicegauge.conformance.needed_operations import find_left_out_operations, find_partial_contracts
from voicegauge.contract import AudioInputTarget, BaseTarget, Target, is_billable
from voicegauge.emulator import SCENARIO_HEADER
from voicegauge.errors import UsageError
from voicegauge.model import Record, SpeechRequest

LARGE_UPLOAD_BYTES = 32 * 2**20
"""Size in bytes above which an upload is large: it takes long on most connections."""


BATCH_ITEMS = 3
"""Number of items in a planned batch: enough that some items have ended while others are still being processed."""


class CasePlan(Record, frozen=True, kw_only=True):
    """The cases of a check in the order of sending, and those that cannot be planned."""

    cases: tuple[ConformanceCase, ...]
    skipped: tuple[SkippedCase, ...] = ()
    max_calls: int | None = None
    """Maximum number of billable requests, including requests that should be rejected but are accepted; `None` for no
    limit."""
    targets_without_delivery: tuple[str, ...] = ()
    """Ids of the targets that the check cannot judge: no delivery can be planned, or all are beyond `max_calls`."""
    left_out_operations: tuple[str, ...] = ()
    """Operations that the targets do not need, to which nothing is sent: <provider>/<operation id>."""


def select_cases(plan: CasePlan, ids: Collection[str]) -> CasePlan:
    """Return `plan` with only the cases with these ids, and the deliveries with which they are compared.

    Raises:
        UsageError: the plan has no case with one of these ids.
    """
    cases = {case.id: case for case in plan.cases}
    for name in ids:
        if name not in cases:
            near = difflib.get_close_matches(name, cases, n=1, cutoff=0.4)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"the plan has no case {name!r}{hint} (--dry-run lists all cases)")
    relations = (cases[name].relation for name in ids)
    chosen = {*ids, *(relation.base for relation in relations if relation is not None)}
    return msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if case.id in chosen))


def plan_cases(
    targets: Sequence[BaseTarget],
    *,
    emulated: bool,
    all_billable: bool,
    text: str = DEFAULT_TEXT,
    max_calls: int | None = None,
    large_uploads: bool | None = None,
    webhooks: bool = False,
    whole_providers: Collection[str] | None = None,
) -> CasePlan:
    """Plan the cases of `targets`, and of the operations without targets that they need.

    No case addresses another target of an operation that several targets share.

    Args:
        targets: the targets to check.
        emulated: whether the emulator responds, which rejects a request for a given reason on demand.
        all_billable: whether billable valid requests are planned beyond one delivery per target.
        text: the text of requests whose text does not matter.
        max_calls: the maximum number of billable requests. The most informative ones are planned; by default all are.
        large_uploads: whether uploads of tens of megabytes are planned; by default only to the emulator.
        webhooks: whether requests with a webhook URL are planned.
        whole_providers: ids of the providers of which every operation is called; by default those whose speech targets
            are all among `targets`.
    """
    left_out = tuple(find_left_out_operations(targets, whole_providers))
    allows_large = emulated if large_uploads is None else large_uploads
    cases: dict[str, ConformanceCase] = {}
    skipped: dict[str, SkippedCase] = {}
    items = _all_cases(targets, text, left_out, emulated=emulated, all_billable=all_billable)
    partial = {contract.id for contract in find_partial_contracts(targets, whole_providers)}
    chosen = {(target.contract.id, target.name) for target in targets}
    if webhooks:
        items = add_webhook_cases(items, {target.contract.id: target.contract for target in targets})
    for item in items:
        if isinstance(item, SkippedCase):
            skipped.setdefault(item.id, item)
        elif item.provider in partial and item.target is not None and (item.provider, item.target) not in chosen:
            continue  # such as a documented request to another target of the operation
        elif not allows_large and item.padding is not None and item.padding.size_bytes > LARGE_UPLOAD_BYTES:
            continue
        elif all_billable or not item.is_billable or item.speech is not None or item.is_representative:
            cases.setdefault(item.id, item)
    ordered = tuple(order_cases(cases.values(), max_calls))
    delivering = {(case.provider, case.target) for case in ordered if case.speech is not None}
    return CasePlan(
        cases=ordered,
        skipped=tuple(skipped.values()),
        max_calls=max_calls,
        targets_without_delivery=tuple(
            target.id
            for target in targets
            if isinstance(target, Target) and (target.contract.id, target.name) not in delivering
        ),
        left_out_operations=left_out,
    )


def _all_cases(
    targets: Sequence[BaseTarget], text: str, left_out: Collection[str], *, emulated: bool, all_billable: bool
) -> Iterator[ConformanceCase | SkippedCase]:
    planned: set[tuple[str, str]] = set()
    speaking = [target for target in targets if isinstance(target, Target)]
    for target in speaking:
        is_first = (target.contract.id, target.operation.id) not in planned
        planned.add((target.contract.id, target.operation.id))
        try:
            yield from _target_cases(target, text, is_first=is_first, emulated=emulated, all_billable=all_billable)
        except (UsageError, OSError) as error:
            yield SkippedCase(id=target.id, reason=str(error))
    if all_billable:
        yield from _combination_cases(speaking, text)
    yield from _other_operations(targets, left_out, emulated=emulated, all_billable=all_billable)


def _other_operations(
    targets: Sequence[BaseTarget], left_out: Collection[str], *, emulated: bool, all_billable: bool
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield the cases of the operations without speech targets."""
    named = {target.operation: target for target in reversed(targets) if isinstance(target, AudioInputTarget)}
    for contract in {target.contract.id: target.contract for target in targets}.values():
        for operation in contract.operations.values():
            if operation.speech is not None or operation_name(operation) in left_out:
                continue
            target = named.get(operation)
            cases = plan_operation_cases(operation, target, emulated=emulated, include_billable=all_billable)
            if operation.audio_input is not None:
                yield from plan_audio_input_cases(operation, cases, target)
            elif is_billable(operation):
                yield from mark_billable(cases)
            else:
                yield from cases


def _target_cases(
    target: Target, text: str, *, is_first: bool, emulated: bool, all_billable: bool
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield the cases of a target; for the first target of an operation also the cases of the operation itself."""
    speech = valid_speech_request(target, text=text)
    request = map_speech_request(target, speech)
    operation = target.operation
    cases = list(plan_authentication_cases(operation, request, target)) if target.needs_key else []
    if is_first:
        cases += plan_body_cases(operation, request, target)
        cases += plan_optional_field_cases(target, request)
        cases += plan_text_cases(target, request)
        cases += plan_parameter_cases(operation, request, target)
        batch = _batch_case(target, request)
        cases += [batch] if batch is not None else []
        if emulated:
            cases = [*plan_rejection_reason_cases(operation, request, target, cases), *cases]
    yield from cases
    upload = target.speech.request.get("voice_sample_upload")
    if upload is not None and "voice_sample_upload" in target.spec.required_fields:
        # The ids of upload cases name the operation, so the plan keeps those of the first target with an upload.
        yield from plan_upload_cases(operation, request, upload.at.tokens[0], target.name, emulated=emulated)
    plain = _delivery_case(target, speech, "a full delivery")
    yield plain
    if all_billable:
        for name in target.spec.formats if "format" in target.speech.request else ():
            in_format = msgspec.structs.replace(speech, format=name)
            relation = CaseRelation(parameter="format", base=plain.id, base_value=speech.format, value=name)
            yield _delivery_case(target, in_format, f"a full delivery as {name}", relation=relation)
        for related in related_deliveries(target, speech):
            base = plain.id if related.compared_with is None else f"{plain.id} with {related.compared_with}"
            relation = CaseRelation(
                parameter=related.relation, base=base, base_value=related.base_value, value=related.value
            )
            description = f"a full delivery with {related.description}"
            yield _delivery_case(target, related.speech, description, relation=relation)
    if emulated:
        yield from _failing_deliveries(target, speech)


def _batch_case(target: Target, request: RequestParts) -> ConformanceCase | None:
    """Return the case of a batch that repeats the one item of `request`; `None` if the operation takes no batches."""
    operation = target.operation
    if operation.batch is None:
        return None
    items = operation.batch.items
    batch = with_body_value(request, items.tokens, [items.child("0").read_body(request.body)] * BATCH_ITEMS)
    return make_case(
        operation,
        expect_accepted(f"a batch of {BATCH_ITEMS}, polled to its end", f"{operation.pointer}/x-batch"),
        target=target.name,
        request=batch,
        text_characters=text_characters(operation, batch),
        is_lifecycle=True,
    )


def _combination_cases(targets: Sequence[Target], text: str) -> Iterator[ConformanceCase]:
    """Yield requests that combine the values of fields, and the targets, of each operation."""
    requests: dict[tuple[str, str], list[tuple[Target, RequestParts]]] = {}
    for target in targets:
        try:
            request = map_speech_request(target, valid_speech_request(target, text=text))
        except (UsageError, OSError):
            continue  # `_target_cases` reports the target as skipped
        requests.setdefault((target.contract.id, target.operation.id), []).append((target, request))
    for of_operation in requests.values():
        yield from combination_cases(of_operation)


def _delivery_case(
    target: Target,
    speech: SpeechRequest,
    description: str,
    *,
    expects_failure: bool = False,
    relation: CaseRelation | None = None,
) -> ConformanceCase:
    return make_case(
        target.operation,
        expect_accepted(description, target.pointer),
        target=target.name,
        name=target.id,
        speech=speech,
        expects_failure=expects_failure,
        relation=relation,
        text_characters=len(speech.text),
    )


def _failing_deliveries(target: Target, speech: SpeechRequest) -> Iterator[ConformanceCase]:
    """Yield one delivery for each documented failure, with which the emulator ends the delivery on demand."""
    job = target.job_operation.job if target.job_operation else None
    states = job.states if job else {}
    events = target.stream.events if target.stream else {}
    failures = [(name, f"a job that ends as {name}") for name, state in states.items() if state.end == "failure"]
    failures += [(name, f"a stream that ends in {name}") for name, event in events.items() if event.end == "failure"]
    for name, description in failures:
        extra = {**speech.extra, f"header.{SCENARIO_HEADER}": f"state:{name}"}
        yield _delivery_case(target, msgspec.structs.replace(speech, extra=extra), description, expects_failure=True)
