"""Proposes additions to a contract that document what recorded traffic shows, as a patch for a person to review."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from voicegauge.contract.document_assembly import find_overlay_base
from voicegauge.contract.extension.provider import STATUS_CODES_BY_REASON
from voicegauge.drift._document_editing import AdditionNotPossibleError, OverlayEditor, YamlEditor
from voicegauge.drift._json_values import ANY_INDEX
from voicegauge.drift._recorded_traffic import (
    STANDARD_HEADERS,
    RecordedExchange,
    RecordedTraffic,
    is_infrastructure_header,
)
from voicegauge.drift.report import DriftChange, DriftReport
from voicegauge.errors import UsageError
from voicegauge.formats.bodies import is_json
from voicegauge.formats.json_text import infer_schema
from voicegauge.formats.located_yaml import unescape_pointer_token
from voicegauge.formats.locations import MISSING

# Collects the values that all recordings have at one location of a response, so that an addition fits all of them.


def list_exchanges_with_same_documented_response(
    traffic: RecordedTraffic, recorded_exchange: RecordedExchange
) -> list[RecordedExchange]:
    """Return the exchanges whose responses the contract describes in the same place as that of `recorded_exchange`.

    If the contract does not describe that response, return the exchanges of the same operation with the same status.
    """
    return [other for other in traffic.exchanges if _get_response_key(other) == _get_response_key(recorded_exchange)]


def _get_response_key(recorded_exchange: RecordedExchange) -> tuple[str, str | int]:
    spec = recorded_exchange.response_spec
    return recorded_exchange.operation_id, recorded_exchange.status if spec is None else spec.pointer


def list_json_bodies(exchanges: Sequence[RecordedExchange], media_type: str) -> list[Any]:
    """Return the parsed bodies of the responses with this media type."""
    return [
        one.json_body
        for one in exchanges
        if one.json_body is not MISSING and one.exchange.response.media_type == media_type
    ]


def list_header_values(exchanges: Sequence[RecordedExchange]) -> dict[str, list[str]]:
    """Return the values of all response headers by name, which is spelled as in the first response with the header."""
    name_by_key: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for one in exchanges:
        for name, text in one.exchange.response.headers:
            values.setdefault(name_by_key.setdefault(name.lower(), name), []).append(text)
    return values


def list_body_values(exchanges: Sequence[RecordedExchange], pointer_tokens: Sequence[str]) -> list[Any]:
    """Return the values at a path in the response bodies. In the path, `ANY_INDEX` stands for every index of a list."""
    return [value for one in exchanges for value in _iterate_values(one.json_body, pointer_tokens)]


def _iterate_values(value: Any, pointer_tokens: Sequence[str]) -> Iterator[Any]:
    if not pointer_tokens:
        yield value
    elif pointer_tokens[0] == ANY_INDEX and isinstance(value, list):
        for item in value:
            yield from _iterate_values(item, pointer_tokens[1:])
    elif isinstance(value, dict) and pointer_tokens[0] in value:
        yield from _iterate_values(value[pointer_tokens[0]], pointer_tokens[1:])
    elif isinstance(value, list) and pointer_tokens[0].isdecimal() and int(pointer_tokens[0]) < len(value):
        yield from _iterate_values(value[int(pointer_tokens[0])], pointer_tokens[1:])


# Proposes additions to a contract that document what recorded traffic shows, as a patch for a person to review.


_PATCHABLE_RULE_IDS = {
    "observed-status-undocumented",
    "observed-media-type-undocumented",
    "observed-header-undocumented",
    "observed-field-undocumented",
    "observed-value-undocumented",
}
"""Ids of the rules whose changes an addition to the contract can document."""
_RULE_IDS_WITHOUT_ADDITION = {"observed-disputed-reading", "observed-infrastructure-headers"}
"""Ids of the rules about things that do not belong in a contract, so that their changes need no addition to it."""
_REJECTION_REASON_BY_STATUS = {codes[0]: reason for reason, codes in STATUS_CODES_BY_REASON.items()} | {422: "invalid"}
"""The rejection reason (`x-rejection-reason`) of a recorded error, by its HTTP status."""
_MAX_EXAMPLE_BYTES = 2_000
"""Maximum size of a recorded error that becomes an example."""
_HAR_ENTRY_POINTER_PATTERN = re.compile(r"/log/entries/(\d+)")
"""Matches the start of a JSON pointer into a HAR file: that of an entry. The group is the index of the entry."""


class ContractPatch:
    """Additions to one contract. Each is marked as inferred and names the recording as its source."""

    def __init__(self, traffic: RecordedTraffic) -> None:
        """Create a patch without additions.

        Args:
            traffic: the recordings from which values, types and schemas are taken.

        Raises:
            UsageError: the contract contains YAML that cannot be edited.
        """
        self._contract = traffic.contract
        self._traffic = traffic
        document = self._contract.document
        self._text = document.path.read_text("utf-8")
        base, json_only = find_overlay_base(document.path), document.path.suffix == ".json"
        try:
            self._editor: YamlEditor | OverlayEditor = (
                YamlEditor(self._text, writes_json=json_only)
                if base is None
                else OverlayEditor(self._text, document, base, writes_json=json_only)
            )
        except yaml.YAMLError as error:
            raise UsageError(
                f"{document.path}: cannot be edited: replace tabs by spaces and remove YAML tags"
            ) from error
        self._source_name = f"recording {traffic.compared_input.file.rpartition('/')[2]}"
        self._new_headers: dict[str, dict[str, Any]] = {}
        """New headers by the pointer of their response, for responses without `headers`. They become one addition."""
        self._values_by_field: dict[tuple[str, str], list[Any]] = {}
        """Values of undocumented fields, by the pointer of the object's schema and the name of the field."""
        self._has_additions = False
        self.unpatched_changes: list[DriftChange] = []
        """Changes that no addition can document. A person has to decide about them."""

    def document_change(self, change: DriftChange) -> None:
        """Add to the patch what makes the contract describe `change`.

        If no addition can document the change, append the change to `unpatched_changes`.
        """
        recorded_exchange = self._find_exchange(change)
        if change.rule not in _PATCHABLE_RULE_IDS or recorded_exchange is None or recorded_exchange.operation is None:
            self.unpatched_changes.append(change)
            return
        try:
            is_added = self._add_documentation(change, recorded_exchange)
            self._has_additions |= is_added
        except AdditionNotPossibleError:
            is_added = False
        if not is_added:
            self.unpatched_changes.append(change)

    def build_unified_diff(self) -> str:
        """Return the patch as a unified diff that `patch -p0` applies; empty if there are no additions."""
        for pointer, headers in self._new_headers.items():
            self._editor.add_key(pointer, "headers", headers)
        self._new_headers.clear()
        if self._has_additions:
            self._add_source()
        path = str(self._contract.document.path)
        lines = difflib.unified_diff(
            self._text.splitlines(keepends=True), self._editor.build_text().splitlines(keepends=True), path, path
        )
        return "".join(lines)

    def _find_exchange(self, change: DriftChange) -> RecordedExchange | None:
        if change.new_position is None:
            return None
        match = _HAR_ENTRY_POINTER_PATTERN.match(change.new_position.pointer)
        if match is None:
            return None
        key = (change.new_position.file, int(match[1]))
        return next((one for one in self._traffic.exchanges if (one.file, one.entry_index) == key), None)

    def _add_documentation(self, change: DriftChange, recorded_exchange: RecordedExchange) -> bool:
        """Add to the contract what documents a change. Return `False` if no addition can document it."""
        assert change.old_position is not None
        pointer, same = (
            change.old_position.pointer,
            list_exchanges_with_same_documented_response(self._traffic, recorded_exchange),
        )
        if change.rule == "observed-status-undocumented":
            self._editor.add_key(pointer, str(recorded_exchange.status), self._build_response(same))
            return True
        if change.rule == "observed-media-type-undocumented":
            media_type = recorded_exchange.exchange.response.media_type
            self._editor.add_key(pointer, media_type, _build_media_type_object(same, media_type))
            return True
        if change.rule == "observed-header-undocumented":
            self._add_header(change.location.partition("header.")[2], same, pointer)
            return True
        if change.rule == "observed-value-undocumented":
            return self._add_enum_value(change, recorded_exchange)
        pointer_tokens = [unescape_pointer_token(token) for token in change.location.partition("#")[2].split("/")[1:]]
        values = self._values_by_field.get((pointer, pointer_tokens[-1])) or list_body_values(same, pointer_tokens)
        if not values:
            return False
        schema = {**infer_schema(values), "x-source": self._build_source_reference()}
        self._editor.add_key(f"{pointer}/properties", pointer_tokens[-1], schema)
        return True

    def collect_undocumented_values(self, changes: Sequence[DriftChange]) -> None:
        """Remember the recorded values of each undocumented field, so that an addition documents all their types.

        The values come from all operations whose responses the contract describes in the same place.
        """
        for change in changes:
            recorded_exchange = self._find_exchange(change)
            if change.rule != "observed-field-undocumented" or recorded_exchange is None or change.old_position is None:
                continue
            pointer_tokens = [
                unescape_pointer_token(token) for token in change.location.partition("#")[2].split("/")[1:]
            ]
            values = list_body_values(
                list_exchanges_with_same_documented_response(self._traffic, recorded_exchange), pointer_tokens
            )
            self._values_by_field.setdefault((change.old_position.pointer, pointer_tokens[-1]), []).extend(values)

    def _add_header(self, header_name: str, exchanges: Sequence[RecordedExchange], response_pointer: str) -> None:
        values = {key.lower(): texts for key, texts in list_header_values(exchanges).items()}
        header = self._build_header(values[header_name.lower()])
        if self._editor.has_value(f"{response_pointer}/headers"):
            self._editor.add_key(f"{response_pointer}/headers", header_name, header)
        else:
            self._new_headers.setdefault(response_pointer, {}).setdefault(header_name, header)

    def _build_header(self, header_values: Sequence[str]) -> dict[str, Any]:
        is_number = all(text.isdecimal() for text in header_values)
        return {"schema": {"type": "integer" if is_number else "string"}, "x-source": self._build_source_reference()}

    def _add_enum_value(self, change: DriftChange, recorded_exchange: RecordedExchange) -> bool:
        """Add a value to an enum. Return `False` if the change is about another keyword than `enum`."""
        assert change.old_position is not None
        schema, _, keyword = change.old_position.pointer.rpartition("/")
        value = _find_observed_value(change, recorded_exchange)
        if keyword != "enum" or value is MISSING:
            return False
        self._editor.add_item(change.old_position.pointer, value)
        note = f"{value!r} was seen in traffic"
        self._editor.add_key(schema, "x-source", {**self._build_source_reference(), "note": note})
        return True

    def _build_response(self, exchanges: Sequence[RecordedExchange]) -> dict[str, Any]:
        documented: dict[str, Any] = {
            "description": "Seen in traffic; no document describes it",
            "x-source": self._build_source_reference(),
        }
        expected = STANDARD_HEADERS | {name.lower() for name in self._contract.limits.rate_limit_header_names.values()}
        headers = {
            name: self._build_header(values)
            for name, values in list_header_values(exchanges).items()
            if name.lower() not in expected and not is_infrastructure_header(name)
        }
        if headers:
            documented["headers"] = headers
        responses = [one.exchange.response for one in exchanges]
        media_types = dict.fromkeys(one.media_type for one in responses if one.body and one.media_type)
        if media_types:
            documented["content"] = {name: _build_media_type_object(exchanges, name) for name in media_types}
            self._add_error_example(documented["content"], exchanges)
        return documented

    def _add_error_example(self, response_content: dict[str, Any], exchanges: Sequence[RecordedExchange]) -> None:
        """Add the first recorded error whose status shows why the request was rejected, as an example to emulate."""
        for one in exchanges:
            response, reason = one.exchange.response, _REJECTION_REASON_BY_STATUS.get(one.status)
            if reason and one.json_body is not MISSING and len(response.body) <= _MAX_EXAMPLE_BYTES:
                example = {"x-rejection-reason": reason, "value": one.json_body}
                response_content[response.media_type]["examples"] = {"recorded": example}
                return

    def _build_source_reference(self) -> dict[str, Any]:
        return {"document_name": self._source_name, "is_inferred": True}

    def _add_source(self) -> None:
        """Add the recording to the sources that the contract lists, because the additions name it as their source."""
        compared = self._traffic.compared_input
        source = {"title": f"Recorded traffic ({compared.title})", "date": (compared.version or "1970-01-01")[:10]}
        self._editor.add_key("/x-provider/sources", self._source_name, source)


