"""Follows a resource from its creation to its deletion: it is listed, used and brought into each state.

The steps follow from `x-resource` in the contract. They are yielded as subjects of the checks, which the caller judges.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from voicegauge.checks import Call, CaseOutcome, CheckSubject, ResourceStep, ResourceStepKind
from voicegauge.checks.rules import find_resource_item
from voicegauge.client import RequestParts
from voicegauge.conformance.cases import expect_accepted, expect_undocumented, operation_request
from voicegauge.conformance.running.resource_requests import use_request, use_variants, with_resource_id
from voicegauge.contract import Location, Operation
from voicegauge.contract.extension import ResourceSpec, ResourceUse
from voicegauge.errors import UsageError
from voicegauge.model import Exchange

CallingAccount = Literal["own", "other"]
"""`own` for the account that created the resource, or `other` for another account."""
SendStep = Callable[[Operation, RequestParts, CallingAccount, str | None], Awaitable[Exchange]]
"""Sends a request and returns the exchange. The last two arguments are the account that sends the request, and the name
of the server, or `None` for the operation's own server."""


@dataclass
class ResourceLifecycle:
    """One resource, which is created and followed to its end."""

    creator: Operation
    """The operation that creates the resource."""
    send: SendStep
    has_other_account: bool
    """Whether requests can be sent as another account."""
    vary_other_fields: bool = False
    """Value of `ConformanceCase.vary_other_fields`."""
    last_change: str = "it was created"
    """The last thing that happened to the resource, for use in descriptions."""
    state: str | None = None
    is_deleted: bool = False
    resource_id: str = field(default="", init=False)

    @property
    def resource(self) -> ResourceSpec:
        """The contract's description of the resource."""
        assert self.creator.resource is not None, "only planned for operations with x-resource"
        return self.creator.resource

    @property
    def _pointer(self) -> str:
        return f"{self.creator.pointer}/x-resource"

    async def subjects(self, request: RequestParts) -> AsyncIterator[CheckSubject]:
        """Create the resource with `request` and follow it to its end, or to the first step that is rejected."""
        created = Call(self.creator, await self.send(self.creator, request, "own", None))
        yield created
        yield self._expect_accepted_outcome(created, f"a {self.resource.name} is created")
        resource_id = created.read_response(self.resource.id)
        if not created.ok or not isinstance(resource_id, str):
            return
        self.resource_id, self.state = resource_id, next(iter(self.resource.states), None)
        yield self._make_step(created, "create", "created", self._pointer)
        for account in ("own", "other") if self.has_other_account else ("own",):
            async for subject in self._list_and_use(account):
                yield subject
        for index, use in enumerate(self.resource.uses) if self.vary_other_fields else ():
            async for subject in self._use_variants(use, f"{self._pointer}/uses/{index}"):
                yield subject
        async for subject in self._set_states():
            yield subject
        async for subject in self._delete():
            yield subject

    async def _set_states(self) -> AsyncIterator[CheckSubject]:
        for index, transition in enumerate(self.resource.transitions):
            pointer = f"{self._pointer}/transitions/{index}"
            call = await self._call_with_id(transition.operation, transition.id)
            yield call
            yield self._expect_accepted_outcome(call, self._describe(call), pointer)
            if not call.ok:
                return  # the resource keeps its previous state, from which the later transitions are not documented
            self.state, self.last_change = transition.state, f"it was {transition.state}"
            yield self._make_step(call, "set", transition.operation, pointer)
            async for subject in self._list_and_use("own"):
                yield subject

    async def _delete(self) -> AsyncIterator[CheckSubject]:
        if self.resource.delete is None:
            return
        call = await self._call_with_id(self.resource.delete.operation, self.resource.delete.id)
        yield call
        yield self._expect_accepted_outcome(call, self._describe(call))
        if not call.ok:
            return  # the resource still exists, so it may still be listed and used
        self.is_deleted, self.last_change = True, "it was deleted"
        async for subject in self._list_and_use("own"):
            yield subject

    async def _call_with_id(self, name: str, location: Location) -> Call:
        """Call an operation that sets the state of the resource or deletes it."""
        operation = self.creator.contract.operation(name)
        request, _ = operation_request(operation)
        if request is None:
            raise UsageError(f"{name}: no value is known for a required parameter or field")
        request = with_resource_id(request, location, self.resource_id)
        return Call(operation, await self.send(operation, request, "own", None))

    def _describe(self, call: Call) -> str:
        return f"{call.operation.id} for the {self.resource.name}"

    async def _list_and_use(self, account: CallingAccount) -> AsyncIterator[CheckSubject]:
        is_foreign = account == "other"
        if self.resource.list is not None:
            operation = self.creator.contract.operation(self.resource.list.operation)
            request, _ = operation_request(operation)
            call = Call(operation, await self.send(operation, request or RequestParts(), account, None))
            yield call
            yield self._expect_accepted_outcome(call, f"{operation.id} after {self.last_change}")
            item = find_resource_item(call.response_json, self.resource, self.resource_id)
            yield self._make_step(call, "list", operation.id, f"{self._pointer}/list", item=item, is_foreign=is_foreign)
        for index, use in enumerate(self.resource.uses):
            async for subject in self._use_resource(use, f"{self._pointer}/uses/{index}", account):
                yield subject

    async def _use_resource(
        self, use: ResourceUse, pointer: str, account: CallingAccount
    ) -> AsyncIterator[CheckSubject]:
        operation = self.creator.contract.operation(use.operation)
        request = use_request(operation, use, self.resource_id)
        if request is None:
            return
        is_withheld = bool(use.states) and self.state not in use.states
        is_rejected = is_withheld or self.is_deleted or account == "other"
        exchange = await self.send(operation, request, account, use.server)
        call = Call(operation, exchange, request_origin="invalid" if is_rejected else "sent")
        yield call
        description = f"{operation.id} with the {self.resource.name} after {self.last_change}"
        # The rules about resource steps judge whether the request was rejected as it should be. Here "either" is
        # expected, so that the rules about outcomes do not report that again, but still report a server error.
        yield (
            self._expect_either_outcome(call, description, pointer)
            if is_rejected
            else self._expect_accepted_outcome(call, description, pointer)
        )
        yield self._make_step(
            call, "use", operation.id, pointer, is_withheld=is_withheld, is_foreign=account == "other"
        )

    async def _use_variants(self, use: ResourceUse, pointer: str) -> AsyncIterator[CheckSubject]:
        operation = self.creator.contract.operation(use.operation)
        for variant in use_variants(operation, use, self.resource_id):
            call = Call(operation, await self.send(operation, variant.request, "own", use.server))
            yield call
            description = f"{operation.id} with the {self.resource.name} {variant.description}"
            expect = self._expect_accepted_outcome if variant.is_valid else self._expect_either_outcome
            yield expect(call, description, pointer)

    def _expect_accepted_outcome(self, call: Call, description: str, pointer: str | None = None) -> CaseOutcome:
        return CaseOutcome(call, expect_accepted(description, pointer or self._pointer))

    def _expect_either_outcome(self, call: Call, description: str, pointer: str | None = None) -> CaseOutcome:
        return CaseOutcome(call, expect_undocumented(description, pointer or self._pointer))

    def _make_step(
        self,
        call: Call,
        step: ResourceStepKind,
        action: str,
        pointer: str,
        *,
        item: dict[str, object] | None = None,
        is_withheld: bool = False,
        is_foreign: bool = False,
    ) -> ResourceStep:
        """Return the subject that the rules about resources judge after a call.

        Args:
            call: the call.
            step: the kind of the step.
            action: the action of the call, for the description.
            pointer: JSON pointer to the statement of the contract that the call tests.
            item: the resource as it is listed; `None` if it is not listed.
            is_withheld: whether the resource is in a state in which it must not be used.
            is_foreign: whether another account called.
        """
        return ResourceStep(
            call=call,
            creator=self.creator,
            resource_id=self.resource_id,
            step_kind=step,
            description=f"{action}{' by another account' if is_foreign else ''} after {self.last_change}",
            contract_pointer=pointer,
            expected_state=self.state,
            listed_item=item,
            is_use_forbidden=is_withheld,
            is_deleted=self.is_deleted,
            is_by_other_account=is_foreign,
        )
