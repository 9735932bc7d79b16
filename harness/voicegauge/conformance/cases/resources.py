"""From its making to its deletion: what a provider keeps for an account is listed, used, put away and deleted.

The steps follow from `x-resource`; whoever runs them sends and judges.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from voicegauge.checks import Call, CaseOutcome, CheckSubject, ExpectedResponse, ResourceStep
from voicegauge.checks.rules import find_resource_item
from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases.case import ConformanceCase
from voicegauge.conformance.cases.pairwise import value_requests
from voicegauge.conformance.cases.parameters import other_operation_wire
from voicegauge.conformance.cases.valid_requests import TEXT, minimal_request, valid_speech_request, with_value
from voicegauge.contract import MISSING, Operation, Target
from voicegauge.contract.extension import ResourceSpec, ResourceUse
from voicegauge.errors import UsageError
from voicegauge.formats import Location
from voicegauge.model import Exchange

Caller = Literal["own", "other"]
"""The account that made a thing, or another one."""
Send = Callable[[Operation, RequestParts, Caller, str | None], Awaitable[Exchange]]
"""Sends a request of an account to a server; `None` for the operation's own."""


def life_case(operation: Operation, *, thorough: bool) -> ConformanceCase | None:
    """The case that follows what `operation` makes to its end; `None` where it makes nothing, or cannot be called.

    Args:
        operation: that makes it.
        thorough: as `ConformanceCase.thorough`.
    """
    resource, wire = operation.resource, minimal_request(operation)
    if resource is None or wire is None:
        return None
    description = f"a {resource.name} from its making to its end"
    at = f"{operation.pointer}/x-resource"
    return ConformanceCase(
        id=f"{operation.contract.id}/{operation.id}: {description}",
        provider=operation.contract.id,
        operation=operation.id,
        expected=ExpectedResponse(verdict="accepted", kind="valid", description=description, contract_pointer=at),
        wire=wire,
        is_lifecycle=True,
        thorough=thorough,
    )


def _with_id(wire: RequestParts, where: Location, thing: str) -> RequestParts:
    if where.kind == "body":
        return with_value(wire, where.tokens, thing)
    if where.kind == "header":
        return msgspec.structs.replace(wire, headers={**wire.headers, where.name: thing})
    values = wire.path if where.kind == "path" else wire.query
    return msgspec.structs.replace(wire, **{where.kind: {**values, where.name: thing}})


def using_wire(operation: Operation, use: ResourceUse, thing: str) -> RequestParts | None:
    """A request to `operation` that names `thing` instead of what it stands for; `None` where none can be made."""
    wire = _plain_wire(operation)
    if wire is None:
        return None
    for place in use.replaces:
        wire = with_value(wire, place.tokens, MISSING)
    return _with_id(wire, use.id, thing)


def _plain_wire(operation: Operation) -> RequestParts | None:
    target = _first_target(operation)
    return (
        other_operation_wire(operation)[0]
        if target is None
        else map_speech_request(target, valid_speech_request(target, text=TEXT))
    )


def _first_target(operation: Operation) -> Target | None:
    return next((target for target in operation.contract.targets.values() if target.operation is operation), None)


def _other_uses(operation: Operation, use: ResourceUse, thing: str) -> Iterator[tuple[str, RequestParts, bool]]:
    """More requests for speech that name `thing`, what they send in words, and whether they are surely valid.

    Each value of the other fields stands in one. Whether a thing may be named beside what it
    stands for no document says: the last one only shows that nothing fails.
    """
    target, wire, whole = _first_target(operation), using_wire(operation, use, thing), _plain_wire(operation)
    if target is None or wire is None or whole is None:
        return
    stood_for = {place.tokens[0] for place in (use.id, *use.replaces)}
    for description, request in value_requests((target, wire), stood_for):
        yield f"with {description}", request, True
    if use.replaces:
        description = " and ".join(place.pointer.removeprefix("/") for place in use.replaces)
        yield f"beside {description}", _with_id(whole, use.id, thing), False