def build_contract_patch(traffic: RecordedTraffic, report: DriftReport) -> ContractPatch:
    """Propose additions that document what traffic shows.

    Fields are added with their observed type, and values are added to their enum. Statuses, headers and media types are
    added with a schema inferred from the recorded values. Nothing is removed or relaxed, because a missing field,
    another type or a value out of range may be a defect of the service rather than of the contract.

    Args:
        traffic: the recorded traffic.
        report: the report of comparing the traffic with its contract.
    """
    patch = ContractPatch(traffic)
    patch.collect_undocumented_values(report.changes)
    for change in report.changes:
        if change.rule.startswith("observed-") and change.rule not in _RULE_IDS_WITHOUT_ADDITION:
            patch.document_change(change)
    return patch


def _build_media_type_object(exchanges: Sequence[RecordedExchange], media_type: str) -> dict[str, Any]:
    bodies = list_json_bodies(exchanges, media_type)
    return {"schema": infer_schema(bodies)} if is_json(media_type) and bodies else {}


def _find_observed_value(change: DriftChange, recorded_exchange: RecordedExchange) -> Any:
    """Return the value in the response that a change is about; the first one if there are several."""
    assert change.new_position is not None
    pointer_tokens = [
        unescape_pointer_token(token) for token in change.new_position.pointer.partition("#")[2].split("/")[1:]
    ]
    values = list_body_values([recorded_exchange], pointer_tokens)
    return values[0] if values else MISSING
