"""Flattens JSON bodies into paths and values, and compares those that do not belong to a single request.

Entries of a list are matched by a field that identifies them, such as an id, because their order may differ between
recordings.

An id, a time, a signed URL or a counter changes with every request and therefore does not show how the API behaves.
Such fields are recognized by their recorded values, not by their names.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, pairwise
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.schemas import Schemas
from voicegauge.formats.bodies import get_json_type, is_number
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.recording.masking import MASK

# Flattens JSON bodies into paths and values, so that bodies can be compared field by field.


ANY_INDEX = "*"
"""The path segment that stands for any list index."""
_MAX_FIELDS_TRIED_IN_PAIRS = 8
"""Largest number of fields whose pairs are tried as a key of list entries, because the number of pairs grows
quadratically."""
_MIN_SHARED_ENTRIES_RATIO = 0.5
"""Smallest share of the values of a field that must occur in both recordings, so that the field may identify list
entries."""

JsonScalar = str | float | bool | None
"""A JSON value that is neither an object nor a list."""


class FlattenedValue(NamedTuple):
    """A text, number, boolean or null in a JSON body, or an object or list without its content."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    entry_identity: str
    """Identifies the list entries that contain the value, by key fields or index; empty if the value is in no list."""
    json_type: str
    """JSON type of the value. Integers have the type "number"."""
    value: JsonScalar
    """The text, number or boolean; `None` for null, an object or a list."""