@dataclass
class ResourceLifecycle:
    """One thing, from its making on."""

    maker: Operation
    send: Send
    others: bool
    """Whether another account can be had."""
    thorough: bool = False
    """As `ConformanceCase.thorough`."""
    became: str = "it was made"
    """What happened to it last, in words."""
    state: str | None = None
    deleted: bool = False
    thing: str = field(default="", init=False)

    @property
    def resource(self) -> ResourceSpec:
        """What the contract says of it."""
        assert self.maker.resource is not None, "a course follows what its maker describes"
        return self.maker.resource

    @property
    def _at(self) -> str:
        return f"{self.maker.pointer}/x-resource"

    async def subjects(self, wire: RequestParts) -> AsyncIterator[CheckSubject]:
        """Make the thing by `wire` and follow it to its end; ends early where the service does not play along."""
        made = Call(self.maker, await self.send(self.maker, wire, "own", None))
        yield made
        yield self._accepted(made, f"a {self.resource.name} is made")
        thing = made.read_response(self.resource.id)
        if not made.ok or not isinstance(thing, str):
            return
        self.thing, self.state = thing, next(iter(self.resource.states), None)
        yield self._life(made, "make", "made", self._at)
        for who in ("own", "other") if self.others else ("own",):
            async for subject in self._looked_at(who):
                yield subject
        for index, use in enumerate(self.resource.uses) if self.thorough else ():
            async for subject in self._used_otherwise(use, f"{self._at}/uses/{index}"):
                yield subject
        async for subject in self._through_states():
            yield subject
        if self.resource.delete is not None:
            call = await self._call(self.resource.delete.operation, self.resource.delete.id)
            yield call
            yield self._accepted(call, self._says_of(call))
            if not call.ok:
                return  # it is still there
            self.deleted, self.became = True, "it was deleted"
            async for subject in self._looked_at("own"):
                yield subject

    async def _through_states(self) -> AsyncIterator[CheckSubject]:
        for index, setting in enumerate(self.resource.transitions):
            at = f"{self._at}/transitions/{index}"
            call = await self._call(setting.operation, setting.id)
            yield call
            yield self._accepted(call, self._says_of(call), at)
            if not call.ok:
                return  # it is still in the state before
            self.state, self.became = setting.state, f"it was {setting.state}"
            yield self._life(call, "set", setting.operation, at)
            async for subject in self._looked_at("own"):
                yield subject

    async def _call(self, name: str, place: Location) -> Call:
        """Set or delete."""
        operation = self.maker.contract.operation(name)
        wire, _ = other_operation_wire(operation)
        if wire is None:
            raise UsageError(f"{name}: no value is known for a required parameter or field")
        return Call(operation, await self.send(operation, _with_id(wire, place, self.thing), "own", None))

    def _says_of(self, call: Call) -> str:
        return f"{call.operation.id} for the {self.resource.name}"

    async def _looked_at(self, who: Caller) -> AsyncIterator[CheckSubject]:
        """List it and use it."""
        foreign = who == "other"
        if self.resource.list is not None:
            operation = self.maker.contract.operation(self.resource.list.operation)
            wire, _ = other_operation_wire(operation)
            call = Call(operation, await self.send(operation, wire or RequestParts(), who, None))
            yield call
            yield self._accepted(call, f"{operation.id} after {self.became}")
            item = find_resource_item(call.response_json, self.resource, self.thing)
            yield self._life(call, "list", operation.id, f"{self._at}/list", item=item, foreign=foreign)
        for index, use in enumerate(self.resource.uses):
            async for subject in self._used(use, f"{self._at}/uses/{index}", who):
                yield subject

    async def _used(self, use: ResourceUse, at: str, who: Caller) -> AsyncIterator[CheckSubject]:
        operation = self.maker.contract.operation(use.operation)
        wire = using_wire(operation, use, self.thing)
        if wire is None:
            return
        withheld = bool(use.states) and self.state not in use.states
        refused = withheld or self.deleted or who == "other"
        exchange = await self.send(operation, wire, who, use.server)
        call = Call(operation, exchange, request_origin="invalid" if refused else "sent")
        yield call
        description = f"{operation.id} with the {self.resource.name} after {self.became}"
        # A refusal that should be is judged by the rules over lives; that nothing fails by those over outcomes.
        yield self._unsaid(call, description, at) if refused else self._accepted(call, description, at)
        yield self._life(call, "use", operation.id, at, withheld=withheld, foreign=who == "other")

    async def _used_otherwise(self, use: ResourceUse, at: str) -> AsyncIterator[CheckSubject]:
        operation = self.maker.contract.operation(use.operation)
        for said, wire, valid in _other_uses(operation, use, self.thing):
            call = Call(operation, await self.send(operation, wire, "own", use.server))
            yield call
            description = f"{operation.id} with the {self.resource.name} {said}"
            yield self._accepted(call, description, at) if valid else self._unsaid(call, description, at)

    def _accepted(self, call: Call, description: str, at: str | None = None) -> CaseOutcome:
        return CaseOutcome(
            call,
            ExpectedResponse(
                verdict="accepted", kind="valid", description=description, contract_pointer=at or self._at
            ),
        )

    def _unsaid(self, call: Call, description: str, at: str) -> CaseOutcome:
        return CaseOutcome(
            call, ExpectedResponse(verdict="either", kind="undocumented", description=description, contract_pointer=at)
        )

    def _life(
        self,
        call: Call,
        step: Literal["make", "list", "set", "use"],
        called: str,
        at: str,
        *,
        item: dict[str, object] | None = None,
        withheld: bool = False,
        foreign: bool = False,
    ) -> ResourceStep:
        whose = " by another account" if foreign else ""
        return ResourceStep(
            call=call,
            creator=self.maker,
            resource_id=self.thing,
            step=step,
            description=f"{called}{whose} after {self.became}",
            contract_pointer=at,
            state=self.state,
            item=item,
            withheld=withheld,
            deleted=self.deleted,
            foreign=foreign,
        )
