"""Lists the constraints that a contract states for requests, and finds which of them a request satisfies or violates.

A request tries a constraint if it has a value that the constraint limits, or lacks a parameter that the constraint
requires. Which constraints it tries depends only on its shape, that is on the names and types in it. So the tried
constraints are found once for each shape.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.operation import Operation
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING
from voicegauge.rules.call import Call

MAX_CACHED_REQUEST_SHAPES = 10_000
"""Maximum number of shapes remembered per operation. A plan has hundreds; a search can generate any number."""
MAX_COMPARED_REQUESTS = 10_000
"""Maximum number of different requests of a check that are remembered, so that equal ones are not parsed again."""
MAX_COMPARED_BODY_BYTES = 10_000
"""Maximum size of a request body that is remembered, so that the same request is not parsed again: above it are files,
which would fill the memory."""
MAX_SCHEMA_DEPTH = 4
"""Maximum depth of nested objects and lists whose constraints are listed, because schemas can be recursive."""
_SCALAR_TYPES = frozenset((str, int, float, bool, type(None)))
"""Python types of the JSON values that contain no others."""
_TEXT, _NUMBER, _LIST, _OBJECT, _ANY = (str,), (int, float), (list,), (dict,), (object,)
_CONSTRAINED_TYPES_BY_KEYWORD: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("minLength", "maxLength", "pattern"), _TEXT),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBER),
    **dict.fromkeys(("minItems", "maxItems", "uniqueItems"), _LIST),
    **dict.fromkeys(("minProperties", "maxProperties", "additionalProperties"), _OBJECT),
    **dict.fromkeys(("type", "enum", "const", "oneOf", "anyOf", "not"), _ANY),
}
"""Types of the values that each keyword limits (JSON Schema 2020-12, validation, section 6). The schemas inside oneOf,
anyOf and not are not listed: which of them a value should match is not known."""


ConstraintResult = Literal["satisfied", "violated", "violated if reported"]
"""Whether a request satisfies a constraint. `satisfied`: it does. `violated`: it does not. `violated if reported`: it
does not if schema validation reports an error at the keyword of the constraint."""


@dataclass(frozen=True)
class Constraint:
    """One keyword of the schema of a request body or parameter; for `required`, one name."""

    name: str
    """Location and keyword: "body#/text maxLength"."""
    keyword_pointer: str
    """JSON pointer to the keyword."""
    value_path: tuple[str, ...]
    """Keys that lead from the body or parameter to the limited value; "*" stands for every item of a list."""
    constrained_types: tuple[type, ...]
    """Types of the values that the keyword limits."""
    media_type: str | None = None
    """Media type of the request body; `None` for a parameter."""
    parameter: Parameter | None = None
    """The parameter that has the schema; `None` for a request body."""
    required_name: str | None = None
    """For `required`: the name that must be present in the object at `value_path`, or the parameter itself."""

    def determine_result(self, values: Sequence[Any]) -> ConstraintResult | None:
        """Return whether a request satisfies the constraint; `None` if it has no value that the constraint limits.

        Args:
            values: the values in the request at `value_path`.
        """
        if self.required_name is not None:
            if self.requires_parameter:
                return "satisfied" if values else "violated"
            objects = [value for value in values if isinstance(value, dict)]
            if not objects:
                return None
            return "satisfied" if all(self.required_name in value for value in objects) else "violated"
        # A boolean is an `int` in Python, but no number in JSON.
        is_limited = any(
            isinstance(value, self.constrained_types)
            and not (isinstance(value, bool) and self.constrained_types == _NUMBER)
            for value in values
        )
        return "violated if reported" if is_limited else None

    @property
    def requires_parameter(self) -> bool:
        """Whether the constraint requires the parameter itself, not a member of an object in it."""
        return self.parameter is not None and self.keyword_pointer == f"{self.parameter.pointer}/required"


class ConstrainedRequest:
    """The values of one request that constraints limit, each read once."""

    def __init__(self, call: Call) -> None:
        """Read the request of `call`."""
        self.call = call
        self._media_type = call.exchange.request.media_type
        self.parameters = [call.read_parameter(one) for one in call.operation.parameters]
        """The parameters in the order of the operation; `None` for one that was not sent."""

    def read_root_value(self, constraint: Constraint) -> Any:
        """Return the whole body or parameter whose schema contains `constraint`; `MISSING` if it was not sent."""
        if constraint.parameter is None:
            return self.call.request_value if self._media_type == constraint.media_type else MISSING
        parsed = self.parameters[self.call.operation.parameters.index(constraint.parameter)]
        return MISSING if parsed is None else parsed.value

    @property
    def request_shape(self) -> Hashable:
        """The names and types in the request. Requests with the same shape try the same constraints."""
        parameters = tuple(
            [None if parsed is None else _compute_json_shape(parsed.value) for parsed in self.parameters]
        )
        return self._media_type, _compute_json_shape(self.call.request_value), parameters


class TriedConstraints:
    """The constraints that apply to requests with the same fields and types, and whether such requests satisfy them."""

    def __init__(self, constraint_results: Iterable[tuple[Constraint, ConstraintResult]]) -> None:
        """Store each constraint that applies to the requests, with its result for them."""
        self._constraint_results = tuple(constraint_results)

    def find_satisfaction_by_name(self, violated_pointers: Collection[str]) -> dict[str, bool]:
        """Return, by the name of each constraint, whether a request satisfies it.

        Args:
            violated_pointers: JSON pointers to the keywords that the request violates.
        """
        satisfied: dict[str, bool] = {}  # parts of an allOf can repeat a keyword for one location
        for constraint, constraint_result in self._constraint_results:
            is_satisfied = constraint_result == "satisfied" or (
                constraint_result != "violated" and constraint.keyword_pointer not in violated_pointers
            )
            satisfied[constraint.name] = is_satisfied and satisfied.get(constraint.name, True)
        return satisfied

    @property
    def lacks_required_parameter(self) -> bool:
        """Whether a required parameter is missing in the requests of the shape."""
        return any(
            constraint_result == "violated" and constraint.requires_parameter
            for constraint, constraint_result in self._constraint_results
        )


class RequestConstraints:
    """All constraints of the requests to one operation. Use `get_request_constraints` to share them."""

    def __init__(self, operation: Operation) -> None:
        """List the constraints of `operation`."""
        constraints = tuple(iterate_constraints(operation))
        self.names = tuple(dict.fromkeys(constraint.name for constraint in constraints))
        """The name of each constraint once, because the media types of one body share most constraints."""
        self.header_names = tuple(one.name for one in operation.parameters if one.message_part == "header")
        """The names of the headers that are parameters."""
        # Constraints of one value are together, so that the value is read once for the dozen keywords of its schema.
        groups: dict[Any, list[Constraint]] = {}
        for constraint in constraints:
            parameter = constraint.parameter.pointer if constraint.parameter is not None else None
            groups.setdefault((parameter, constraint.media_type, constraint.value_path), []).append(constraint)
        self._groups = tuple(groups.values())
        self._body_pointer, self._requires_body = f"{operation.pointer}/requestBody", _requires_body(operation)
        self._tried_by_shape: dict[Hashable, TriedConstraints] = {}

    def find_tried_and_violated(self, call: Call) -> tuple[TriedConstraints, frozenset[str]]:
        """Return the constraints that a request tries, and JSON pointers to the keywords that it violates."""
        request = ConstrainedRequest(call)
        return self.find_tried_constraints(request), self.list_violated_pointers(request)

    def find_tried_constraints(self, request: ConstrainedRequest) -> TriedConstraints:
        """Return the constraints that `request` tries: the same object for all requests of its shape."""
        shape = request.request_shape
        tried = self._tried_by_shape.get(shape)
        if tried is None:
            if len(self._tried_by_shape) >= MAX_CACHED_REQUEST_SHAPES:
                # All at once: it happens only in long searches, and keeping the order of use would cost every request.
                self._tried_by_shape.clear()
            tried = self._tried_by_shape[shape] = TriedConstraints(self._iterate_tried_constraints(request))
        return tried

    def list_violated_pointers(self, request: ConstrainedRequest) -> frozenset[str]:
        """Return JSON pointers to the keywords that `request` violates.

        A missing or unreadable body violates `requestBody`.
        """
        body = request.call.request_body
        violated = body.find_violated_keywords()
        if (body.media_type is None or body.value is MISSING) and (
            self._requires_body or request.call.exchange.request.body
        ):
            violated |= {self._body_pointer}
        for parsed in request.parameters:
            if parsed is not None and parsed.violations:
                violated |= {error.keyword_pointer for error in parsed.violations}
        return violated

    def _iterate_tried_constraints(self, request: ConstrainedRequest) -> Iterator[tuple[Constraint, ConstraintResult]]:
        for group in self._groups:
            found = _read_values_at_path(request.read_root_value(group[0]), group[0].value_path)
            for constraint in group:
                constraint_result = constraint.determine_result(found)
                if constraint_result is not None:
                    yield constraint, constraint_result


class ComparedRequests:
    """The requests of a check so far, each with the constraints that it tries and those that it violates.

    A third of the requests of a plan equal an earlier one: they differ in their key, or ask for another rejection.
    """

    def __init__(self) -> None:
        """Create an object without requests."""
        self._result_by_request: dict[Hashable, tuple[TriedConstraints, frozenset[str]]] = {}
        self._constraints_by_operation: dict[Operation, RequestConstraints] = {}

    def find_tried_and_violated_constraints(self, call: Call) -> tuple[TriedConstraints, frozenset[str]]:
        """Return the constraints that a request tries, and JSON pointers to the keywords that it violates."""
        operation, request = call.operation, call.exchange.request
        constraints = self._constraints_by_operation.get(operation)
        if constraints is None:
            constraints = self._constraints_by_operation[operation] = get_request_constraints(operation)
        if len(request.body) > MAX_COMPARED_BODY_BYTES:
            return constraints.find_tried_and_violated(call)
        # All that constraints limit, as it was sent: reading the parameters of the path and the query from the URL
        # takes longer than to compare it.
        headers = [request.find_header(name) for name in constraints.header_names]
        sent = operation, request.body, request.url, request.media_type, *headers
        found = self._result_by_request.get(sent)
        if found is None:
            found = constraints.find_tried_and_violated(call)
            if len(self._result_by_request) < MAX_COMPARED_REQUESTS:
                self._result_by_request[sent] = found
        return found


_CONSTRAINTS_BY_OPERATION: WeakKeyDictionary[Operation, RequestConstraints] = WeakKeyDictionary()
"""Cache of `get_request_constraints`: the constraints of each operation."""


def get_request_constraints(operation: Operation) -> RequestConstraints:
    """Return the constraints of the requests to `operation`; they are listed once."""
    found = _CONSTRAINTS_BY_OPERATION.get(operation)
    if found is None:
        found = _CONSTRAINTS_BY_OPERATION[operation] = RequestConstraints(operation)
    return found


def iterate_constraints(operation: Operation) -> Iterator[Constraint]:
    """Yield the constraints of every request body and parameter of `operation`."""
    for media in operation.request_media.values():
        if media.schema_pointer is not None:
            for keyword in _iterate_schema_constraints(operation, media.part_data["schema"], media.schema_pointer, ()):
                prefix = "body" + "".join(f"/{escape_pointer_token(token)}" for token in keyword.value_path).replace(
                    "/", "#/", 1
                )
                yield _add_name_prefix(keyword, prefix, media_type=media.name)
    for parameter in operation.parameters:
        if parameter.message_part == "cookie":
            continue  # calls do not read cookies
        prefix = f"{parameter.message_part}.{parameter.name}"
        if parameter.is_required and parameter.message_part != "path":  # no request can lack a part of its path
            pointer = f"{parameter.pointer}/required"
            yield Constraint(f"{prefix} required", pointer, (), _ANY, parameter=parameter, required_name=parameter.name)
        for keyword in _iterate_schema_constraints(
            operation, parameter.part_data.get("schema", {}), f"{parameter.pointer}/schema", ()
        ):
            yield _add_name_prefix(keyword, prefix, parameter=parameter)


def _requires_body(operation: Operation) -> bool:
    body, _ = operation.contract.schemas.resolve_reference(operation.part_data.get("requestBody", {}))
    return isinstance(body, dict) and body.get("required") is True


def _add_name_prefix(
    constraint: Constraint, name_prefix: str, *, media_type: str | None = None, parameter: Parameter | None = None
) -> Constraint:
    """Return `constraint` with `name_prefix`, the location of the value that it limits, before its keyword.

    Args:
        constraint: the constraint, whose name is a keyword without a location.
        name_prefix: the location, such as "body#/text".
        media_type: media type of the request body; `None` for a parameter.
        parameter: the parameter that has the schema; `None` for a request body.
    """
    suffix = (
        f"/{escape_pointer_token(constraint.required_name)} required"
        if constraint.required_name is not None
        else f" {constraint.name}"
    )
    if constraint.required_name is not None and "#" not in name_prefix:
        suffix = f"#{suffix}"
    return replace(constraint, name=f"{name_prefix}{suffix}", media_type=media_type, parameter=parameter)


def _iterate_schema_constraints(
    operation: Operation, schema: Any, schema_pointer: str, value_path: tuple[str, ...]
) -> Iterator[Constraint]:
    """Yield the constraints of a schema and of the schemas inside it, each named by its keyword alone."""
    schema, schema_pointer = operation.contract.schemas.resolve_reference(schema, schema_pointer)
    if not isinstance(schema, dict):
        return
    for keyword, types in _CONSTRAINED_TYPES_BY_KEYWORD.items():
        # `additionalProperties: true` limits nothing.
        if keyword in schema and (keyword, schema[keyword]) != ("additionalProperties", True):
            yield Constraint(keyword, f"{schema_pointer}/{keyword}", value_path, types)
    for name in schema.get("required", ()):
        yield Constraint("required", f"{schema_pointer}/required", value_path, _OBJECT, required_name=name)
    for index, part in enumerate(schema.get("allOf", ())):
        yield from _iterate_schema_constraints(operation, part, f"{schema_pointer}/allOf/{index}", value_path)
    if len(value_path) < MAX_SCHEMA_DEPTH:
        for name, inner in schema.get("properties", {}).items():
            yield from _iterate_schema_constraints(
                operation, inner, f"{schema_pointer}/properties/{escape_pointer_token(name)}", (*value_path, name)
            )
        if isinstance(schema.get("items"), dict):
            yield from _iterate_schema_constraints(
                operation, schema["items"], f"{schema_pointer}/items", (*value_path, "*")
            )


def _compute_json_shape(value: Any) -> Any:
    """Return the keys and types of a JSON value. The order and number of a list's items do not matter."""
    if isinstance(value, dict):
        # Most members are scalars: they are recognized here, because a function call for each costs twice as much.
        return tuple(
            [
                (key, type(inner) if type(inner) in _SCALAR_TYPES else _compute_json_shape(inner))
                for key, inner in value.items()
            ]
        )
    if isinstance(value, list):
        # Constraints of items ask whether any item has a type, so lists of the same types need no shapes of their own.
        return frozenset(map(_compute_json_shape, value))
    return MISSING if value is MISSING else type(value)


def _read_values_at_path(root_value: Any, value_path: Sequence[str]) -> list[Any]:
    """Return every value at `value_path`, in which "*" stands for all items of a list."""
    values = [] if root_value is MISSING else [root_value]
    for key in value_path:
        if key == "*":
            values = [item for value in values if isinstance(value, list) for item in value]
        else:
            values = [value[key] for value in values if isinstance(value, dict) and key in value]
    return values