class FlattenedObject(NamedTuple):
    """An object in a JSON body, with the names of its fields."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    entry_identity: str
    """Identifies the list entries that contain the object, as `FlattenedValue.entry_identity`."""
    field_names: tuple[str, ...]


EntryKeyFieldsByPath = Mapping[str, tuple[str, ...]]
"""For the path of each list of objects: the one or two fields whose values identify an entry."""


def get_recorded_json_type(value: Any) -> str:
    """Return the JSON type of `value`. Integers have the type "number"."""
    return get_json_type(value).replace("integer", "number")


def flatten_json(
    value: Any, entry_key_fields: EntryKeyFieldsByPath, value_path: str = "", enclosing_entries: str = ""
) -> Iterator[FlattenedValue | FlattenedObject]:
    """Yield every object and every value in a JSON value.

    Args:
        value: the JSON body, or a value in it.
        entry_key_fields: the fields that identify the entries of lists.
        value_path: the path of the value in the body, in which `*` replaces list indices.
        enclosing_entries: the identities of the list entries around the value, as a path.
    """
    if isinstance(value, dict):
        yield FlattenedObject(value_path, enclosing_entries, tuple(value))
        yield FlattenedValue(value_path, enclosing_entries, "object", None)
        for name, child in value.items():
            child_path = f"{value_path}/{escape_pointer_token(name)}"
            yield from flatten_json(child, entry_key_fields, child_path, enclosing_entries)
    elif isinstance(value, list):
        yield FlattenedValue(value_path, enclosing_entries, "array", None)
        fields, child_path = entry_key_fields.get(value_path), f"{value_path}/{ANY_INDEX}"
        for index, child in enumerate(value):
            identity = _build_entry_identity(child, index, fields)
            if fields is not None:
                yield FlattenedValue(child_path, enclosing_entries, "string", identity)
            yield from flatten_json(child, entry_key_fields, child_path, f"{enclosing_entries}/{identity}")
    else:
        yield FlattenedValue(value_path, enclosing_entries, get_recorded_json_type(value), value)


def _build_entry_identity(entry: Any, index: int, key_fields: tuple[str, ...] | None) -> str:
    """Return what identifies a list entry: the values of its key fields, or its index if these are `None`.

    Entries that are neither objects nor lists all have the same identity.
    """
    if isinstance(entry, dict):
        return ", ".join(str(entry.get(field)) for field in key_fields) if key_fields else str(index)
    return str(index) if isinstance(entry, list) else ANY_INDEX


def find_entry_key_fields(old_bodies: Iterable[Any], new_bodies: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    """Find the fields that identify the entries of each list of objects.

    For each list, the result is the first field for which three conditions hold: every entry has the field, its values
    differ between the entries, and at least half of the values are in both recordings. If there is no such field, pairs
    of fields are tried.

    Args:
        old_bodies: the JSON bodies of the older recording.
        new_bodies: the JSON bodies of the newer recording.
    """
    old_lists, new_lists = _collect_object_lists(old_bodies), _collect_object_lists(new_bodies)
    found = {}
    for path in old_lists.keys() & new_lists.keys():
        for fields in _iterate_entry_key_candidates(old_lists[path] + new_lists[path]):
            before = {_build_entry_identity(entry, 0, fields) for entries in old_lists[path] for entry in entries}
            after = {_build_entry_identity(entry, 0, fields) for entries in new_lists[path] for entry in entries}
            if len(before & after) >= _MIN_SHARED_ENTRIES_RATIO * min(len(before), len(after)) > 0:
                found[path] = fields
                break
    return found


def _collect_object_lists(values: Iterable[Any]) -> dict[str, list[list[dict[str, Any]]]]:
    """Return all non-empty lists of objects, by their path."""
    found: dict[str, list[list[dict[str, Any]]]] = {}

    def visit_value(value: Any, value_path: str) -> None:
        if isinstance(value, dict):
            for name, child in value.items():
                visit_value(child, f"{value_path}/{escape_pointer_token(name)}")
        elif isinstance(value, list):
            if value and all(isinstance(entry, dict) for entry in value):
                found.setdefault(value_path, []).append(value)
            for entry in value:
                visit_value(entry, f"{value_path}/{ANY_INDEX}")

    for value in values:
        visit_value(value, "")
    return found


def _iterate_entry_key_candidates(object_lists: list[list[dict[str, Any]]]) -> Iterator[tuple[str, ...]]:
    """Yield the fields, and then the pairs of fields, whose values are unique within each list."""
    # A number with decimals is a measurement, and true and false tell two entries apart at the most.
    names = [
        name
        for name in object_lists[0][0]
        if all(
            isinstance(entry.get(name), str | int) and not isinstance(entry.get(name), bool)
            for entries in object_lists
            for entry in entries
        )
    ]
    for fields in chain(((name,) for name in names), combinations(names[:_MAX_FIELDS_TRIED_IN_PAIRS], 2)):
        if all(
            len({_build_entry_identity(entry, 0, fields) for entry in entries}) == len(entries)
            for entries in object_lists
        ):
            yield fields


# Distinguishes the values that a provider defines from those that belong to a single request.


MatchKey = tuple[str, ...]
"""Identifies a value in both recordings, so that the older and the newer value can be compared: the id of the pair of
conversations and, for a value in a list, the identity of the list entry."""
ValuesByMatchKey = Mapping[MatchKey, frozenset[JsonScalar]]
"""The values of one field in one recording, by match key."""

_EPOCH_SECONDS_RANGE = (1_000_000_000, 5_000_000_000)
"""Smallest and largest number that counts as a Unix time in seconds; the years are 2001 to 2128."""
_EPOCH_MILLISECONDS_RANGE = (_EPOCH_SECONDS_RANGE[0] * 1000, _EPOCH_SECONDS_RANGE[1] * 1000)
"""Smallest and largest number that counts as a Unix time in milliseconds."""
_DATE_PATTERN = re.compile(r"\d{4}-\d\d-\d\d|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} ")
"""Matches the start of an ISO 8601 date or of an HTTP date (RFC 9110, section 5.6.7)."""


class ValueDifference(NamedTuple):
    """The values that a field has in only one of two recordings: in the older (removed) or in the newer (added)."""

    removed_values: tuple[JsonScalar, ...]
    added_values: tuple[JsonScalar, ...]


def split_url_into_parts(value: JsonScalar) -> Iterator[tuple[str, JsonScalar]]:
    """Split a URL into host, path and parameters, because some of these parts may differ in every recording.

    Any other value is one part.

    Yields:
        The name and the value of each part. The name is empty if the value is not a URL.
    """
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        yield "", value
        return
    try:
        url = urlsplit(value)
    except ValueError:  # such as a host in brackets that is not an IPv6 address
        yield "", value
        return
    yield " (scheme and host)", f"{url.scheme}://{url.netloc}"
    segments = url.path.split("/")[1:]
    yield " (segments of the path)", len(segments)
    for index, segment in enumerate(segments):
        yield f" (segment {index + 1} of the path)", segment
    extension = segments[-1].rpartition(".")[2] if segments and "." in segments[-1] else ""
    yield " (ending of the path)", extension
    yield " (parameters)", ", ".join(name for name, _ in parse_qsl(url.query, keep_blank_values=True))


def compare_values(
    old_values: ValuesByMatchKey,
    new_values: ValuesByMatchKey,
    *,
    documented_values: frozenset[JsonScalar] = frozenset(),
) -> ValueDifference | None:
    """Return which values of a field were removed and added between two recordings.

    Return `None` if nothing changed, or if the values are not defined by the provider but belong to single requests, as
    ids do. Values count as defined by the provider if at least half of the match keys have equal values in both
    recordings, or if several match keys of the same recording have the same values.

    Args:
        old_values: the values in the older recording.
        new_values: the values in the newer recording.
        documented_values: the values that the contract lists. They count as defined by the provider even if only one
            match key has them.
    """
    old_values, new_values = _remove_redacted_values(old_values, new_values)
    shared = old_values.keys() & new_values.keys()
    differing = [match_key for match_key in shared if old_values[match_key] != new_values[match_key]]
    if not differing or _are_values_volatile(old_values) or _are_values_volatile(new_values):
        return None
    before = frozenset().union(*old_values.values())
    after = frozenset().union(*new_values.values())
    # If most values are equal in both recordings, the provider defines them. The equal ones are left out, because a
    # value that one request has lost may still be that of another.
    if len(differing) <= len(shared) / 2 and len(shared) > 1:
        before = frozenset().union(*(old_values[match_key] for match_key in differing))
        after = frozenset().union(*(new_values[match_key] for match_key in differing))
    elif (
        not (
            _are_most_values_under_several_keys(old_values, before)
            and _are_most_values_under_several_keys(new_values, after)
        )
        and not before & documented_values
    ):
        return None
    removed, added = before - after, after - before
    if not (removed or added) or all(_is_timestamp(value) for value in removed | added):
        return None  # requests of the same second share a time by chance
    return ValueDifference(_sort_mixed_values(removed), _sort_mixed_values(added))


def _remove_redacted_values(
    old_values: ValuesByMatchKey, new_values: ValuesByMatchKey
) -> tuple[ValuesByMatchKey, ValuesByMatchKey]:
    """Return the values without those match keys for which either recording has a redacted value."""
    sides = (old_values, new_values)
    redacted = {key for side in sides for key, values in side.items() if any(map(_is_redacted, values))}
    before, after = ({key: values for key, values in side.items() if key not in redacted} for side in sides)
    return before, after


def _is_redacted(value: JsonScalar) -> bool:
    return isinstance(value, str) and MASK in value


def _are_values_volatile(values_by_match_key: ValuesByMatchKey) -> bool:
    """Whether a field has several values under one match key, or its numbers only increase or only decrease.

    Such values belong to single requests and do not show how the API behaves.
    """
    if any(len(values) > 1 for values in values_by_match_key.values()):
        return True
    # In the order of the requests, a counter or a clock only rises, and a balance only falls.
    numbers = [value for values in values_by_match_key.values() for value in values]
    is_distinct = len(numbers) > 1 and len(set(numbers)) == len(numbers)
    return is_distinct and _is_monotonic(numbers)


def _is_monotonic(values: list[JsonScalar]) -> bool:
    """Whether all values are numbers that only increase or only decrease."""
    numbers = [value for value in values if is_number(value)]
    return len(numbers) == len(values) and len({after > before for before, after in pairwise(numbers)}) == 1


def _are_most_values_under_several_keys(values_by_match_key: ValuesByMatchKey, values: frozenset[JsonScalar]) -> bool:
    """Whether at least half of `values` occur under several match keys.

    If any value is a number, all values must be equal, because durations and counts may be equal by chance.

    Args:
        values_by_match_key: the values of a field in one recording.
        values: all these values without their match keys.
    """
    if len(values_by_match_key) < 2:
        return False
    if any(is_number(value) for value in values):
        return len(values) == 1
    counts = Counter(value for values_of_match in values_by_match_key.values() for value in values_of_match)
    return sum(count > 1 for count in counts.values()) >= len(counts) / 2


def compare_scalar_lists(old_values: ValuesByMatchKey, new_values: ValuesByMatchKey) -> ValueDifference | None:
    """Return which entries were removed from and added to lists of texts or numbers.

    Return `None` if the entries are the same, or if fewer than half of all entries are in both recordings.
    """
    shared = old_values.keys() & new_values.keys()
    before, after = (
        frozenset(value for match_key in shared for value in side[match_key] if not _is_redacted(value))
        for side in (old_values, new_values)
    )
    if before == after or len(before & after) < len(before | after) / 2:
        return None
    return ValueDifference(_sort_mixed_values(before - after), _sort_mixed_values(after - before))


def _is_timestamp(value: JsonScalar) -> bool:
    if isinstance(value, str):
        if _DATE_PATTERN.match(value) is None:
            return False
        try:
            dt.datetime.fromisoformat(value)
        except ValueError:
            return value.endswith("GMT")
        return True
    return is_number(value) and any(
        low <= value <= high for low, high in (_EPOCH_SECONDS_RANGE, _EPOCH_MILLISECONDS_RANGE)
    )


def _sort_mixed_values(values: frozenset[JsonScalar]) -> tuple[JsonScalar, ...]:
    """Sort values of mixed types, so that reports do not depend on the order of sets."""
    return tuple(sorted(values, key=lambda value: (str(type(value)), str(value))))


MAX_SCHEMA_DEPTH = 20
"""Largest number of levels of properties that are visited. It is limited because schemas may contain themselves."""


class LocatedSchema(NamedTuple):
    """A schema object, and the pointer to it in the contract."""

    schema: dict[str, Any]
    """The schema as plain data, with its references."""
    pointer: str
    """JSON pointer to the schema in the contract."""


def find_applicable_schemas(contract_schemas: Schemas, schema: Any, schema_pointer: str) -> list[LocatedSchema]:
    """Return all schema objects that may apply to a value: the schema and the branches of `allOf`, `if` and so on."""
    found: list[LocatedSchema] = []
    _collect_applicable_schemas(contract_schemas, schema, schema_pointer, found)
    return found


def _collect_applicable_schemas(
    contract_schemas: Schemas, schema: Any, schema_pointer: str, collected_schemas: list[LocatedSchema]
) -> None:
    if isinstance(schema, dict) and "$ref" in schema:
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        if siblings:
            _collect_applicable_schemas(contract_schemas, siblings, schema_pointer, collected_schemas)
        schema, schema_pointer = contract_schemas.resolve_reference({"$ref": schema["$ref"]}, schema_pointer)
    if not isinstance(schema, dict) or any(
        one.pointer == schema_pointer and one.schema is schema for one in collected_schemas
    ):
        return
    collected_schemas.append(LocatedSchema(schema, schema_pointer))
    for key in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(schema.get(key, ())):
            _collect_applicable_schemas(contract_schemas, branch, f"{schema_pointer}/{key}/{index}", collected_schemas)
    for key in ("then", "else"):
        if key in schema:
            _collect_applicable_schemas(contract_schemas, schema[key], f"{schema_pointer}/{key}", collected_schemas)


def find_body_schemas(media_type: MediaType) -> list[LocatedSchema]:
    """Return the schemas that may apply to a whole body."""
    if media_type.schema_pointer is None:
        return []
    return find_applicable_schemas(
        media_type.schemas, media_type.part_data.get("schema", {}), media_type.schema_pointer
    )


def find_property_schemas(
    contract_schemas: Schemas, parent_schemas: Sequence[LocatedSchema], property_name: str
) -> list[LocatedSchema]:
    """Return the schemas that may apply to a property, from `properties` or else `additionalProperties`."""
    found: list[LocatedSchema] = []
    for schema, pointer in parent_schemas:
        properties = schema.get("properties")
        if isinstance(properties, dict) and property_name in properties:
            found += find_applicable_schemas(
                contract_schemas,
                properties[property_name],
                f"{pointer}/properties/{escape_pointer_token(property_name)}",
            )
    for schema, pointer in parent_schemas if not found else ():
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            found += find_applicable_schemas(contract_schemas, additional, f"{pointer}/additionalProperties")
    return found


def find_item_schemas(contract_schemas: Schemas, parent_schemas: Sequence[LocatedSchema]) -> list[LocatedSchema]:
    """Return the schemas that may apply to the items of a list."""
    found: list[LocatedSchema] = []
    for schema, pointer in parent_schemas:
        if "items" in schema:
            found += find_applicable_schemas(contract_schemas, schema["items"], f"{pointer}/items")
        for index, item in enumerate(schema.get("prefixItems", ())):
            found += find_applicable_schemas(contract_schemas, item, f"{pointer}/prefixItems/{index}")
    return found


def allows_property(parent_schemas: Sequence[LocatedSchema], property_name: str) -> bool:
    """Whether the schemas of an object allow the property `property_name` without describing it."""
    if not any("properties" in schema for schema, _ in parent_schemas):
        return True
    return any(
        schema.get("additionalProperties") is True
        or any(may_match_pattern(pattern, property_name) for pattern in schema.get("patternProperties", ()))
        for schema, _ in parent_schemas
    )


def may_match_pattern(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern of JSON Schema. A pattern that Python cannot read matches every name."""
    try:
        return re.search(pattern, name) is not None
    except re.error:  # JSON Schema uses the regular expressions of ECMAScript, of which Python knows most but not all
        return True


