"""Proposing a changed contract for what traffic shows: a patch that a person reviews."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import yaml

from voicegauge.contract import MISSING
from voicegauge.drift.report import DriftChange, DriftReport
from voicegauge.drift.traffic import USUAL_HEADERS
from voicegauge.drift.traffic.reading import ANY, ObservedExchange, RecordedTraffic, json_type_of
from voicegauge.drift.yaml_patch import NotAddedError, YamlEditor
from voicegauge.errors import UsageError
from voicegauge.formats import is_json, read_pointer, unescape

_STATED = {
    "observed-status-undocumented",
    "observed-media-type-undocumented",
    "observed-header-undocumented",
    "observed-field-undocumented",
    "observed-value-undocumented",
}
_MAX_DEPTH = 8
_MAX_PROPERTIES = 60
"""Of an object whose schema is inferred: more are keys of a map."""


class ContractPatch:
    """The additions to one contract."""

    def __init__(self, traffic: RecordedTraffic) -> None:
        """Values, types and shapes are read from `traffic`."""
        self._contract = traffic.contract
        self._traffic = traffic
        document = self._contract.document
        self._text = document.path.read_text("utf-8")
        try:
            self._editor = YamlEditor(self._text, json_only=document.path.suffix == ".json")
        except yaml.YAMLError as error:
            raise UsageError(
                f"{document.path}: can be read, but not be edited: a tab or a tag is in the way"
            ) from error
        self._source = _source_name(traffic)
        self._headers: dict[str, dict[str, Any]] = {}
        """Of responses that document none, by the response's pointer."""
        self.unpatched_changes: list[DriftChange] = []
        """Changes that no addition can state: a person decides."""

    def add_change(self, change: DriftChange) -> None:
        """Add what `change` asks for, or keep it among those that are left."""
        seen = self._seen(change)
        if change.rule not in _STATED or seen is None or seen.operation is None:
            self.unpatched_changes.append(change)
            return
        try:
            added = self._add(change, seen)
        except NotAddedError:
            added = False
        if not added:
            self.unpatched_changes.append(change)

    def unified_diff(self) -> str:
        """A unified diff of the contract, for `patch -p0`; empty where there is nothing to add."""
        for pointer, headers in self._headers.items():
            self._editor.add_key(pointer, "headers", headers)
        self._headers.clear()
        self._name_source()
        path = str(self._contract.document.path)
        lines = difflib.unified_diff(
            self._text.splitlines(keepends=True), self._editor.result().splitlines(keepends=True), path, path
        )
        return "".join(lines)

    def _seen(self, change: DriftChange) -> ObservedExchange | None:
        if change.new_position is None:
            return None
        number = re.match(r"/log/entries/(\d+)", change.new_position.pointer)
        for seen in self._traffic.seen:
            if number is not None and seen.number == int(number[1]) and seen.file == change.new_position.file:
                return seen
        return None

    def _add(self, change: DriftChange, seen: ObservedExchange) -> bool:
        assert change.old_position is not None
        pointer = change.old_position.pointer
        if change.rule == "observed-status-undocumented":
            self._editor.add_key(pointer, str(seen.status), self._response(seen))
            return True
        if change.rule == "observed-media-type-undocumented":
            self._editor.add_key(pointer, seen.exchange.response.media_type, self._media(seen))
            return True
        if change.rule == "observed-header-undocumented":
            return self._add_header(change, seen, pointer)
        value = self._value(change, seen)
        if value is MISSING:
            return False
        if change.rule == "observed-value-undocumented":
            return self._add_value(pointer, value)
        name = unescape(change.location.rpartition("/")[2])
        self._editor.add_key(f"{pointer}/properties", name, {**infer_schema([value]), "x-source": self._origin()})
        return True

    def _add_header(self, change: DriftChange, seen: ObservedExchange, pointer: str) -> bool:
        name = change.location.partition("header.")[2]
        stated = self._header(seen.exchange.response.header(name) or "")
        if self._editor.has(f"{pointer}/headers"):
            self._editor.add_key(f"{pointer}/headers", name, stated)
        else:
            self._headers.setdefault(pointer, {}).setdefault(name, stated)
        return True

    def _header(self, text: str) -> dict[str, Any]:
        return {"schema": {"type": "integer" if text.isdecimal() else "string"}, "x-source": self._origin()}

    def _add_value(self, pointer: str, value: Any) -> bool:
        """`pointer` leads to the broken keyword."""
        schema, _, keyword = pointer.rpartition("/")
        if keyword != "enum":
            return False
        self._editor.add_item(pointer, value)
        self._editor.add_key(schema, "x-source", {**self._origin(), "says": f"{value!r} was seen in traffic"})
        return True

    def _value(self, change: DriftChange, seen: ObservedExchange) -> Any:
        assert change.new_position is not None
        tokens = [unescape(token) for token in change.new_position.pointer.partition("#")[2].split("/")[1:]]
        found = read_pointer(seen.value, tokens)
        if found is not MISSING:
            return found
        held = _at(seen.value, tokens)
        return held[0] if held else MISSING

    def _response(self, seen: ObservedExchange) -> dict[str, Any]:
        stated: dict[str, Any] = {
            "description": "Seen in traffic; no document describes it",
            "x-source": self._origin(),
        }
        headers = {
            name: self._header(text)
            for name, text in seen.exchange.response.headers
            if name.lower() not in USUAL_HEADERS | {limit.lower() for limit in self._contract.limits.headers.values()}
        }
        if headers:
            stated["headers"] = headers
        if seen.exchange.response.body and seen.exchange.response.media_type:
            stated["content"] = {seen.exchange.response.media_type: self._media(seen)}
        return stated

    def _media(self, seen: ObservedExchange) -> dict[str, Any]:
        if is_json(seen.exchange.response.media_type) and seen.value is not MISSING:
            return {"schema": infer_schema([seen.value])}
        return {}

    def _origin(self) -> dict[str, Any]:
        return {"document": self._source, "inferred": True}

    def _name_source(self) -> None:
        """What the additions cite must be among the contract's sources."""
        if self._editor.result() != self._text:
            date = (self._traffic.side.version or "1970-01-01")[:10]
            title = f"Recorded traffic ({self._traffic.side.title})"
            self._editor.add_key("/x-provider/sources", self._source, {"title": title, "date": date})


