"""Proposes additions to a contract that document what recorded traffic shows, as a patch for a person to review.

The patch keeps the comments, the order and the formatting of the document or overlay that it changes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from voicegauge.contract.document_assembly import find_overlay_base
from voicegauge.contract.extension.provider import STATUS_CODES_BY_REASON
from voicegauge.drift._json_values import ANY_INDEX
from voicegauge.drift._recorded_traffic import (
    STANDARD_HEADER_NAMES,
    RecordedExchange,
    RecordedTraffic,
    is_infrastructure_header,
)
from voicegauge.drift.drift_report import DriftChange, DriftReport
from voicegauge.errors import UsageError
from voicegauge.formats.bodies import infer_schema, is_json
from voicegauge.formats.located_yaml import (
    YAML_LOADER,
    Document,
    format_list_item,
    format_on_one_line,
    iterate_entry_lines,
    split_json_pointer,
)
from voicegauge.formats.locations import MISSING, read_json_pointer

# Adds keys and items to a YAML or JSON document without changing its comments, order and formatting.
#
# Only the new text is inserted, at offsets that the parser reports. Writing the whole document again with ruamel.yaml,
# which keeps comments, changes other lines too: with its best settings 123 of 12,625 lines of the contracts in this
# repository, and takes two seconds for the longest. A reviewer would have to tell those lines from the proposed ones.


_YAML_MERGE_TAG = "tag:yaml.org,2002:merge"
"""Tag of the YAML key `<<`, which adds the entries of another mapping."""


class TextInsertion(NamedTuple):
    """A piece of text to insert into the document."""

    offset: int
    """Index of the character in the document before which the text is inserted."""
    text: str
    nesting_depth: int
    """Number of mappings and lists around the mapping or list to which the text is added. Texts with the same offset
    are inserted in the order of this number, the largest first."""


class AdditionNotPossibleError(Exception):
    """Raised for an addition that is not possible, for example because there is no mapping or list at the pointer."""


class YamlEditor:
    """Collects additions to one document, and applies them."""

    def __init__(self, document_text: str, *, writes_json: bool = False) -> None:
        """Parse a document.

        Args:
            document_text: the text of the document, in YAML or JSON.
            writes_json: whether to write additions as JSON, with quotes and braces.

        Raises:
            yaml.YAMLError: the document is not valid YAML.
        """
        self._source, self._json_only = document_text, writes_json
        self._root: Any = yaml.compose(document_text, Loader=YAML_LOADER)
        self._insertions: list[TextInsertion] = []
        self._added: dict[int, set[str]] = {}
        """Additions by the `id` of the node, because one node has several pointers if YAML aliases refer to it."""

    def build_text(self) -> str:
        """Return the document with all additions."""
        end, pieces = 0, []
        for insertion in sorted(self._insertions, key=lambda insertion: (insertion.offset, -insertion.nesting_depth)):
            pieces += [self._source[end : insertion.offset], insertion.text]
            end = insertion.offset
        return "".join((*pieces, self._source[end:]))

    def has_value(self, pointer: str) -> bool:
        """Whether the document has a value at `pointer`. References are not followed."""
        try:
            self._find_node(pointer)
        except AdditionNotPossibleError:
            return False
        return True

    def add_key(self, pointer: str, key: str, value: Any) -> None:
        """Add `key: value` to the end of the mapping at `pointer`. Do nothing if the mapping already has the key.

        Raises:
            AdditionNotPossibleError: there is no mapping at `pointer`.
        """
        node = self._find_node(pointer)
        if not isinstance(node, yaml.MappingNode):
            raise AdditionNotPossibleError(f"{pointer} is not a mapping")
        if key in _map_values_by_key(node) or not self._register_addition(node, key):
            return
        if node.flow_style:
            self._insert_before_bracket(node, self._format_on_one_line({key: value})[1:-1], pointer.count("/"))
        else:
            column = node.value[0][0].start_mark.column  # not that of the node, which may begin with its anchor
            text = "".join(iterate_entry_lines(key, value, " " * column, writes_json=self._json_only))
            self._insertions.append(TextInsertion(self._find_next_line_offset(node), text, pointer.count("/")))

    def add_item(self, pointer: str, value: Any) -> None:
        """Add `value` to the end of the list at `pointer`. Do nothing if the same value was already added.

        Raises:
            AdditionNotPossibleError: there is no list at `pointer`.
        """
        node = self._find_node(pointer)
        if not isinstance(node, yaml.SequenceNode):
            raise AdditionNotPossibleError(f"{pointer} is not a list")
        text = self._format_on_one_line(value)
        if not self._register_addition(node, text):
            return
        if node.flow_style:
            self._insert_before_bracket(node, text, pointer.count("/"))
        else:
            first = node.value[0].start_mark.index
            margin = self._source[self._source.rfind("\n", 0, first) + 1 : self._source.rfind("-", 0, first)]
            text = format_list_item(value, margin, writes_json=self._json_only)
            self._insertions.append(TextInsertion(self._find_next_line_offset(node), text, pointer.count("/")))

    def _register_addition(self, node: Any, text: str) -> bool:
        """Remember an addition. Return `False` if the same addition was already made to the node."""
        added = self._added.setdefault(id(node), set())
        if text in added:
            return False
        added.add(text)
        return True

    def _insert_before_bracket(self, node: Any, text: str, nesting_depth: int) -> None:
        """Add `text` before the closing bracket of a mapping or list that is written in brackets."""
        offset = node.end_mark.index - 1
        while self._source[offset - 1].isspace():  # the closing bracket may be on the next line
            offset -= 1
        is_first = not node.value and len(self._added[id(node)]) == 1
        self._insertions.append(TextInsertion(offset, text if is_first else f", {text}", nesting_depth))

    def _find_node(self, pointer: str) -> Any:
        node = self._root
        for token in split_json_pointer(pointer):
            if isinstance(node, yaml.MappingNode):
                node = _map_values_by_key(node).get(token)
            elif isinstance(node, yaml.SequenceNode) and token.isdecimal() and int(token) < len(node.value):
                node = node.value[int(token)]
            else:
                node = None
            if node is None:
                raise AdditionNotPossibleError(f"there is nothing at {pointer}")
        return node

    def _find_next_line_offset(self, node: Any) -> int:
        """Return the offset at which the line after the last line of `node` starts."""
        newline = self._source.find("\n", self._find_end_offset(node))
        if newline < 0:
            raise AdditionNotPossibleError("the document does not end with a line break")
        return newline + 1

    def _find_end_offset(self, node: Any) -> int:
        """Return the offset of the end of the content of `node`, which is in its last line.

        PyYAML sets the end mark of a block collection after the comments and blank lines that follow the content.
        Therefore, the end of the last value in the collection is used.
        """
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            before, child = last if isinstance(last, tuple) else (node, last)
            # An alias is composed to the node that it refers to, which is earlier in the document.
            if child.start_mark.index < before.start_mark.index:
                return self._skip_space_backwards(node.end_mark.index) if before is node else int(before.end_mark.index)
            node = child
        if not isinstance(node, yaml.ScalarNode) or node.style not in ("|", ">"):
            return int(node.end_mark.index)
        header = self._source[node.start_mark.index :].partition("\n")[0].partition("#")[0]
        if "+" in header:  # the blank lines that follow are a part of the text
            return int(node.end_mark.index) - 1
        return self._skip_space_backwards(node.end_mark.index)

    def _skip_space_backwards(self, offset: int) -> int:
        return len(self._source[:offset].rstrip())

    def _format_on_one_line(self, value: Any) -> str:
        return format_on_one_line(value, writes_json=self._json_only)


def _map_values_by_key(node: yaml.MappingNode) -> dict[str, Any]:
    """Return the values of a mapping by key. Keys that `<<` adds are included, but do not override its own keys."""
    entries = {key.value: value for key, value in node.value if key.tag != _YAML_MERGE_TAG}
    for key, value in node.value:
        if key.tag == _YAML_MERGE_TAG:
            for merged in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                entries = {**_map_values_by_key(merged), **entries}
    return entries


# Adds values to a document that an overlay extends, by appending actions to the overlay.


class OverlayEditor:
    """Collects additions to a document, and writes them as actions at the end of its overlay.

    It has the methods of `YamlEditor`. Pointers refer to the document that results from the overlay.
    """

    def __init__(self, overlay_text: str, document: Document, base_file: Path, *, writes_json: bool = False) -> None:
        """Parse an overlay.

        Args:
            overlay_text: the text of the overlay, in YAML or JSON.
            document: the document that results from the overlay.
            base_file: the file that the overlay extends.
            writes_json: whether to write additions as JSON, with quotes and braces.

        Raises:
            yaml.YAMLError: the overlay is not valid YAML.
        """
        self._editor = YamlEditor(overlay_text, writes_json=writes_json)
        self._document = document
        self._patchable_files = (document.path, base_file)
        self._keys_by_pointer: dict[str, dict[str, Any]] = {}
        self._items_by_pointer: dict[str, list[Any]] = {}
        self._are_written = False

    def has_value(self, pointer: str) -> bool:
        """Whether the document has a value at `pointer`. References are not followed."""
        return self._read_value_at(pointer) is not MISSING

    def add_key(self, pointer: str, key: str, value: Any) -> None:
        """Add `key: value` to the mapping at `pointer`. Do nothing if the mapping already has the key.

        Raises:
            AdditionNotPossibleError: there is no mapping at `pointer`, or the mapping is in a file to which the
                overlay does not apply.
        """
        found = self._find_container(pointer, dict, "a mapping")
        if key not in found:
            self._keys_by_pointer.setdefault(pointer, {}).setdefault(key, value)

    def add_item(self, pointer: str, value: Any) -> None:
        """Add `value` to the end of the list at `pointer`. Do nothing if the same value was already added.

        Raises:
            AdditionNotPossibleError: there is no list at `pointer`, or the list is in a file to which the overlay
                does not apply.
        """
        self._find_container(pointer, list, "a list")
        items = self._items_by_pointer.setdefault(pointer, [])
        if value not in items:
            items.append(value)

    def build_text(self) -> str:
        """Return the text of the overlay with all additions. After this call, nothing can be added."""
        if not self._are_written:
            for pointer, update in (*self._keys_by_pointer.items(), *self._items_by_pointer.items()):
                self._editor.add_item("/actions", {"target": _build_json_path(pointer), "update": update})
            self._are_written = True
        return self._editor.build_text()

    def _find_container(self, pointer: str, container_type: type, type_name: str) -> Any:
        found = self._read_value_at(pointer)
        if not isinstance(found, container_type):
            raise AdditionNotPossibleError(f"{pointer} is not {type_name}")
        if self._document.find_containing_document(pointer)[0].path not in self._patchable_files:
            raise AdditionNotPossibleError(f"{pointer} is in a file to which overlays do not apply")
        return found

    def _read_value_at(self, pointer: str) -> Any:
        return read_json_pointer(self._document.data, pointer)


def _build_json_path(pointer: str) -> str:
    """Return the normalized path (RFC 9535, section 2.7) of the value at a JSON pointer."""
    parts = []
    for token in split_json_pointer(pointer):
        quoted = token.replace("\\", "\\\\").replace("'", "\\'")
        parts.append(f"['{quoted}']")
    return "".join(("$", *parts))


# Collects the values that all recordings have at one location of a response, so that an addition fits all of them.


def list_exchanges_with_same_documented_response(
    traffic: RecordedTraffic, recorded_exchange: RecordedExchange
) -> list[RecordedExchange]:
    """Return the exchanges whose responses the contract describes in the same place as that of `recorded_exchange`.

    If the contract does not describe that response, return the exchanges of the same operation with the same status.
    """
    return [
        other
        for other in traffic.exchanges
        if _build_key_of_documented_response(other) == _build_key_of_documented_response(recorded_exchange)
    ]


def _build_key_of_documented_response(recorded_exchange: RecordedExchange) -> tuple[str, str | int]:
    spec = recorded_exchange.response_spec
    return recorded_exchange.operation_id, recorded_exchange.status if spec is None else spec.pointer


def list_header_values(exchanges: Sequence[RecordedExchange]) -> dict[str, list[str]]:
    """Return the values of all response headers by name, which is spelled as in the first response with the header."""
    name_by_key: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for one in exchanges:
        for name, text in one.response.headers:
            values.setdefault(name_by_key.setdefault(name.lower(), name), []).append(text)
    return values


def list_body_values(exchanges: Sequence[RecordedExchange], pointer_tokens: Sequence[str]) -> list[Any]:
    """Return the values at a path in the response bodies. In the path, `ANY_INDEX` stands for every index of a list."""
    return [value for one in exchanges for value in _iterate_values_at_path(one.json_body, pointer_tokens)]


def _iterate_values_at_path(json_value: Any, pointer_tokens: Sequence[str]) -> Iterator[Any]:
    if not pointer_tokens:
        yield json_value
    elif pointer_tokens[0] == ANY_INDEX and isinstance(json_value, list):
        for item in json_value:
            yield from _iterate_values_at_path(item, pointer_tokens[1:])
    elif isinstance(json_value, dict) and pointer_tokens[0] in json_value:
        yield from _iterate_values_at_path(json_value[pointer_tokens[0]], pointer_tokens[1:])
    elif isinstance(json_value, list) and pointer_tokens[0].isdecimal() and int(pointer_tokens[0]) < len(json_value):
        yield from _iterate_values_at_path(json_value[int(pointer_tokens[0])], pointer_tokens[1:])


# Proposes additions to a contract that document what recorded traffic shows, as a patch for a person to review.


_RULE_IDS_WITH_ADDITION = {
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
    """Additions to one contract. Each addition is marked as inferred and names the recording as its source."""

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
        """Add the documentation of `change` to the patch.

        If no addition can document the change, append the change to `unpatched_changes`.
        """
        recorded_exchange = self._find_exchange(change)
        if (
            change.rule not in _RULE_IDS_WITH_ADDITION
            or recorded_exchange is None
            or recorded_exchange.operation is None
        ):
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
        # All headers of a response at once: each addition sees the document as it was, without the others.
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
        # A change keeps no exchange, because it is written as JSON: its position leads back to the exchange.
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
            media_type = recorded_exchange.response.media_type
            self._editor.add_key(pointer, media_type, _build_media_type_object(same, media_type))
            return True
        if change.rule == "observed-header-undocumented":
            self._add_header(change.location.partition("header.")[2], same, pointer)
            return True
        if change.rule == "observed-value-undocumented":
            return self._add_enum_value(change, recorded_exchange)
        pointer_tokens = split_json_pointer(change.location.partition("#")[2])
        # The same schema may describe responses of several operations: the types of all of them belong into the
        # addition.
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
            pointer_tokens = split_json_pointer(change.location.partition("#")[2])
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
        expected = STANDARD_HEADER_NAMES | {
            name.lower() for name in self._contract.limits.rate_limit_header_names.values()
        }
        headers = {
            name: self._build_header(values)
            for name, values in list_header_values(exchanges).items()
            if name.lower() not in expected and not is_infrastructure_header(name)
        }
        if headers:
            documented["headers"] = headers
        responses = [one.response for one in exchanges]
        media_types = dict.fromkeys(one.media_type for one in responses if one.body and one.media_type)
        if media_types:
            documented["content"] = {name: _build_media_type_object(exchanges, name) for name in media_types}
            self._add_error_example(documented["content"], exchanges)
        return documented

    def _add_error_example(self, response_content: dict[str, Any], exchanges: Sequence[RecordedExchange]) -> None:
        """Add the first recorded error whose status shows why the request was rejected, as an example to emulate."""
        for one in exchanges:
            response, reason = one.response, _REJECTION_REASON_BY_STATUS.get(one.status)
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
    bodies = [
        one.json_body for one in exchanges if one.json_body is not MISSING and one.response.media_type == media_type
    ]
    return {"schema": infer_schema(bodies)} if is_json(media_type) and bodies else {}


def _find_observed_value(change: DriftChange, recorded_exchange: RecordedExchange) -> Any:
    """Return the value in the response that a change is about; the first one if there are several."""
    assert change.new_position is not None
    pointer_tokens = split_json_pointer(change.new_position.pointer.partition("#")[2])
    values = list_body_values([recorded_exchange], pointer_tokens)
    return values[0] if values else MISSING