class UndocumentedProperty(NamedTuple):
    """A property of a value that no schema describes or allows."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    name: str
    """Name of the property."""
    value: Any
    """The value of the property in the traffic."""
    parent_schemas: list[LocatedSchema]
    """The schemas that may apply to the object that has the property."""

    @property
    def parent_pointer(self) -> str:
        """The pointer, in the contract, of the first of `parent_schemas` that lists properties."""
        return next(parent.pointer for parent in self.parent_schemas if "properties" in parent.schema)


def find_undocumented_properties(
    contract_schemas: Schemas, value: Any, located_schemas: list[LocatedSchema], value_path: str = ""
) -> Iterator[UndocumentedProperty]:
    """Yield all properties in a value that are not documented. A property comes before the properties inside of it.

    Args:
        contract_schemas: the schemas of the contract.
        value: the JSON value.
        located_schemas: the schemas that may apply to the value.
        value_path: the JSON pointer to the value.
    """
    if value_path.count("/") > MAX_SCHEMA_DEPTH or not located_schemas:
        return
    if isinstance(value, dict):
        for name, child in value.items():
            child_schemas = find_property_schemas(contract_schemas, located_schemas, name)
            child_path = f"{value_path}/{escape_pointer_token(name)}"
            if child_schemas:
                yield from find_undocumented_properties(contract_schemas, child, child_schemas, child_path)
            elif not allows_property(located_schemas, name):
                yield UndocumentedProperty(child_path, name, child, located_schemas)
    elif isinstance(value, list):
        child_schemas = find_item_schemas(contract_schemas, located_schemas)
        for child in value:
            yield from find_undocumented_properties(contract_schemas, child, child_schemas, f"{value_path}/{ANY_INDEX}")


class DocumentedProperty(NamedTuple):
    """A property of a JSON body that at least one of the schemas of the body documents."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    schemas: list[LocatedSchema]
    """The schemas that may apply to the value of the property."""


