"""Generates values that fit a schema, new ids and times."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from voicegauge.contract.document_parts import MediaType, Parameter
from voicegauge.contract.operation import generate_parameter_text
from voicegauge.contract.schemas import Schemas
from voicegauge.formats.bodies import MAX_UNIX_TIME_S
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING

# Generates ids, and formats timestamps like the contract's examples.


_HEX_PLACEHOLDER_PATTERN = re.compile(r"\{hex(\d+)\}")
"""Matches the placeholder for a number of random hexadecimal digits in the template of an id, such as "{hex8}"."""
_ISO_TIMESTAMP_PATTERN = re.compile(r"^\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?$")
"""Matches a date and time in ISO 8601, and in it the separator, the digits of the second's fraction, and the zone."""
DEFAULT_ID_TEMPLATE = "{hex8}-{hex4}-4{hex3}-8{hex3}-{hex12}"
"""Template of a version 4 UUID, which is used if the contract states no id format."""


def create_seeded_random(*seed_parts: object) -> random.Random:
    """Return a random generator whose sequence depends only on `seed_parts`."""
    return random.Random(":".join(map(str, seed_parts)))  # noqa: S311 - reproducible ids, not secrets


def fill_random_hex(template: str, rng: random.Random) -> str:
    """Return `template` with every "{hexN}" replaced by N random hexadecimal digits."""
    return _HEX_PLACEHOLDER_PATTERN.sub(
        lambda found: f"{rng.getrandbits(4 * int(found[1])):0{int(found[1])}x}", template
    )


def generate_id(
    stated_template: str | None, default_template: str, id_parameter: Parameter | None, rng: random.Random
) -> str:
    """Return a new id.

    Args:
        stated_template: the format that the contract states, which is used as it is; `None` if it states none.
        default_template: the format of other ids, unless they would not fit the schema of `id_parameter`.
        id_parameter: the parameter in which clients send the id back; `None` if there is none.
        rng: generates the random part of the id.
    """
    text = fill_random_hex(stated_template or default_template, rng)
    if stated_template is not None or id_parameter is None or not id_parameter.parse_text(text).violations:
        return text
    return generate_parameter_text(id_parameter, rng) or text


def format_time_like_example(unix_time_s: float, example: Any) -> Any:
    """Format the Unix time `unix_time_s` like the example `example`: as a number, or as an ISO 8601 string in UTC.

    Args:
        unix_time_s: seconds since 1970.
        example: the documented example. If it shows no time format, milliseconds and "Z" are used.
    """
    if isinstance(example, int | float) and not isinstance(example, bool):
        # A number that is too large for seconds is in milliseconds.
        value = unix_time_s * 1000 if example > MAX_UNIX_TIME_S else unix_time_s
        return int(value) if isinstance(example, int) else value
    found = _ISO_TIMESTAMP_PATTERN.match(example) if isinstance(example, str) else None
    separator, fraction, zone = (found[1], found[2], found[3]) if found else ("T", "000", "Z")
    moment = datetime.fromtimestamp(unix_time_s, UTC)
    text = moment.strftime(f"%Y-%m-%d{separator}%H:%M:%S")
    if fraction:
        text += f".{moment.microsecond:06d}"[: len(fraction) + 1].ljust(len(fraction) + 1, "0")
    return text + {None: "", "Z": "Z"}.get(zone, "+00:00" if zone and ":" in zone else "+0000")


# Builds values that are valid under a schema, for responses without a complete example in the contract.


