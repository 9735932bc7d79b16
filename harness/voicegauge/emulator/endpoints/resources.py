"""What accounts make and keep: saved voices, embeddings, conversations, as `x-resource` says."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from voicegauge.contract import MISSING, Contract, Operation, parse_location
from voicegauge.contract.extension import ResourceSpec
from voicegauge.emulator.audio import default_at
from voicegauge.emulator.faults import Planted
from voicegauge.emulator.http import Call, Refusal, fill_hex, stamp
from voicegauge.emulator.responses import Reply, get, known, plain_draft, put, success_reply
from voicegauge.emulator.state import Account

KEPT_THINGS = 20_000
"""Older ones are forgotten, so that a long run does not grow without end."""


@dataclass
class Kept:
    """A thing that an account has made."""

    resource: ResourceSpec
    id: str
    account: Account
    body: Any
    """As the answer that made it, and as lists show it."""
    state: str | None
    deleted: bool = False
    said: list[str] = field(default_factory=list)
    """Of a conversation: what its user said, in order."""


class Role(NamedTuple):
    """What an operation does to the things of one kind."""

    does: Literal["make", "list", "delete", "set"]
    resource: ResourceSpec
    id: str = ""
    """The place of the id in its request."""
    state: str | None = None
    """What it sets."""


class Shelf:
    """The things of all accounts of one provider."""

    def __init__(self, contract: Contract, planted: Planted, *, quota: bool) -> None:
        """`quota` says whether an account may have no more things than the contract's list says."""
        self._contract, self._planted, self._quota = contract, planted, quota
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._made = 0
        self._roles = dict(_roles(contract))

    def plays(self, operation: Operation) -> bool:
        """Whether `operation` is answered here; a chat is not, though it makes a conversation."""
        return operation.id in self._roles and operation.chat is None

    def check_uses(self, call: Call, account: Account) -> list[Kept]:
        """What of the account's the request names by its id.

        Raises:
            Refusal: there is no such thing, or not in a state in which it may be used.
        """
        found = []
        for maker in self._contract.operations.values():
            for use in maker.uses_of(call.operation):
                given = call.read(use.id)
                if given is MISSING or given is None or maker.resource is None:
                    continue
                kept = self._find(maker.resource, given, account, call.operation, use.id)
                if use.states and kept.state not in use.states and not self._forgives("state", call.operation):
                    raise Refusal("invalid", _field(use.id), f"the {kept.resource.name} {kept.id} is {kept.state}")
                found.append(kept)
        return found

    def answer(self, call: Call, account: Account, now: float, rng: random.Random) -> Reply:
        """The answer to an operation that makes, lists, changes or deletes.

        Raises:
            Refusal: the thing is not there, or the account has as many as it may.
        """
        role = self._roles[call.operation.id]
        if role.does == "make":
            reply = success_reply(call.operation, "other", plain_draft)
            self.make(call, reply, account, now, rng)
            return reply
        if role.does == "list":
            return self._list(call, account, role.resource)
        kept = self._find(role.resource, call.read(role.id), account, call.operation, role.id)
        if role.does == "delete":
            kept.deleted = True
            return success_reply(call.operation, "other", plain_draft)
        kept.state = role.state
        return self._changed(call, kept)

    def make(self, call: Call, reply: Reply, account: Account, now: float, rng: random.Random) -> Kept:
        """A new thing, told of in `reply`: its id, its first state, and what the request says of it.

        Raises:
            Refusal: the account has as many as it may.
        """
        resource = call.operation.resource
        assert resource is not None
        self._made += 1
        state = next(iter(resource.states), None)
        kept = Kept(resource, fill_hex(resource.new_id, rng), account, reply.body, state)
        self._check_quota(kept)
        body = _echoed(call, reply)
        body = put(body, resource.id, kept.id)
        if resource.state is not None:
            body = put(body, resource.state, state)
        if isinstance(body.get("id"), int):  # beside the id that is asked for, such as a row's number
            body["id"] = self._made
        if isinstance(body.get("created_at"), str):
            body["created_at"] = stamp(now, body["created_at"])
        reply.body = kept.body = body
        self._kept[kept.id] = kept
        while len(self._kept) > KEPT_THINGS:
            self._kept.popitem(last=False)
        return kept

    def _check_quota(self, kept: Kept) -> None:
        listing = kept.resource.list
        if not self._quota or listing is None or listing.limit is None:
            return
        example = success_reply(self._contract.operation(listing.operation), "other", plain_draft)
        most = get(example.body, listing.limit)
        if isinstance(most, int) and len(list(self._of(kept.account, kept.resource))) >= most:
            raise Refusal("forbidden", None, f"the account has {most} already: a {kept.resource.name} is too many")

    def _of(self, account: Account, resource: ResourceSpec, *, deleted: bool = False) -> Iterator[Kept]:
        mine = (kept for kept in self._kept.values() if kept.account is account and kept.resource is resource)
        return (kept for kept in mine if deleted or not kept.deleted)

    def _find(self, resource: ResourceSpec, given: Any, account: Account, operation: Operation, place: str) -> Kept:
        kept = self._kept.get(str(given))
        if kept is not None and kept.resource is resource:
            own = kept.account is account or self._forgives("account", operation)
            there = not kept.deleted or self._forgives("deletion", operation)
            if own and there:
                return kept
        raise Refusal("not-found", _field(place), f"there is no {resource.name} {given!r:.80}")

    def _forgives(self, what: Literal["account", "deletion", "delisting", "state"], operation: Operation) -> bool:
        return self._planted.waives(what, operation)

    def _list(self, call: Call, account: Account, resource: ResourceSpec) -> Reply:
        reply = success_reply(call.operation, "other", plain_draft)
        shown = list(self._of(account, resource, deleted=self._forgives("delisting", call.operation)))
        name = parse_location(resource.id).tokens[-1]
        for key, items in reply.body.items() if isinstance(reply.body, dict) else ():
            if isinstance(items, list) and all(isinstance(item, dict) and name in item for item in items):
                reply.body[key] = [_with_state(kept) for kept in shown]
        assert resource.list is not None
        if resource.list.used is not None:
            reply.body = put(reply.body, resource.list.used, len(shown))
        return reply

    def _changed(self, call: Call, kept: Kept) -> Reply:
        reply = success_reply(call.operation, "other", plain_draft)
        resource = kept.resource
        for place, value in ((resource.id, kept.id), (resource.state, kept.state)):
            if place is not None and reply.is_json and known(reply.media, reply.body, place):
                reply.body = put(reply.body, place, value)
        for name, value in kept.body.items():
            if isinstance(reply.body, dict) and name in reply.body and name not in _names(resource):
                reply.body[name] = value
        return reply