def make_contract_patch(traffic: RecordedTraffic, report: DriftReport) -> ContractPatch:
    """Additions to the contract that make what `traffic` shows documented.

    Fields are added with the type they had, values to their enumerations, statuses, headers
    and media types with the shape they had; each says that it is inferred, and from which
    recording. What a document states is never taken back: a missing field, another type,
    a value out of bounds are left to a person.

    Args:
        traffic: what was seen.
        report: its comparison with the contract.
    """
    proposal = ContractPatch(traffic)
    for change in report.changes:
        if change.rule.startswith("observed-") and change.rule != "observed-disputed-reading":
            proposal.add_change(change)
    return proposal


def _source_name(traffic: RecordedTraffic) -> str:
    return f"recording {traffic.side.file.rpartition('/')[2]}"


def _at(value: Any, tokens: Sequence[str]) -> list[Any]:
    """Every value at a path with `*` for indices."""
    held = [value]
    for token in tokens:
        if token == ANY:
            held = [part for whole in held if isinstance(whole, list) for part in whole]
        else:
            held = [whole[token] for whole in held if isinstance(whole, dict) and token in whole]
    return held


def infer_schema(values: Sequence[Any], depth: int = 0) -> dict[str, Any]:
    """The JSON Schema of the shape that `values` have: types and properties, nothing that one sample cannot tell."""
    kinds = sorted({_schema_type(value) for value in values})
    if not kinds or depth > _MAX_DEPTH:
        return {}
    if set(kinds) == {"integer", "number"}:
        kinds = ["number"]
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    mappings = [value for value in values if isinstance(value, dict)]
    names = dict.fromkeys(name for mapping in mappings for name in mapping)
    if names and len(names) <= _MAX_PROPERTIES:
        held = {name: [mapping[name] for mapping in mappings if name in mapping] for name in names}
        schema["properties"] = {name: infer_schema(inside, depth + 1) for name, inside in held.items()}
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        schema["items"] = infer_schema(items, depth + 1)
    return schema


def _schema_type(value: Any) -> str:
    return "integer" if isinstance(value, int) and not isinstance(value, bool) else json_type_of(value)