PLACEHOLDER_URL = "https://voicegauge-emulator.invalid/"
"""Placeholder for URLs without an example, until a URL of the emulator replaces it."""
_EXAMPLE_VALUE_BY_SCHEMA_FORMAT = {
    "uri": PLACEHOLDER_URL,
    "url": PLACEHOLDER_URL,
    "iri": PLACEHOLDER_URL,
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "email": "user@example.invalid",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
"""Texts that fit the value of the keyword `format`."""
_MAX_VALUE_DEPTH = 24
"""Maximum depth of a value. It is deeper than any documented response, and ends the recursion of a schema that requires
itself."""


_STATED_VALUE_KEYS = frozenset({"const", "default", "example", "examples", "enum"})
"""Keywords of a schema that state values."""


class _SchemaNode(NamedTuple):
    """A resolved schema and its JSON pointer in the document."""

    schema: dict[str, Any]
    json_pointer: str


def iterate_schemas_at(
    document_schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield every schema that applies to the value at `pointer_tokens` below `schema`."""
    for node in _find_schema_nodes(document_schemas, _resolve_schema(document_schemas, schema, ""), pointer_tokens, 0):
        yield node.schema


def iterate_body_schemas(media_spec: MediaType | None, pointer_tokens: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield every schema that applies to the value at `pointer_tokens` of a body.

    `media_spec` describes the body; `None` if it is not documented, and then there are no schemas.
    """
    if media_spec is not None:
        yield from iterate_schemas_at(media_spec.schemas, media_spec.schema, pointer_tokens)


def build_body_by_schema(media_spec: MediaType, initial_body: Any = MISSING, default_text: str = "") -> Any:
    """Return `initial_body` with everything that the documented schema requires; by default a minimal valid body.

    `default_text` is used for strings that the schema does not restrict further.
    """
    builder = SchemaValueBuilder(media_spec.schemas, default_text)
    schema, pointer = media_spec.part_data.get("schema", {}), media_spec.schema_pointer or media_spec.pointer
    if initial_body is MISSING:
        return builder.build_minimal_value(schema, pointer)
    return builder.complete_value(schema, pointer, initial_body)


def _resolve_schema(document_schemas: Schemas, schema: Any, json_pointer: str) -> _SchemaNode:
    resolved, at = document_schemas.resolve_reference(schema, json_pointer)
    return _SchemaNode(resolved if isinstance(resolved, dict) else {}, at)


def _find_schema_nodes(
    document_schemas: Schemas, node: _SchemaNode, pointer_tokens: Sequence[str], depth: int
) -> Iterator[_SchemaNode]:
    if depth > _MAX_VALUE_DEPTH:
        return
    if not pointer_tokens:
        yield node
    else:
        inner = _find_member_schema(document_schemas, node, pointer_tokens[0])
        if inner is not None:
            yield from _find_schema_nodes(document_schemas, inner, pointer_tokens[1:], depth + 1)
    for branch in _find_branch_schemas(document_schemas, node):
        yield from _find_schema_nodes(document_schemas, branch, pointer_tokens, depth + 1)


def _find_member_schema(document_schemas: Schemas, node: _SchemaNode, token: str) -> _SchemaNode | None:
    properties = node.schema.get("properties", {})
    if token in properties:
        return _resolve_schema(
            document_schemas, properties[token], f"{node.json_pointer}/properties/{escape_pointer_token(token)}"
        )
    if token.isdecimal() and "items" in node.schema:
        return _resolve_schema(document_schemas, node.schema["items"], f"{node.json_pointer}/items")
    return None


def _find_branch_schemas(document_schemas: Schemas, node: _SchemaNode) -> Iterator[_SchemaNode]:
    for key in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(node.schema.get(key, ())):
            yield _resolve_schema(document_schemas, branch, f"{node.json_pointer}/{key}/{index}")
    for key in ("then", "else"):
        if key in node.schema:
            yield _resolve_schema(document_schemas, node.schema[key], f"{node.json_pointer}/{key}")


def _iterate_stated_values(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Yield `const`, the default, the examples and the members of `enum` of a schema, in this order."""
    yield from (schema[key] for key in ("const", "default", "example") if key in schema)
    for key in ("examples", "enum"):
        yield from schema.get(key) or ()


class SchemaValueBuilder:
    """Builds and completes values according to the schemas of one document."""

    def __init__(self, document_schemas: Schemas, default_text: str = "") -> None:
        """Use `default_text` for strings that the schema does not restrict further."""
        self._schemas, self._text = document_schemas, default_text

    def build_minimal_value(self, schema: Any, json_pointer: str) -> Any:
        """Return a minimal value for `schema`, which is at `json_pointer` of the document.

        It is valid, unless the schema has a pattern for a text and states no value of it.
        """
        return self._build_value_at_depth(_resolve_schema(self._schemas, schema, json_pointer), 0)

    def complete_value(self, schema: Any, json_pointer: str, value: Any) -> Any:
        """Add to `value` everything that `schema` requires but `value` does not have, and return it.

        Lists and objects are changed in place.
        """
        return self._complete_value(_resolve_schema(self._schemas, schema, json_pointer), value, 0)

    def _build_value_at_depth(self, node: _SchemaNode, depth: int) -> Any:
        schema = node.schema
        for value in _iterate_stated_values(schema):
            # An example that does not fit would be a finding that the service has not caused.
            if "const" in schema or self._schemas.is_valid(node.json_pointer, value):
                return copy.deepcopy(value)  # callers write into the returned value
        json_type = self._choose_json_type(node, depth)
        if json_type == "object":
            return self._complete_value(node, {}, depth)
        if json_type == "array":
            items = _resolve_schema(self._schemas, schema.get("items", {}), f"{node.json_pointer}/items")
            return [self._build_value_at_depth(items, depth + 1) for _ in range(schema.get("minItems", 0))]
        fixed = self._find_branch_value(node, json_type, depth)
        return self._build_scalar_value(schema, json_type) if fixed is MISSING else fixed

    def _find_branch_value(self, node: _SchemaNode, json_type: str, depth: int) -> Any:
        """Return the value that an `allOf`, `anyOf` or `oneOf` branch states for a scalar; `MISSING` without any."""
        if json_type == "null" or depth > _MAX_VALUE_DEPTH:
            return MISSING
        for branch in _find_branch_schemas(self._schemas, node):
            if _STATED_VALUE_KEYS & branch.schema.keys():
                return self._build_value_at_depth(branch, depth + 1)
            found = self._find_branch_value(branch, json_type, depth + 1)
            if found is not MISSING:
                return found
        return MISSING

    def _build_scalar_value(self, schema: Mapping[str, Any], json_type: str) -> Any:
        if json_type == "string":
            default_text = _EXAMPLE_VALUE_BY_SCHEMA_FORMAT.get(schema.get("format", ""), self._text)
            return default_text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
        if json_type in ("integer", "number"):
            return schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)  # 0 without a bound
        return False if json_type == "boolean" else None

    def _choose_json_type(self, node: _SchemaNode, depth: int) -> str:
        json_types = node.schema.get("type", [])
        json_types = [json_types] if isinstance(json_types, str) else list(json_types)
        if json_types:
            # Nullable fields stay null until a real value is written.
            return "null" if "null" in json_types else str(json_types[0])
        if "properties" in node.schema or "required" in node.schema:
            return "object"
        if depth < _MAX_VALUE_DEPTH:
            for branch in _find_branch_schemas(self._schemas, node):
                return self._choose_json_type(branch, depth + 1)
        return "string"

    def _complete_value(self, node: _SchemaNode, value: Any, depth: int) -> Any:
        if depth > _MAX_VALUE_DEPTH:
            return value
        if isinstance(value, dict):
            self._complete_members(node, value, depth)
        elif isinstance(value, list) and "items" in node.schema:
            items = _resolve_schema(self._schemas, node.schema["items"], f"{node.json_pointer}/items")
            value[:] = [self._complete_value(items, item, depth + 1) for item in value]
        for branch in self._find_applicable_branches(node, value):
            value = self._complete_value(branch, value, depth + 1)
        return value

    def _complete_members(self, node: _SchemaNode, value: dict[str, Any], depth: int) -> None:
        for name in node.schema.get("required", ()):
            if name not in value:
                inner = next(_find_schema_nodes(self._schemas, node, [name], 0), _SchemaNode({}, node.json_pointer))
                value[name] = self._build_value_at_depth(inner, depth + 1)
        for name in node.schema.get("properties", {}):
            member = _find_member_schema(self._schemas, node, name)
            if name in value and member is not None:
                value[name] = self._complete_value(member, value[name], depth + 1)

    def _find_applicable_branches(self, node: _SchemaNode, value: Any) -> Iterator[_SchemaNode]:
        """Yield the subschemas that apply to `value`; of "oneOf" and "anyOf", only the first compatible branch."""
        # A value that fits several branches of "oneOf" is invalid, so the members of one branch only are added.
        schema = node.schema
        for index, branch in enumerate(schema.get("allOf", ())):
            yield _resolve_schema(self._schemas, branch, f"{node.json_pointer}/allOf/{index}")
        for key in ("oneOf", "anyOf"):
            branches = (
                _resolve_schema(self._schemas, branch, f"{node.json_pointer}/{key}/{index}")
                for index, branch in enumerate(schema.get(key, ()))
            )
            chosen = next((branch for branch in branches if self._is_compatible_with_branch(branch, value)), None)
            if chosen is not None:
                yield chosen
        if "if" in schema:
            key = "then" if self._schemas.is_valid(f"{node.json_pointer}/if", value) else "else"
            if key in schema:
                yield _resolve_schema(self._schemas, schema[key], f"{node.json_pointer}/{key}")

    def _is_compatible_with_branch(self, branch: _SchemaNode, value: Any) -> bool:
        """Whether `value` can be completed to fit `branch`, that is, contradicts no fixed value of the branch."""
        if not isinstance(value, dict):
            return self._schemas.is_valid(branch.json_pointer, value)
        if branch.schema.get("type", "object") != "object":
            return False
        return all(
            self._schemas.is_valid(f"{branch.json_pointer}/properties/{escape_pointer_token(name)}", value[name])
            for name, schema in branch.schema.get("properties", {}).items()
            if name in value and isinstance(schema, dict) and ("const" in schema or "enum" in schema)
        )
