"""Sends the lifecycles of resources and batches.

The steps follow from `x-resource` in the contract. They are yielded as subjects of the checks, which the caller judges.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from voicegauge.cases.case import expect_acceptance, expect_undocumented_outcome
from voicegauge.cases.operation_cases import build_operation_request
from voicegauge.cases.pairwise import build_requests_with_each_value
from voicegauge.cases.plan import BATCH_ITEM_COUNT
from voicegauge.cases.valid_requests import DEFAULT_TEXT, build_valid_speech_request, set_body_value
from voicegauge.client.client import Client
from voicegauge.client.job_polling import find_id_parameter, group_parameters_by_location
from voicegauge.client.keys import remove_credentials
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.contract import Target
from voicegauge.contract.extension.jobs import ResourceSpec, ResourceUse
from voicegauge.contract.operation import Operation
from voicegauge.contract.price_computation import is_billable
from voicegauge.errors import TransportError, UsageError
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.exchange import Delivery, Exchange
from voicegauge.rules.call import Call, CaseOutcome, CheckSubject, ExpectedResponse
from voicegauge.rules.subjects import JobHistory, ResourceStep, ResourceStepKind

# Makes requests that take the id of a resource.


class ResourceUseVariant(NamedTuple):
    """A speech request with the id of a resource.

    Another field has another value than in the plain request, or the request also contains the fields that the id
    replaces.
    """

    description: str
    """What is special about the request, such as "with format mp3"."""
    request: RequestParts
    must_be_accepted: bool
    """Whether the documents say that the request is accepted. If they do not, the service may accept or reject it."""


def set_resource_id(request: RequestParts, location: Location, resource_id: str) -> RequestParts:
    """Return a copy of `request` with `resource_id`, the id of a resource, at `location`."""
    if location.message_part == "body":
        return set_body_value(request, location.pointer_tokens, resource_id)
    if location.message_part == "header":
        return msgspec.structs.replace(request, headers={**request.headers, location.name: resource_id})
    if location.message_part == "path":
        path_parameters = {**request.path_parameters, location.name: resource_id}
        return msgspec.structs.replace(request, path_parameters=path_parameters)
    query_parameters = {**request.query_parameters, location.name: resource_id}
    return msgspec.structs.replace(request, query_parameters=query_parameters)


def build_resource_use_request(
    operation: Operation, resource_use: ResourceUse, resource_id: str
) -> RequestParts | None:
    """Return a request that contains the id of a resource instead of the fields that the id replaces.

    Return `None` if no valid request is known.
    """
    request = _build_request_without_resource(operation)
    if request is None:
        return None
    for location in resource_use.replaced_locations:
        request = set_body_value(request, location.pointer_tokens, MISSING)
    return set_resource_id(request, resource_use.id_location, resource_id)


def build_resource_use_variants(
    operation: Operation, resource_use: ResourceUse, resource_id: str
) -> Iterator[ResourceUseVariant]:
    """Yield speech requests with the id of a resource, in which each value of the other fields occurs once.

    The last request contains the id and also the fields that the id replaces. It is not documented whether that is
    allowed, so this request only tests that there is no server error.
    """
    target, request = _find_first_target(operation), build_resource_use_request(operation, resource_use, resource_id)
    with_replaced_fields = _build_request_without_resource(operation)
    if target is None or request is None or with_replaced_fields is None:
        return
    unchanged = {
        location.pointer_tokens[0]
        for location in (resource_use.id_location, *resource_use.replaced_locations)
        if location.is_in_body
    }
    for description, variant in build_requests_with_each_value((target, request), unchanged):
        yield ResourceUseVariant(f"with {description}", variant, must_be_accepted=True)
    if resource_use.replaced_locations:
        fields = " and ".join("/".join(location.pointer_tokens) for location in resource_use.replaced_locations)
        variant = set_resource_id(with_replaced_fields, resource_use.id_location, resource_id)
        yield ResourceUseVariant(f"next to {fields}", variant, must_be_accepted=False)


def _build_request_without_resource(operation: Operation) -> RequestParts | None:
    """Return a plain valid request, in which the fields that a resource replaces have their usual values.

    The result is `None` if no value is known for a required parameter or field of an operation without speech.

    Raises:
        UsageError: no value is known for a required parameter or field of an operation that speaks.
    """
    target = _find_first_target(operation)
    if target is None:
        return build_operation_request(operation)[0]
    return map_speech_request(target, build_valid_speech_request(target, text=DEFAULT_TEXT))


def _find_first_target(operation: Operation) -> Target | None:
    return next((target for target in operation.contract.targets.values() if target.operation is operation), None)


# Follows a resource from its creation to its deletion: it is listed, used and brought into each state.


CallingAccount = Literal["own", "other"]
"""Which account sends a request: `own`, the one that created the resource, or `other`."""
SendStep = Callable[[Operation, RequestParts, CallingAccount, str | None], Awaitable[Exchange]]
"""A function that sends a request of a lifecycle and returns the exchange.