def _names(resource: ResourceSpec) -> set[str]:
    return {parse_location(place).tokens[-1] for place in (resource.id, resource.state) if place is not None}


def _with_state(kept: Kept) -> Any:
    body = dict(kept.body)
    return put(body, kept.resource.state, kept.state) if kept.resource.state is not None else body


def _echoed(call: Call, reply: Reply) -> dict[str, Any]:
    """The example's answer, with each field that the request has under the same name as it was sent, or by default."""
    body = dict(reply.body)
    for name in body:
        value = call.read(f"body#/{name}")
        value = default_at(call, f"body#/{name}") if value is MISSING else value
        if isinstance(value, str | int | float):
            body[name] = value
    return body


def _field(place: str) -> str:
    parsed = parse_location(place)
    return parsed.tokens[0] if parsed.kind == "body" else parsed.key


def _roles(contract: Contract) -> Iterator[tuple[str, Role]]:
    for operation in contract.operations.values():
        resource = operation.resource
        if resource is None:
            continue
        yield operation.id, Role("make", resource)
        if resource.list is not None:
            yield resource.list.operation, Role("list", resource)
        if resource.delete is not None:
            yield resource.delete.operation, Role("delete", resource, resource.delete.id)
        for setting in resource.set:
            yield setting.operation, Role("set", resource, setting.id, setting.state)
