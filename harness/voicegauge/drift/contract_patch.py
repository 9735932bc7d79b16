"""Proposes additions to a contract that document what recorded traffic shows, as a patch for a person to review."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import yaml

from voicegauge.contract import MISSING
from voicegauge.drift.inferred_schema import infer_schema
from voicegauge.drift.report import DriftChange, DriftReport
from voicegauge.drift.traffic import STANDARD_HEADERS
from voicegauge.drift.traffic.reading import ANY_INDEX, RecordedExchange, RecordedTraffic
from voicegauge.drift.yaml_patch import AdditionNotPossibleError, YamlEditor
from voicegauge.errors import UsageError
from voicegauge.formats import is_json, read_pointer, unescape_pointer_token

_PATCHABLE_RULES = {
    "observed-status-undocumented",
    "observed-media-type-undocumented",
    "observed-header-undocumented",
    "observed-field-undocumented",
    "observed-value-undocumented",
}
"""Ids of the rules whose changes can be documented by an addition to the contract."""
_EXCHANGE_POINTER = re.compile(r"/log/entries/(\d+)")


class ContractPatch:
    """Additions to one contract. Each is marked as inferred and names the recording as its source."""

    def __init__(self, traffic: RecordedTraffic) -> None:
        """Create a patch without additions.

        Args:
            traffic: the recordings from which values, types and schemas are taken.

        Raises:
            UsageError: the contract contains YAML that cannot be edited, or consists of several files.
        """
        self._contract = traffic.contract
        self._traffic = traffic
        document = self._contract.document
        if document.is_composed:
            raise UsageError(
                f"{document.path}: --propose changes a contract of one file; add to this overlay by hand what drift "
                "reports without --propose"
            )
        self._text = document.path.read_text("utf-8")
        try:
            self._editor = YamlEditor(self._text, json_only=document.path.suffix == ".json")
        except yaml.YAMLError as error:
            raise UsageError(
                f"{document.path}: cannot be edited: replace tabs by spaces and remove YAML tags"
            ) from error
        self._source_name = f"recording {traffic.compared_input.file.rpartition('/')[2]}"
        self._new_headers: dict[str, dict[str, Any]] = {}
        """New headers by the pointer of their response, for responses without `headers`. They become one addition."""
        self.unpatched_changes: list[DriftChange] = []
        """Changes that no addition can document. A person has to decide about them."""

    def add_change(self, change: DriftChange) -> None:
        """Add what documents `change` to the patch. If nothing can document it, add it to `unpatched_changes`."""
        recorded_exchange = self._find_exchange(change)
        if change.rule not in _PATCHABLE_RULES or recorded_exchange is None or recorded_exchange.operation is None:
            self.unpatched_changes.append(change)
            return
        try:
            is_added = self._add_documentation(change, recorded_exchange)
        except AdditionNotPossibleError:
            is_added = False
        if not is_added:
            self.unpatched_changes.append(change)

    def build_unified_diff(self) -> str:
        """Return the patch as a unified diff that `patch -p0` applies; empty if there are no additions."""
        for pointer, headers in self._new_headers.items():
            self._editor.add_key(pointer, "headers", headers)
        self._new_headers.clear()
        self._add_source()
        path = str(self._contract.document.path)
        lines = difflib.unified_diff(
            self._text.splitlines(keepends=True), self._editor.build_text().splitlines(keepends=True), path, path
        )
        return "".join(lines)

    def _find_exchange(self, change: DriftChange) -> RecordedExchange | None:
        if change.new_position is None:
            return None
        match = _EXCHANGE_POINTER.match(change.new_position.pointer)
        if match is None:
            return None
        key = (change.new_position.file, int(match[1]))
        return next((one for one in self._traffic.exchanges if (one.file, one.entry_index) == key), None)

    def _add_documentation(self, change: DriftChange, recorded_exchange: RecordedExchange) -> bool:
        """Add what documents a change. Return `False` if no addition can document it."""
        assert change.old_position is not None
        pointer = change.old_position.pointer
        if change.rule == "observed-status-undocumented":
            self._editor.add_key(pointer, str(recorded_exchange.status), self._build_response(recorded_exchange))
            return True
        if change.rule == "observed-media-type-undocumented":
            self._editor.add_key(
                pointer, recorded_exchange.exchange.response.media_type, self._build_media_type(recorded_exchange)
            )
            return True
        if change.rule == "observed-header-undocumented":
            self._add_header(change, recorded_exchange, pointer)
            return True
        value = _find_observed_value(change, recorded_exchange)
        if value is MISSING:
            return False
        if change.rule == "observed-value-undocumented":
            return self._add_enum_value(pointer, value)
        name = unescape_pointer_token(change.location.rpartition("/")[2])
        self._editor.add_key(
            f"{pointer}/properties", name, {**infer_schema([value]), "x-source": self._build_source_reference()}
        )
        return True

    def _add_header(self, change: DriftChange, recorded_exchange: RecordedExchange, pointer: str) -> None:
        name = change.location.partition("header.")[2]
        header = self._build_header(recorded_exchange.exchange.response.header(name) or "")
        if self._editor.has_value(f"{pointer}/headers"):
            self._editor.add_key(f"{pointer}/headers", name, header)
        else:
            self._new_headers.setdefault(pointer, {}).setdefault(name, header)

    def _build_header(self, header_value: str) -> dict[str, Any]:
        return {
            "schema": {"type": "integer" if header_value.isdecimal() else "string"},
            "x-source": self._build_source_reference(),
        }

    def _add_enum_value(self, pointer: str, value: Any) -> bool:
        """Add a value to the enum at `pointer`. Return `False` if `pointer` refers to another keyword than `enum`."""
        schema, _, keyword = pointer.rpartition("/")
        if keyword != "enum":
            return False
        self._editor.add_item(pointer, value)
        self._editor.add_key(
            schema, "x-source", {**self._build_source_reference(), "note": f"{value!r} was seen in traffic"}
        )
        return True

    def _build_response(self, recorded_exchange: RecordedExchange) -> dict[str, Any]:
        response = recorded_exchange.exchange.response
        documented: dict[str, Any] = {
            "description": "Seen in traffic; no document describes it",
            "x-source": self._build_source_reference(),
        }
        expected = STANDARD_HEADERS | {name.lower() for name in self._contract.limits.headers.values()}
        headers = {name: self._build_header(text) for name, text in response.headers if name.lower() not in expected}
        if headers:
            documented["headers"] = headers
        if response.body and response.media_type:
            documented["content"] = {response.media_type: self._build_media_type(recorded_exchange)}
        return documented

    def _build_media_type(self, recorded_exchange: RecordedExchange) -> dict[str, Any]:
        if is_json(recorded_exchange.exchange.response.media_type) and recorded_exchange.json_body is not MISSING:
            return {"schema": infer_schema([recorded_exchange.json_body])}
        return {}

    def _build_source_reference(self) -> dict[str, Any]:
        return {"document": self._source_name, "inferred": True}

    def _add_source(self) -> None:
        """Add the recording to the sources of the contract, because the additions refer to it."""
        if self._editor.build_text() != self._text:
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
    for change in report.changes:
        if change.rule.startswith("observed-") and change.rule != "observed-disputed-reading":
            patch.add_change(change)
    return patch


def _find_observed_value(change: DriftChange, recorded_exchange: RecordedExchange) -> Any:
    """Return the value of the response that a change is about. If there are several such values, return the first."""
    assert change.new_position is not None
    tokens = [unescape_pointer_token(token) for token in change.new_position.pointer.partition("#")[2].split("/")[1:]]
    value = read_pointer(recorded_exchange.json_body, tokens)
    if value is not MISSING:
        return value
    values = _list_values_at(recorded_exchange.json_body, tokens)
    return values[0] if values else MISSING


def _list_values_at(value: Any, path_tokens: Sequence[str]) -> list[Any]:
    """Return all values at a path in which `*` means any list index."""
    values = [value]
    for token in path_tokens:
        if token == ANY_INDEX:
            values = [entry for parent in values if isinstance(parent, list) for entry in parent]
        else:
            values = [parent[token] for parent in values if isinstance(parent, dict) and token in parent]
    return values
