"""Limits what hostile schemas and values cost: schemas that grow without limit in use, and values that are large.

A schema may be small in a document but refer to the next one twice. Two references to a schema with two references, and
so on, double with each step how many schemas apply to one value, or what a valid value contains. They may also lead to
the same part of a value: two branches of `oneOf` that both have `items` apply two schemas to each item.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import unquote

from voicegauge.formats.located_yaml import Document
from voicegauge.formats.locations import MISSING, read_json_pointer

MAX_SCHEMA_SIZE = 10_000
"""Maximum number of schemas that apply to one value, and of values that a smallest valid value contains."""
MAX_NESTED_ERRORS = 10_000
"""Largest number of errors that schemas which contain themselves may find in a value; each takes about 0.1 ms."""
_MAX_FLAT_DEPTH = 2
"""Maximum depth of a value that is too flat to have `MAX_NESTED_ERRORS` errors, whatever its schemas are."""
_KEYWORDS_WITH_ONE_SCHEMA = ("if", "then", "else", "not")
"""Keywords whose value is one schema that may apply to the same value."""
_KEYWORDS_WITH_SCHEMA_LIST = ("allOf", "anyOf", "oneOf")
"""Keywords whose value is a list of schemas that may apply to the same value."""
_KEYWORDS_ABOUT_ITEMS = ("items", "contains", "unevaluatedItems")
"""Keywords whose value is a schema that applies to the items of a list."""
_KEYWORDS_ABOUT_PROPERTIES = ("additionalProperties", "unevaluatedProperties")
"""Keywords whose value is a schema that applies to the properties of an object that have no schema of their own."""

_Schema = Mapping[str, Any]
_SchemaUses = Iterator[tuple[int, _Schema]]
"""Pairs of the number of times that a schema uses another schema, and the other schema."""


def check_schema_sizes(document: Document, schemas: list[tuple[str, dict[str, Any]]]) -> None:
    """Check that no schema applies, or requires, more than `MAX_SCHEMA_SIZE` others, counting each use of one.

    Args:
        document: the document.
        schemas: the objects of the document that may be schemas, with their pointers.

    Raises:
        ContractError: a schema exceeds the limit; the message has its line.
    """
    for iterate_inner_schemas, verb in (
        (_iterate_schemas_of_same_value, "combines"),
        (_iterate_schemas_of_required_values, "requires"),
    ):
        size_by_schema: dict[int, int] = {}
        for pointer, node in schemas:
            if (
                _measure_schema_size(node, functools.partial(iterate_inner_schemas, document.data), size_by_schema)
                > MAX_SCHEMA_SIZE
            ):
                raise document.build_error(pointer, _describe_too_many_schemas(verb))
    too_large = _find_schema_with_many_uses_of_one_part(document.data, schemas)
    if too_large is not None:
        raise document.build_error(too_large, _describe_too_many_schemas("combines"))


def _describe_too_many_schemas(verb: str) -> str:
    """Return the error about a schema with more than `MAX_SCHEMA_SIZE` others; `verb` is "combines" or "requires"."""
    return f"the schema {verb} more than {MAX_SCHEMA_SIZE:,} others, counting each use of one"


def _measure_schema_size(
    root: _Schema, iterate_inner_schemas: Callable[[_Schema], _SchemaUses], size_by_schema: dict[int, int]
) -> int:
    """Return the size of a schema: 1 plus the sizes of its inner schemas. One that contains itself counts as 1.

    Args:
        root: the schema.
        iterate_inner_schemas: yields the inner schemas of a schema, each with how often it is used.
        size_by_schema: the sizes of schemas that are known, by identity; others are added.
    """
    for schema, parts in _walk_inner_schemas_first(root, iterate_inner_schemas, size_by_schema):
        size = 1 + sum(count * size_by_schema.get(id(part), 1) for count, part in parts)
        # Sizes double from schema to schema: without a bound, they would become numbers with thousands of digits.
        size_by_schema[id(schema)] = min(size, MAX_SCHEMA_SIZE + 1)
    return size_by_schema[id(root)]


def _walk_inner_schemas_first(
    root: _Schema, iterate_inner_schemas: Callable[[_Schema], _SchemaUses], known_schemas: Mapping[int, Any]
) -> Iterator[tuple[_Schema, list[tuple[int, _Schema]]]]:
    """Yield `root` and the schemas below it, each with its inner schemas, in post-order.

    So a schema comes after its inner schemas, except in cycles. Schemas in `known_schemas` (by identity) are left out.
    """
    started = set[int]()
    stack: list[tuple[_Schema, list[tuple[int, _Schema]] | None]] = [(root, None)]
    while stack:
        schema, parts = stack.pop()
        if parts is not None:
            yield schema, parts
        elif id(schema) not in known_schemas and id(schema) not in started:
            started.add(id(schema))
            found = list(iterate_inner_schemas(schema))
            stack.append((schema, found))
            stack += [(part, None) for _, part in found]


def _iterate_schemas_of_same_value(document_data: Any, schema: _Schema) -> _SchemaUses:
    """Yield the schemas that a schema applies, or may apply, to the same value, each with its number of uses: 1."""
    found = [schema[key] for key in _KEYWORDS_WITH_ONE_SCHEMA if key in schema]
    for key in _KEYWORDS_WITH_SCHEMA_LIST:
        branches = schema.get(key)
        found += branches if isinstance(branches, list) else ()
    dependent = schema.get("dependentSchemas")
    found += dependent.values() if isinstance(dependent, dict) else ()
    found += _list_referenced_schemas(document_data, schema)
    yield from ((1, part) for part in found if isinstance(part, dict))


def _iterate_schemas_of_required_values(document_data: Any, schema: _Schema) -> _SchemaUses:
    """Yield the schemas of the values that a valid value must contain, each with the least number of such values.

    The schemas in `allOf` and `$ref`, which apply to the value itself, are yielded too, because they may require more
    values. Their number is 1.
    """
    properties, names = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict) and isinstance(names, list):
        required = [properties.get(name) for name in names if isinstance(name, str)]
        yield from ((1, part) for part in required if isinstance(part, dict))
    count, items = schema.get("minItems"), schema.get("items")
    if isinstance(count, int) and count > 0 and isinstance(items, dict):
        yield count, items
    branches = schema.get("allOf")
    yield from ((1, part) for part in (branches if isinstance(branches, list) else ()) if isinstance(part, dict))
    yield from ((1, part) for part in _list_referenced_schemas(document_data, schema))


def _list_referenced_schemas(document_data: Any, schema: _Schema) -> list[_Schema]:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return []
    found = read_json_pointer(document_data, unquote(reference[1:]))
    return [found] if found is not MISSING and isinstance(found, dict) else []


# Counts how many schemas apply to one part of a value, at any depth.


_ItemOrProperty = tuple[str, str | int]
"""One part of a value: its kind, "item" or "property", and its index or name."""


class _SchemaUsesOfParts(NamedTuple):
    """How often a schema, with those that it combines, applies each schema to an item or property of the value."""

    of_every_part: dict[str, Counter[int]]
    """Number of uses for every part of a kind, by identity of the schema."""
    of_one_part: dict[_ItemOrProperty, Counter[int]]
    """Further uses for a single part, by identity of the schema; negative for a schema that applies to every other
    part."""


def _find_schema_with_many_uses_of_one_part(
    document_data: Any, schemas: list[tuple[str, dict[str, Any]]]
) -> str | None:
    """Return the pointer to a schema that applies too many schemas to one part of a value; `None` if there is none.

    Counted are the parts of a value at any depth. The result is an upper bound, because for each schema the part with
    the largest number is taken. Schemas that contain each other count as 1 in each other: real documents have many of
    those, such as operators of expressions, and their values are not deep.
    """
    pointers = {id(node): pointer for pointer, node in schemas}
    by_part, groups = _group_schemas_by_part(document_data, schemas)
    counts: dict[int, int] = {}
    for group in groups:
        group_counts = {
            key: max(
                (sum(count * counts.get(part, 1) for part, count in uses.items()) for uses in by_part[key]), default=1
            )
            for key in group
        }
        counts |= dict.fromkeys(group, max(group_counts.values()))
        for key, count in group_counts.items():
            if count > MAX_SCHEMA_SIZE and key in pointers:
                return pointers[key]
    return None


def _group_schemas_by_part(
    document_data: Any, schemas: list[tuple[str, dict[str, Any]]]
) -> tuple[dict[int, list[dict[int, int]]], Iterator[list[int]]]:
    """Return which schemas each schema applies to parts of a value, and the groups of schemas that contain each other.

    Schemas are given by their identity. The uses are a list with one mapping for each part: the number of uses of each
    applied schema. A group comes after the groups that its schemas contain.
    """
    by_part = {
        key: list(_iterate_uses_of_each_part(uses))
        for key, uses in _collect_uses_of_parts(document_data, schemas).items()
    }
    return by_part, _iterate_schema_groups_innermost_first(
        {key: {*chain(*found)} & by_part.keys() for key, found in by_part.items()}
    )


def _iterate_schema_groups_innermost_first(parts_by_schema: Mapping[int, Iterable[int]]) -> Iterator[list[int]]:
    """Yield the groups of schemas that contain each other, after the groups that they contain (Tarjan's algorithm).

    Args:
        parts_by_schema: the identities of the schemas that each schema contains, by its own identity.
    """
    # A stack of its own instead of recursion: a hostile document may nest schemas deeper than Python recurses. At its
    # bottom is the whole document, which no schema contains.
    document = -1
    visit_numbers = {document: 0}
    lowest_visit_numbers = {document: 0}
    waiting = [(document, iter(parts_by_schema))]
    open_schemas: list[int] = []
    closed_schemas = set[int]()
    while waiting:
        schema, parts = waiting[-1]
        for part in parts:  # an iterator, which goes on after the part that was visited last
            if part not in visit_numbers:
                visit_numbers[part] = lowest_visit_numbers[part] = len(visit_numbers)
                open_schemas.append(part)
                waiting.append((part, iter(parts_by_schema[part])))
                break
            # A schema of a complete group does not lead back to this one, or it would be in the same group.
            if part not in closed_schemas:
                lowest_visit_numbers[schema] = min(lowest_visit_numbers[schema], visit_numbers[part])
        else:
            waiting.pop()
            if not waiting:
                return
            user = waiting[-1][0]
            lowest_visit_numbers[user] = min(lowest_visit_numbers[user], lowest_visit_numbers[schema])
            if lowest_visit_numbers[schema] == visit_numbers[schema]:
                group = [open_schemas.pop()]
                while group[-1] != schema:
                    group.append(open_schemas.pop())
                closed_schemas.update(group)
                yield group


def _collect_uses_of_parts(
    document_data: Any, schemas: list[tuple[str, dict[str, Any]]]
) -> dict[int, _SchemaUsesOfParts]:
    """Return, by the identity of each schema, how often it applies which schemas to parts of a value."""
    uses_by_schema: dict[int, _SchemaUsesOfParts] = {}
    iterate_inner_schemas = functools.partial(_iterate_schemas_of_same_value, document_data)
    for _, node in schemas:
        for schema, parts in _walk_inner_schemas_first(node, iterate_inner_schemas, uses_by_schema):
            uses = _count_own_uses_of_parts(schema)
            combined = [found for _, part in parts if (found := uses_by_schema.get(id(part))) is not None]
            if len(combined) == 1 and not uses.of_every_part and not uses.of_one_part:
                uses = combined[0]  # shared, because most are a reference alone
            else:
                for other in combined:
                    _add_schema_uses(uses.of_every_part, other.of_every_part)
                    _add_schema_uses(uses.of_one_part, other.of_one_part)
            uses_by_schema[id(schema)] = uses
    return uses_by_schema


def _add_schema_uses(uses: dict[Any, Counter[int]], added_uses: Mapping[Any, Counter[int]]) -> None:
    """Add the numbers of uses in `added_uses` to those in `uses`, in place."""
    for part, counts in added_uses.items():
        own = uses.setdefault(part, Counter())
        for schema, count in counts.items():
            own[schema] += count


def _count_own_uses_of_parts(schema: _Schema) -> _SchemaUsesOfParts:
    uses = _SchemaUsesOfParts({}, {})
    patterns = schema.get("patternProperties")
    for kind, found in (
        ("item", [schema.get(key) for key in _KEYWORDS_ABOUT_ITEMS]),
        ("property", [schema.get(key) for key in _KEYWORDS_ABOUT_PROPERTIES]),
        ("property", list(patterns.values()) if isinstance(patterns, dict) else []),
    ):
        counts = Counter(id(part) for part in found if isinstance(part, dict))
        if counts:
            _add_schema_uses(uses.of_every_part, {kind: counts})
    properties, items = schema.get("properties"), schema.get("prefixItems")
    for kind, keyword, named in (
        ("property", "additionalProperties", properties.items() if isinstance(properties, dict) else ()),
        ("item", "items", enumerate(items) if isinstance(items, list) else ()),
    ):
        others = schema.get(keyword)
        for name, part in named:
            counts = Counter([id(part)] if isinstance(part, dict) else [])
            # A property with a schema of its own is exempt from `additionalProperties`, an item from `items`: what was
            # counted for every part is taken back for this one. `unevaluatedProperties` stays, which makes the bound
            # higher, never lower.
            counts.subtract([id(others)] if isinstance(others, dict) else [])
            uses.of_one_part[kind, name] = counts
    return uses


def _iterate_uses_of_each_part(uses: _SchemaUsesOfParts) -> Iterator[dict[int, int]]:
    """Yield the uses of schemas for one part of the value, once for each group of parts with the same uses."""
    yield from (counts for counts in uses.of_every_part.values() if counts)
    for (kind, _), counts in uses.of_one_part.items():
        total = Counter(counts)
        for part, count in uses.of_every_part.get(kind, {}).items():
            total[part] += count
        found = {part: count for part, count in total.items() if count > 0}
        if found:
            yield found


# Tells how many errors schemas that contain themselves may find in a deep value.


class NestedErrorLimit:
    """The limit of the errors that schemas of a document may find in one value, and an estimate of their number.

    If a schema contains itself twice, and both parts apply to the same part of a value, each level of that value
    doubles the number of its errors. The validator finds all of them before it yields the first, and cannot be
    interrupted.
    """

    def __init__(self, document_data: Any) -> None:
        """Prepare to examine the schemas of a document, which happens when the first deep value is judged."""
        self._data = document_data
        self._count_by_pointer: dict[str, int] = {}

    def is_exceeded_by(self, pointer: str, depth: int) -> bool:
        """Whether a value of `depth` could have more than `MAX_NESTED_ERRORS` errors by the schema at `pointer`."""
        if depth <= _MAX_FLAT_DEPTH:
            return False
        if pointer not in self._count_by_pointer:
            self._count_by_pointer[pointer] = _count_uses_of_recursive_schemas(self._data, pointer)
        # By logarithms: the number itself, the count to the power of the depth, does not fit into a float.
        return depth * math.log(max(self._count_by_pointer[pointer], 1)) > math.log(MAX_NESTED_ERRORS)


def _count_uses_of_recursive_schemas(document_data: Any, pointer: str) -> int:
    """Return how often, at most, schemas below `pointer` apply schemas that contain them to one part of a value."""
    by_part, groups = _group_schemas_by_part(
        document_data, [("", one) for one in _iterate_reachable_schemas(document_data, pointer)]
    )
    return max(
        (
            sum(count for part, count in uses.items() if part in own)
            for group in groups
            for own in [set(group)]
            for key in group
            for uses in by_part[key]
        ),
        default=0,
    )


def _iterate_reachable_schemas(document_data: Any, pointer: str) -> Iterator[dict[str, Any]]:
    """Yield all objects in the schema at `pointer`, and in those to which references lead from there."""
    waiting: list[Any] = [read_json_pointer(document_data, pointer)]
    seen = set[int]()
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict) and id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting += [*node.values(), *_list_referenced_schemas(document_data, node)]


# Shortens large JSON values, so that it costs little memory to say why one does not fit its schema.
#
# The validator copies the value of each violation, and of each branch of `anyOf` below it: 31 MiB of a hostile body
# that lacks twenty keys would take gigabytes.


MAX_VALUES_AFTER_SHORTENING = 20_000
"""Maximum number of nested values in a shortened value. A transcript with the times of its characters may have more;
then only its start is validated in detail."""
MAX_TEXT_CHARACTERS_AFTER_SHORTENING = 200_000
"""Maximum number of characters of each text in a shortened value. It is above every documented limit, so that a
violation names the limit, and a multiple of four, so that shortened base64 is still base64."""
MAX_TOTAL_CHARACTERS_AFTER_SHORTENING = 400_000
"""Maximum number of characters of all texts and keys in a shortened value."""


class ValueSize(NamedTuple):
    """The size of a JSON value."""

    depth: int
    """Number of lists and objects that are inside each other."""
    value_count: int
    """Number of values, with those inside of lists and objects."""
    character_count: int
    """Number of characters of all texts and keys."""

    @property
    def must_be_shortened(self) -> bool:
        """Whether `shorten_value` could shorten the value: a text that is too long may be the only one."""
        return (
            self.value_count > MAX_VALUES_AFTER_SHORTENING
            or self.character_count > MAX_TEXT_CHARACTERS_AFTER_SHORTENING
        )


def measure_value(value: Any) -> ValueSize:
    """Return the size of a JSON value."""
    # Every request and response that does not fit its schema is measured, so all sizes come from one walk, which calls
    # no function of Python for a value. Level by level, because a value may be nested deeper than Python recurses.
    depth = value_count = character_count = 0
    level = [value]
    while level:
        value_count += len(level)
        inner_values: list[Any] = []
        is_nested = False
        for one in level:
            if isinstance(one, str):
                character_count += len(one)
            elif isinstance(one, dict):
                is_nested = True
                character_count += sum(map(len, one))
                inner_values += one.values()
            elif isinstance(one, list):
                is_nested = True
                inner_values += one
        depth += is_nested
        level = inner_values
    return ValueSize(depth, value_count, character_count)


def shorten_value(value: Any) -> Any:
    """Return `value` if it is within the limits of this module, otherwise a shortened copy that is within them.

    Texts and lists are cut, and keys that are too long or too many are left out. The nesting of `value` is not limited:
    `read_json` does that.
    """
    shortening = _ValueShortener()
    shortened = shortening.shorten(value)
    return shortened if shortening.is_shortened else value


class _ValueShortener:
    """Shortens one value, and counts how much of it may still be copied."""

    def __init__(self) -> None:
        self._nodes, self._characters = MAX_VALUES_AFTER_SHORTENING, MAX_TOTAL_CHARACTERS_AFTER_SHORTENING
        self.is_shortened = False

    def shorten(self, value: Any) -> Any:
        """Return a copy of `value` without what exceeds the limits."""
        self._nodes -= 1
        if isinstance(value, str):
            return self._shorten_text(value)
        if isinstance(value, list):
            items = []
            for item in value:
                if self._has_reached_limit():
                    break
                items.append(self.shorten(item))
            return items
        if isinstance(value, dict):
            members = {}
            for key, member in value.items():
                if self._has_reached_limit():
                    break
                if len(key) > MAX_TEXT_CHARACTERS_AFTER_SHORTENING:
                    self.is_shortened = True
                    continue
                self._characters -= len(key)
                members[key] = self.shorten(member)
            return members
        return value

    def _shorten_text(self, text: str) -> str:
        length = max(min(len(text), MAX_TEXT_CHARACTERS_AFTER_SHORTENING, self._characters), 0)
        self._characters -= length
        if length == len(text):
            return text
        self.is_shortened = True
        return text[:length]

    def _has_reached_limit(self) -> bool:
        """Whether a limit is reached, so that no more values are copied."""
        if self._nodes > 0 and self._characters > 0:
            return False
        self.is_shortened = True
        return True
