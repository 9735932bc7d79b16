"""Lowers or raises the level of each change, depending on what one client sends and reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from voicegauge.drift.client_uses.client_uses import ClientUses, OperationUse
from voicegauge.drift.report import DriftChange
from voicegauge.drift.rule_registry import DriftLevel
from voicegauge.formats import Location, unescape_pointer_token

_OPTIONAL_MEDIA_TYPE_REGEX = r"(?: \([^)]*\))?"
_BODY_LOCATION_PATTERN = re.compile(
    rf"(?:(?P<request>request)|(?:[1-5][0-9X]{{2}}|DEFAULT)) body{_OPTIONAL_MEDIA_TYPE_REGEX}(?P<pointer>(?:/.*)?)"
)
_PARAMETER_OR_HEADER_PATTERN = re.compile(
    r"(?:(?P<status>[1-5][0-9X]{2}|DEFAULT) )?(?P<kind>query|header) (?P<name>[^/]+)(?P<pointer>(?:/.*)?)"
)
_REQUIRED_VALUE_RULE_PATTERN = re.compile(
    r"new-required-.*|.*-became-required(-with-default)?|request-parameter-default-value-.*|request-body-added-required"
)
"""Matches the ids of rules about values that the newer document requires in requests, such as a new required field. A
change under such a rule affects clients that do not send the value. Any other change affects clients that send or read
the changed value."""
_REMOVAL_RULE_PATTERN = re.compile(r"response-.*-property-removed|(required|optional)-response-header-removed")
"""Matches the ids of rules about values that responses no longer have."""


class _ChangedPart(NamedTuple):
    """The body, parameter, header or field that a change is about."""

    is_in_request: bool
    location: Location


class _EffectOnClient(NamedTuple):
    """Whether a change affects the client, and the reason as a phrase: "the client does not read it"."""

    affects_client: bool
    reason: str


def adjust_levels_for_client(changes: Iterable[DriftChange], client_uses: ClientUses) -> Iterator[DriftChange]:
    """Yield each change with the level that it has for one client.

    A change of something that the client does not use becomes compatible. A change that removes a value which the
    client reads becomes breaking. A change keeps its level if it is not known whether the client uses the changed part.
    """
    for change in changes:
        effect = _find_effect(change, client_uses)
        if effect is None or change.level is DriftLevel.COMPATIBLE:
            yield change
        else:
            level = change.level if effect.affects_client else DriftLevel.COMPATIBLE
            if effect.affects_client and _REMOVAL_RULE_PATTERN.fullmatch(change.rule):
                level = DriftLevel.BREAKING
            yield msgspec.structs.replace(
                change, level=level, client_use=effect.reason, message=f"{change.message} ({effect.reason})"
            )


def _find_effect(change: DriftChange, client_uses: ClientUses) -> _EffectOnClient | None:
    """Return the effect of a change on one client; `None` if it is not known, or if the change affects every client."""
    if change.operation is None:
        return None
    operation_use = client_uses.operation_use_by_name.get(change.operation)
    if operation_use is None:
        return _EffectOnClient(affects_client=False, reason="the client does not call this operation")
    part = _parse_changed_part(change.location)
    if part is None:
        return None
    if not part.is_in_request:
        return _find_effect_on_reader(operation_use, part.location) if operation_use.are_read_locations_known else None
    if _REQUIRED_VALUE_RULE_PATTERN.fullmatch(change.rule):
        return (
            _find_effect_of_required_value(operation_use, part.location)
            if operation_use.are_sent_values_known
            else None
        )
    effect = _find_effect_on_sender(operation_use, part.location)
    return effect if effect.affects_client or operation_use.are_sent_values_known else None


def _parse_changed_part(location: str) -> _ChangedPart | None:
    """Parse the location of a change, such as "request body/text" or "200 header Retry-After".

    Return `None` if it is not the location of a body, a query parameter or a header.
    """
    found = _BODY_LOCATION_PATTERN.fullmatch(location)
    if found:
        pointer_tokens = [unescape_pointer_token(token) for token in found["pointer"].split("/")[1:]]
        return _ChangedPart(bool(found["request"]), Location("body", pointer_tokens=pointer_tokens))
    found = _PARAMETER_OR_HEADER_PATTERN.fullmatch(location)
    if found is None:
        return None
    return _ChangedPart(not found["status"], Location("query" if found["kind"] == "query" else "header", found["name"]))


def _find_effect_on_reader(operation_use: OperationUse, location: Location) -> _EffectOnClient:
    found = operation_use.find_read_location(location)
    if found is None:
        return _EffectOnClient(affects_client=False, reason="the client does not read it")
    return _EffectOnClient(affects_client=True, reason=f"the client reads {found[0]}: {found[1]}")


def _find_effect_on_sender(operation_use: OperationUse, location: Location) -> _EffectOnClient:
    for request in operation_use.sent_values:
        found = request.find_overlapping_location(location)
        if found is not None:
            return _EffectOnClient(affects_client=True, reason=f"the client sends {found}: {request.source}")
    return _EffectOnClient(affects_client=False, reason="the client does not send it")


def _find_effect_of_required_value(operation_use: OperationUse, location: Location) -> _EffectOnClient:
    """Return how a client is affected by a value that requests must contain according to the newer document.

    The client is affected if one of its requests has the object that contains the value, but not the value itself.
    """
    around = Location("body", pointer_tokens=location.pointer_tokens[:-1]) if location.pointer_tokens else None
    for request in operation_use.sent_values:
        if around is not None and request.find_overlapping_location(around) is None:
            continue
        if request.find_overlapping_location(location) is None:
            return _EffectOnClient(affects_client=True, reason=f"the client does not send it: {request.source}")
    return _EffectOnClient(affects_client=False, reason="the client does not depend on it")