def iterate_documented_properties(
    contract_schemas: Schemas, located_schemas: list[LocatedSchema], value_path: str = ""
) -> Iterator[DocumentedProperty]:
    """Yield all properties that schemas list. A property comes before the properties inside of it.

    Args:
        contract_schemas: the schemas of the contract.
        located_schemas: the schemas that may apply to one value.
        value_path: the JSON pointer to the value.
    """
    if value_path.count("/") > MAX_SCHEMA_DEPTH:
        return
    for name in dict.fromkeys(name for schema, _ in located_schemas for name in schema.get("properties", ())):
        child_schemas = find_property_schemas(contract_schemas, located_schemas, name)
        child_path = f"{value_path}/{escape_pointer_token(name)}"
        yield DocumentedProperty(child_path, child_schemas)
        yield from iterate_documented_properties(contract_schemas, child_schemas, child_path)
    items = find_item_schemas(contract_schemas, located_schemas)
    if items:
        yield from iterate_documented_properties(contract_schemas, items, f"{value_path}/{ANY_INDEX}")


def list_enumerated_values(located_schemas: Sequence[LocatedSchema]) -> list[JsonScalar]:
    """Return the scalars that the keywords `enum` and `const` of the schemas list."""
    found: dict[JsonScalar, None] = {}
    for schema, _ in located_schemas:
        values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
        found |= {value: None for value in values if value is None or isinstance(value, str | int | float | bool)}
    return list(found)


def find_documented_values(media_type: MediaType, path_tokens: Sequence[str]) -> set[JsonScalar]:
    """Return the values that the documented schema of a body allows for one field under `enum` or `const`.

    Args:
        media_type: the documented media type of the body.
        path_tokens: the path of the field in the body, in which `*` stands for any list index.
    """
    located_schemas = find_body_schemas(media_type)
    for token in path_tokens:
        schemas = media_type.schemas
        if token == ANY_INDEX:
            located_schemas = find_item_schemas(schemas, located_schemas)
        else:
            located_schemas = find_property_schemas(schemas, located_schemas, token)
    return set(list_enumerated_values(located_schemas))