The third argument is the account that sends the request. The fourth is the name of the server; `None` means the
operation's own server.
"""


@dataclass
class ResourceLifecycle:
    """One resource, which is created and followed to its end."""

    creating_operation: Operation
    """The operation that creates the resource."""
    send_step: SendStep
    """The function that sends each request."""
    can_use_other_account: bool
    """Whether requests can be sent as another account."""
    varies_requests_that_use_resource: bool = False
    """Value of `ConformanceCase.varies_requests_that_use_resource`."""
    last_change_description: str = "it was created"
    """The last change of the resource in words, such as a new state. The descriptions of steps contain it."""
    resource_state: str | None = None
    """The state that the resource should be in; `None` before its creation, or if the contract documents no states."""
    is_deleted: bool = False
    """Whether the service has accepted the deletion of the resource."""
    resource_id: str = field(default="", init=False)
    """The id from the response to the creation; empty before."""

    @property
    def resource_spec(self) -> ResourceSpec:
        """The contract's description of the resource."""
        assert self.creating_operation.resource is not None, "only planned for operations with x-resource"
        return self.creating_operation.resource

    @property
    def _resource_spec_pointer(self) -> str:
        return f"{self.creating_operation.pointer}/x-resource"

    async def iterate_subjects(self, request: RequestParts) -> AsyncIterator[CheckSubject]:
        """Create the resource with `request`, use it, bring it into each state and delete it.

        Yield the subjects that the checks judge: for each request that is sent, the call, its expected and actual
        outcome, and in most cases the step in the life of the resource. Nothing is sent after a rejected creation, and
        no further state is set after one was rejected.
        """
        created = Call(self.creating_operation, await self.send_step(self.creating_operation, request, "own", None))
        yield created
        yield self._expect_accepted_outcome(created, f"a {self.resource_spec.display_name} is created")
        resource_id = created.read_response_value(self.resource_spec.id_location)
        if not created.is_accepted or not isinstance(resource_id, str):
            return  # without an id, nothing can be used or deleted; the tracker looks for the resource at the end
        self.resource_id, self.resource_state = resource_id, next(iter(self.resource_spec.states), None)
        yield self._build_step(created, "create", "created", self._resource_spec_pointer)
        for account in ("own", "other") if self.can_use_other_account else ("own",):
            async for subject in self._list_and_use_resource(account):
                yield subject
        for index, use in enumerate(self.resource_spec.uses) if self.varies_requests_that_use_resource else ():
            async for subject in self._vary_requests_that_use_resource(
                use, f"{self._resource_spec_pointer}/uses/{index}"
            ):
                yield subject
        async for subject in self._set_each_state():
            yield subject
        async for subject in self._delete_resource():
            yield subject

    async def _set_each_state(self) -> AsyncIterator[CheckSubject]:
        """Bring the resource into each documented state, and list and use it there."""
        for index, transition in enumerate(self.resource_spec.transitions):
            pointer = f"{self._resource_spec_pointer}/transitions/{index}"
            call = await self._call_operation_with_resource_id(transition.operation_id, transition.id_location)
            yield call
            description = f"{call.operation.id} for the {self.resource_spec.display_name}"
            yield self._expect_accepted_outcome(call, description, pointer)
            if not call.is_accepted:
                return  # the resource keeps its previous state, from which the later transitions are not documented
            self.resource_state, self.last_change_description = (
                transition.resulting_state,
                f"it was {transition.resulting_state}",
            )
            yield self._build_step(call, "set", transition.operation_id, pointer)
            async for subject in self._list_and_use_resource("own"):
                yield subject

    async def _delete_resource(self) -> AsyncIterator[CheckSubject]:
        """Delete the resource, and try to list and use it afterwards."""
        if self.resource_spec.deletion is None:
            return
        call = await self._call_operation_with_resource_id(
            self.resource_spec.deletion.operation_id, self.resource_spec.deletion.id_location
        )
        yield call
        yield self._expect_accepted_outcome(call, f"{call.operation.id} for the {self.resource_spec.display_name}")
        if not call.is_accepted:
            return  # the resource still exists, so it may still be listed and used
        self.is_deleted, self.last_change_description = True, "it was deleted"
        async for subject in self._list_and_use_resource("own"):
            yield subject

    async def _call_operation_with_resource_id(self, operation_id: str, location: Location) -> Call:
        """Call an operation that sets the state of the resource or deletes it. The resource id is sent at `location`.

        Raises:
            UsageError: no value is known for a required parameter or field.
        """
        operation = self.creating_operation.contract.find_operation(operation_id)
        request, _ = build_operation_request(operation)
        if request is None:
            raise UsageError(f"{operation_id}: no value is known for a required parameter or field")
        request = set_resource_id(request, location, self.resource_id)
        return Call(operation, await self.send_step(operation, request, "own", None))

    async def _list_and_use_resource(self, calling_account: CallingAccount) -> AsyncIterator[CheckSubject]:
        """List the resource, and use it in every documented way, as `calling_account`."""
        is_foreign = calling_account == "other"
        if self.resource_spec.listing is not None:
            operation = self.creating_operation.contract.find_operation(self.resource_spec.listing.operation_id)
            request, _ = build_operation_request(operation)
            call = Call(operation, await self.send_step(operation, request or RequestParts(), calling_account, None))
            yield call
            yield self._expect_accepted_outcome(call, f"{operation.id} after {self.last_change_description}")
            item = find_resource_item(call.response_json, self.resource_spec, self.resource_id)
            yield self._build_step(
                call,
                "list",
                operation.id,
                f"{self._resource_spec_pointer}/listing",
                listed_item=item,
                is_by_other_account=is_foreign,
            )
        for index, use in enumerate(self.resource_spec.uses):
            if self._must_use_wait_for_deletion(use):
                continue
            async for subject in self._use_resource(
                use, f"{self._resource_spec_pointer}/uses/{index}", calling_account
            ):
                yield subject

    def _must_use_wait_for_deletion(self, resource_use: ResourceUse) -> bool:
        """Whether this use must wait until the resource is deleted, when a correct service rejects it free of charge.

        This holds for a billable use in a plan with as few charged requests as possible.
        """
        operation = self.creating_operation.contract.find_operation(resource_use.operation_id)
        is_charged = any(operation.targets) or is_billable(operation)  # also if no document states the price
        return is_charged and not self.is_deleted and not self.varies_requests_that_use_resource

    async def _use_resource(
        self, resource_use: ResourceUse, contract_pointer: str, calling_account: CallingAccount
    ) -> AsyncIterator[CheckSubject]:
        """Use the resource in one way, also in a state or by an account in which the service must reject that."""
        operation = self.creating_operation.contract.find_operation(resource_use.operation_id)
        request = build_resource_use_request(operation, resource_use, self.resource_id)
        if request is None:
            return
        is_withheld = bool(resource_use.allowed_states) and self.resource_state not in resource_use.allowed_states
        is_rejected = is_withheld or self.is_deleted or calling_account == "other"
        exchange = await self.send_step(operation, request, calling_account, resource_use.server_name)
        call = Call(operation, exchange, request_intent="invalid" if is_rejected else "valid")
        yield call
        description = f"{operation.id} with the {self.resource_spec.display_name} after {self.last_change_description}"
        # The rules about resource steps judge whether the request was rejected as it should be. Here "either" is
        # expected, so that the rules about outcomes do not report that again, but still report a server error.
        yield (
            self._expect_either_outcome(call, description, contract_pointer)
            if is_rejected
            else self._expect_accepted_outcome(call, description, contract_pointer)
        )
        yield self._build_step(
            call,
            "use",
            operation.id,
            contract_pointer,
            is_use_forbidden=is_withheld,
            is_by_other_account=calling_account == "other",
        )

    async def _vary_requests_that_use_resource(
        self, resource_use: ResourceUse, contract_pointer: str
    ) -> AsyncIterator[CheckSubject]:
        """Use the resource in one way, with each value of the other fields once."""
        operation = self.creating_operation.contract.find_operation(resource_use.operation_id)
        for variant in build_resource_use_variants(operation, resource_use, self.resource_id):
            call = Call(operation, await self.send_step(operation, variant.request, "own", resource_use.server_name))
            yield call
            description = f"{operation.id} with the {self.resource_spec.display_name} {variant.description}"
            expect = self._expect_accepted_outcome if variant.must_be_accepted else self._expect_either_outcome
            yield expect(call, description, contract_pointer)

    def _expect_accepted_outcome(
        self, call: Call, description: str, contract_pointer: str | None = None
    ) -> CaseOutcome:
        """Return the outcome of a call that must be accepted.

        Args:
            call: the call.
            description: what the call does, in words.
            contract_pointer: JSON pointer to what the call tests; `None` for the `x-resource` as a whole.
        """
        return CaseOutcome(call, expect_acceptance(description, contract_pointer or self._resource_spec_pointer))

    def _expect_either_outcome(self, call: Call, description: str, contract_pointer: str) -> CaseOutcome:
        """Return the outcome of a call that may be accepted or rejected, so that only a server error is wrong."""
        return CaseOutcome(call, expect_undocumented_outcome(description, contract_pointer))

    def _build_step(
        self,
        call: Call,
        step_kind: ResourceStepKind,
        action_description: str,
        contract_pointer: str,
        *,
        listed_item: dict[str, object] | None = None,
        is_use_forbidden: bool = False,
        is_by_other_account: bool = False,
    ) -> ResourceStep:
        """Return the subject that the rules about resources judge after a call.

        Args:
            call: the call.
            step_kind: the kind of the step.
            action_description: the action of the call, for the description.
            contract_pointer: JSON pointer to the member of the contract, mostly in `x-resource`, that the call tests.
            listed_item: the resource as it is listed; `None` if it is not listed.
            is_use_forbidden: whether the resource is in a state in which it must not be used.
            is_by_other_account: whether another account called.
        """
        by_other = " by another account" if is_by_other_account else ""
        return ResourceStep(
            call=call,
            creating_operation=self.creating_operation,
            resource_id=self.resource_id,
            step_kind=step_kind,
            description=f"{action_description}{by_other} after {self.last_change_description}",
            contract_pointer=contract_pointer,
            expected_state=self.resource_state,
            listed_item=listed_item,
            is_use_forbidden=is_use_forbidden,
            is_resource_deleted=self.is_deleted,
            is_by_other_account=is_by_other_account,
        )


