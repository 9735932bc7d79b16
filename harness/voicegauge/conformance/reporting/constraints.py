"""Lists the constraints that a contract states for requests, and tells whether a request satisfies each."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from voicegauge.checks import Call
from voicegauge.contract import MISSING, Operation, Parameter, parse_text_value, request_media_type
from voicegauge.formats import Location, escape

MAX_DEPTH = 4
"""Number of nested levels of objects and lists whose constraints are listed, because schemas can be recursive."""
MAX_ERRORS = 1_000
"""Maximum number of violations read from one body, because each item of a long list can violate the same keyword."""
_TEXT, _NUMBER, _LIST, _OBJECT, _ANY = (str,), (int, float), (list,), (dict,), (object,)
_LIMITED_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("minLength", "maxLength", "pattern"), _TEXT),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBER),
    **dict.fromkeys(("minItems", "maxItems", "uniqueItems"), _LIST),
    **dict.fromkeys(("minProperties", "maxProperties", "additionalProperties"), _OBJECT),
    **dict.fromkeys(("type", "enum", "const", "oneOf", "anyOf", "not"), _ANY),
}
"""Types of the values that each keyword limits (JSON Schema 2020-12, validation, section 6). Keywords inside oneOf,
anyOf and not are not listed as constraints, because it is not known which of these schemas a value should match."""


@dataclass(frozen=True)
class Constraint:
    """One keyword in the schema of a request body or parameter. Each name in `required` is a constraint of its own."""

    name: str
    """Location and keyword: "body#/text maxLength"."""
    pointer: str
    """JSON pointer to the keyword."""
    path: tuple[str, ...]
    """Keys of the limited value in the body or parameter, outermost first; "*" for every item of a list."""
    types: tuple[type, ...]
    """Types of the values that the keyword limits."""
    media_type: str | None = None
    """Media type of the request body; `None` for a parameter."""
    parameter: Parameter | None = None
    required: str | None = None
    """For `required`, the name that must be present in the object at `path`, or the name of the required parameter;
    `None` for other keywords."""

    def observe(self, call: Call, violated: Collection[str]) -> Iterator[bool]:
        """Yield once whether a request satisfies the constraint; yield nothing if it has no value to which it applies.

        Args:
            call: the call with the request.
            violated: pointers to the keywords that the request violates.
        """
        values = list(_read_all(self._root(call), self.path))
        if self.required is not None:
            if self.parameter is not None:
                yield values != []
            elif objects := [value for value in values if isinstance(value, dict)]:
                yield all(self.required in value for value in objects)
            return
        if any(isinstance(value, self.types) and not _is_flag_as_number(value, self.types) for value in values):
            yield self.pointer not in violated

    def is_missing(self, call: Call) -> bool:
        """Whether the constraint requires a parameter that is missing in the request."""
        return self.parameter is not None and self.required is not None and self._root(call) is MISSING

    def _root(self, call: Call) -> Any:
        if self.parameter is not None:
            return _parameter_value(call, self.parameter)
        return call.request_value if request_media_type(call.exchange.request) == self.media_type else MISSING


def list_constraints(operation: Operation) -> Iterator[Constraint]:
    """Yield the constraints of every request body and parameter of `operation`."""
    for media in operation.request_media.values():
        if media.schema_pointer is not None:
            for keyword in _walk(operation, media.data["schema"], media.schema_pointer, ()):
                prefix = "body" + "".join(f"/{escape(token)}" for token in keyword.path).replace("/", "#/", 1)
                yield _named(keyword, prefix, media_type=media.name)
    for parameter in operation.parameters:
        if parameter.location == "cookie":
            continue
        prefix = f"{parameter.location}.{parameter.name}"
        if parameter.required and parameter.location != "path":
            pointer = f"{parameter.pointer}/required"
            yield Constraint(f"{prefix} required", pointer, (), _ANY, parameter=parameter, required=parameter.name)
        for keyword in _walk(operation, parameter.data.get("schema", {}), f"{parameter.pointer}/schema", ()):
            yield _named(keyword, prefix, parameter=parameter)


def violated_pointers(call: Call) -> set[str]:
    """Return pointers to the keywords that a request violates; a missing or unreadable body violates `requestBody`."""
    violated: set[str] = set()
    media = call.operation.request_media.get(request_media_type(call.exchange.request))
    if media is not None and call.request_value is not MISSING:
        violated |= {error.schema_pointer for error in itertools.islice(media.errors(call.request_value), MAX_ERRORS)}
    elif call.exchange.request.body or _requires_body(call.operation):
        violated.add(f"{call.operation.pointer}/requestBody")
    for parameter in call.operation.parameters:
        value = MISSING if parameter.location == "cookie" else _parameter_value(call, parameter)
        if value is not MISSING:
            violated |= {error.schema_pointer for error in parameter.errors(value)}
    return violated


def _requires_body(operation: Operation) -> bool:
    body, _ = operation.contract.schemas.resolve(operation.data.get("requestBody", {}))
    return isinstance(body, dict) and body.get("required") is True


def _parameter_value(call: Call, parameter: Parameter) -> Any:
    value = call.read_request(Location(parameter.location, parameter.name))  # type: ignore[arg-type]
    return value if value is MISSING else parse_text_value(call.contract.schemas, parameter.schema, value)


def _named(
    keyword: Constraint, prefix: str, *, media_type: str | None = None, parameter: Parameter | None = None
) -> Constraint:
    suffix = f"/{escape(keyword.required)} required" if keyword.required is not None else f" {keyword.name}"
    if keyword.required is not None and "#" not in prefix:
        suffix = f"#{suffix}"
    return Constraint(
        f"{prefix}{suffix}", keyword.pointer, keyword.path, keyword.types, media_type, parameter, keyword.required
    )


def _walk(operation: Operation, schema: Any, pointer: str, path: tuple[str, ...]) -> Iterator[Constraint]:
    schema, pointer = operation.contract.schemas.resolve(schema, pointer)
    if not isinstance(schema, dict):
        return
    for keyword, types in _LIMITED_TYPES.items():
        # `additionalProperties: true` does not limit anything.
        if keyword in schema and (keyword, schema[keyword]) != ("additionalProperties", True):
            yield Constraint(keyword, f"{pointer}/{keyword}", path, types)
    for name in schema.get("required", ()):
        yield Constraint("required", f"{pointer}/required", path, _OBJECT, required=name)
    for index, part in enumerate(schema.get("allOf", ())):
        yield from _walk(operation, part, f"{pointer}/allOf/{index}", path)
    if len(path) < MAX_DEPTH:
        for name, inner in schema.get("properties", {}).items():
            yield from _walk(operation, inner, f"{pointer}/properties/{escape(name)}", (*path, name))
        if isinstance(schema.get("items"), dict):
            yield from _walk(operation, schema["items"], f"{pointer}/items", (*path, "*"))


def _read_all(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """Yield every value at `path`, in which "*" stands for all items of a list."""
    if value is MISSING:
        return
    if not path:
        yield value
    elif path[0] == "*":
        for item in value if isinstance(value, list) else ():
            yield from _read_all(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _read_all(value[path[0]], path[1:])


def _is_flag_as_number(value: Any, types: tuple[type, ...]) -> bool:
    """Whether `value` is a boolean, which is an `int` in Python but not a number in JSON."""
    return isinstance(value, bool) and types == _NUMBER
