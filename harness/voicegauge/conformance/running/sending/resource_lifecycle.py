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
from voicegauge.conformance.cases import build_operation_request, expect_acceptance, expect_undocumented_outcome
from voicegauge.conformance.running.sending.resource_requests import (
    build_resource_use_request,
    build_resource_use_variants,
    set_resource_id,
)
from voicegauge.contract import Location, Operation
from voicegauge.contract.extension import ResourceSpec, ResourceUse
from voicegauge.errors import UsageError
from voicegauge.model import Exchange

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
            return
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
        for index, transition in enumerate(self.resource_spec.transitions):
            pointer = f"{self._resource_spec_pointer}/transitions/{index}"
            call = await self._call_operation_with_resource_id(transition.operation_id, transition.id_location)
            yield call
            yield self._expect_accepted_outcome(call, self._describe_call(call), pointer)
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
        if self.resource_spec.deletion is None:
            return
        call = await self._call_operation_with_resource_id(
            self.resource_spec.deletion.operation_id, self.resource_spec.deletion.id_location
        )
        yield call
        yield self._expect_accepted_outcome(call, self._describe_call(call))
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

    def _describe_call(self, call: Call) -> str:
        return f"{call.operation.id} for the {self.resource_spec.display_name}"

    async def _list_and_use_resource(self, calling_account: CallingAccount) -> AsyncIterator[CheckSubject]:
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
                f"{self._resource_spec_pointer}/list",
                listed_item=item,
                is_by_other_account=is_foreign,
            )
        for index, use in enumerate(self.resource_spec.uses):
            async for subject in self._use_resource(
                use, f"{self._resource_spec_pointer}/uses/{index}", calling_account
            ):
                yield subject

    async def _use_resource(
        self, resource_use: ResourceUse, contract_pointer: str, calling_account: CallingAccount
    ) -> AsyncIterator[CheckSubject]:
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
        return CaseOutcome(call, expect_acceptance(description, contract_pointer or self._resource_spec_pointer))

    def _expect_either_outcome(self, call: Call, description: str, contract_pointer: str | None = None) -> CaseOutcome:
        return CaseOutcome(
            call, expect_undocumented_outcome(description, contract_pointer or self._resource_spec_pointer)
        )

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
            is_deleted=self.is_deleted,
            is_by_other_account=is_by_other_account,
        )