def find_resource_item(json_value: Any, resource_spec: ResourceSpec, resource_id: str) -> dict[str, Any] | None:
    """Return the JSON object, at any depth of `json_value`, that has the id of a resource; `None` if there is none."""
    name = resource_spec.id_location.pointer_tokens[-1]
    return next((one for one in iterate_json_objects(json_value) if one.get(name) == resource_id), None)


def iterate_json_objects(json_value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects at any depth of a JSON value.

    No document states where a list has its items: services wrap them in `data`, `results` or the name of the resource.
    """
    # Not recursive, because a hostile response may be nested deeper than Python can call.
    pending = [json_value]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            yield found
            pending += found.values()
        elif isinstance(found, list):
            pending += found


# Follows a job without audio, or a batch whose items are then polled as jobs, to its end.


POLL_COUNT_AFTER_END = 2
"""Number of polls after a job has ended. The second shows whether the final state changes once more."""


async def follow_batch(
    target: Target, request: RequestParts, send_step: SendStep, client: Client
) -> AsyncIterator[CheckSubject]:
    """Submit a batch, poll it to its end or timeout and a little beyond, then poll each of its items.

    Args:
        target: the target of the batch.
        request: the submit request.
        send_step: function that sends one request.
        client: has the clock for pauses, and the maximum time to wait.

    Yields:
        The subjects of the checks, as soon as each can be judged.
    """
    # The loader of contracts has checked that an operation with x-batch has a status operation.
    assert target.operation.batch is not None, "only planned for operations with x-batch"
    last_poll: Call | None = None
    async for subject in follow_job(target.operation, request, send_step, client, f"a batch of {BATCH_ITEM_COUNT}"):
        yield subject
        poll = subject.polls[-1] if isinstance(subject, JobHistory) and subject.polls else None
        job = poll.operation.job if poll is not None and poll.is_accepted else None
        state = job.find_state(poll.read_response_value) if job is not None and poll is not None else None
        if state is not None and state.terminal_outcome is not None:
            last_poll = poll
    items = last_poll.read_response_value(target.operation.batch.jobs_location) if last_poll is not None else None
    for item in items if isinstance(items, list) else ():
        async for item_subject in _follow_batch_item(target.operation, item, send_step):
            yield item_subject


async def follow_job(
    operation: Operation, request: RequestParts, send_step: SendStep, client: Client, description: str
) -> AsyncIterator[CheckSubject]:
    """Submit a job, and poll it to its end or timeout and a little beyond. No audio is downloaded.

    A state that the contract does not document ends the polling.

    Args:
        operation: the operation that starts the job.
        request: the submit request.
        send_step: function that sends one request.
        client: has the clock for pauses, and the maximum time to wait.
        description: the job in words, for outcomes.

    Yields:
        The subjects of the checks, as soon as each can be judged.
    """
    status = operation.started_job_operation
    assert status is not None, "the loader has checked that the status operation exists"
    assert status.job is not None, "a status operation has x-job"
    submit = Call(operation, await send_step(operation, request, "own", None))
    yield submit
    yield _expect_accepted_outcome(submit, description)
    polls: list[Call] = []
    ended, polls_left, is_documented = False, POLL_COUNT_AFTER_END, True
    limit_s = status.job.poll_schedule.job_timeout_s
    wait_s = limit_s if client.max_wait_s is None else min(limit_s, client.max_wait_s)
    started_s = client.clock.monotonic()
    while submit.is_accepted and polls_left and is_documented and client.clock.monotonic() - started_s < wait_s:
        await client.clock.sleep(status.job.poll_schedule.min_interval_s)
        polls_left -= ended  # only polls after the end are counted
        poll = await _poll_job(
            status, submit.read_response_value(status.job.submit_response.job_id_location), send_step, submit
        )
        polls.append(poll)
        yield poll
        if not poll.is_accepted:
            yield _expect_accepted_outcome(poll, f"{status.id} for {description} that was accepted")
            break
        state = status.job.find_state(poll.read_response_value)
        is_documented = state is not None or status.has_disputed_job_states
        ended = ended or (state is not None and state.terminal_outcome is not None)
    if submit.is_accepted:
        has_waited = client.clock.monotonic() - started_s >= limit_s
        timed_out = has_waited and bool(polls) and polls[-1].is_accepted and not ended
        yield JobHistory(submit, tuple(polls), status, is_timed_out=timed_out)


async def _follow_batch_item(
    operation: Operation, batch_item: object, send_step: SendStep
) -> AsyncIterator[CheckSubject]:
    """Poll one item of a batch, which is a job of the operation that takes single requests."""
    assert operation.batch is not None, "only planned for operations with x-batch"
    single = operation.contract.find_operation(operation.batch.item_operation_id)
    status_name = single.speech.response.status_operation_id if single.speech else None
    job_id = batch_item.get(operation.batch.job_id_field) if isinstance(batch_item, dict) else None
    if status_name is None or not isinstance(job_id, str):
        return
    poll = await _poll_job(operation.contract.find_operation(status_name), job_id, send_step, None)
    yield poll
    yield _expect_accepted_outcome(poll, f"{status_name} for an item of a batch")


async def _poll_job(status_operation: Operation, job_id: object, send_step: SendStep, submit_call: Call | None) -> Call:
    """Request the status of a job once; `submit_call` is `None` for an item of a batch, which no own submit started."""
    location = status_operation.job.submit_response.job_id_location if status_operation.job is not None else None
    name = find_id_parameter(submit_call.operation if submit_call is not None else None, status_operation, location)
    request = build_request_with_parameters(status_operation, {name: str(job_id)} if name is not None else {})
    return Call(status_operation, await send_step(status_operation, request, "own", None), submit_call=submit_call)


def build_request_with_parameters(operation: Operation, value_by_name: dict[str, object]) -> RequestParts:
    """Return a request without a body, with each parameter where the operation documents it: path, query or header."""
    placed = group_parameters_by_location(operation, value_by_name)
    return RequestParts(path_parameters=placed["path"], query_parameters=placed["query"], headers=placed["header"])


def _expect_accepted_outcome(call: Call, description: str) -> CaseOutcome:
    return CaseOutcome(call, expect_acceptance(description, call.operation.pointer))


# Polls a job after its end: the state must not change, and a poll without a key must be rejected.


MAX_POLL_DURATION_S = 10.0
"""Maximum duration, in seconds, of a poll after the end of its job. A service that responds slowly must not hold up the
check."""


async def poll_after_end(client: Client, target: Target, delivery: Delivery) -> list[Exchange]:
    """Poll a job again after its end, and return the exchanges; empty if no poll of the delivery saw the end."""
    status = target.job_operation
    polls = [exchange for exchange in delivery.exchanges if status and exchange.operation == status.id]
    if status is None or status.job is None or not polls or not _has_job_reached_end(target, delivery):
        return []
    repeated = []
    for _ in range(POLL_COUNT_AFTER_END):
        await client.clock.sleep(status.job.poll_schedule.min_interval_s)
        try:
            repeated.append(await client.send(polls[-1].request, status.id, max_total_s=MAX_POLL_DURATION_S))
        except TransportError:
            break  # the verdict on the delivery does not depend on these polls
    return repeated


def _has_job_reached_end(target: Target, delivery: Delivery) -> bool:
    """Whether the last state of the job that the client observed is a terminal state."""
    status = target.job_operation
    if status is None or status.job is None or delivery.job is None or not delivery.job.observations:
        return False
    state = status.job.states.get(delivery.job.observations[-1].state)
    return state is not None and state.terminal_outcome is not None


async def poll_without_key(client: Client, target: Target, poll_exchanges: Sequence[Exchange]) -> list[CaseOutcome]:
    """Send the last of the polls again without a key, and return its outcome, which must be a rejection.

    The poll is for an existing job, because a poll with an unknown id would be rejected in any case.

    The result is empty if a key is not required, or if there is no response.
    """
    status = target.job_operation
    if status is None or not status.needs_key or not poll_exchanges or client.key is None:
        return []
    request = remove_credentials(poll_exchanges[-1].request, status, client.key)
    try:
        exchange = await client.send(request, status.id, max_total_s=MAX_POLL_DURATION_S)
    except TransportError:
        return []  # the verdict on the delivery does not depend on this poll
    expected = ExpectedResponse(
        acceptance="rejected",
        case_kind="authentication",
        description=f"{status.id} of an existing job, without a key",
        contract_pointer=f"{status.pointer}/security" if "security" in status.part_data else "/security",
    )
    return [CaseOutcome(Call(status, exchange, target, request_intent="invalid"), expected)]
