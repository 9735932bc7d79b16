"""Reads the parameters of a follow-up request (status, result, cancellation) from a response.

The links in the contract document which value of the response is used for which parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeGuard

from voicegauge.contract import MISSING, Operation, ParsedExchange, read_pointer
from voicegauge.formats import Location, is_json, unescape_pointer_token
from voicegauge.recording import find_secret_spelling

_RUNTIME_EXPRESSION_PATTERN = re.compile(
    r"^\$(?P<side>request|response)\.(?P<source>body|header\.|query\.|path\.)(?P<rest>.*)$"
)
MAX_ID_CHARACTERS = 512
"""Maximum length of an id, which becomes part of a URL. Servers commonly reject URLs over 2,000 characters; real ids
are far shorter."""


def is_usable_id(json_value: Any) -> bool:
    """Whether `json_value` can be a job id: a short text without control characters."""
    return isinstance(json_value, str) and 0 < len(json_value) <= MAX_ID_CHARACTERS and json_value.isprintable()


def is_storable_id(json_value: Any, secrets: Iterable[str]) -> TypeGuard[str]:
    """Whether `json_value` can be an id and contains no secret, so that it can be saved and printed."""
    return is_usable_id(json_value) and find_secret_spelling(json_value.encode(), secrets) is None


def evaluate_runtime_expression(exchange: ParsedExchange, expression: Any) -> Any:
    """Return the value in `exchange` that an OpenAPI runtime expression names (OpenAPI 3.1, section 4.8.20.4).

    An `expression` that does not begin with "$" is a constant and is returned unchanged. The result is `MISSING` if the
    exchange has no such value.
    """
    if not isinstance(expression, str) or not expression.startswith("$"):
        return expression
    found = _RUNTIME_EXPRESSION_PATTERN.match(expression)
    if not found:
        return MISSING
    source, rest = found["source"], found["rest"]
    if found["side"] == "request":
        return _read_request_value(exchange, source, rest)
    if source == "header.":
        return exchange.read_response_value(Location("header", rest))
    return (
        exchange.read_response_value(Location("body", pointer_tokens=_parse_pointer_tokens(rest)))
        if source == "body"
        else MISSING
    )


def _read_request_value(exchange: ParsedExchange, parameter_kind: str, parameter_name: str) -> Any:
    request = exchange.exchange.request
    if parameter_kind == "header.":
        value = request.find_header(parameter_name)
        return MISSING if value is None else value
    if parameter_kind == "query.":
        return exchange.query_parameters.get(parameter_name, MISSING)
    return (
        read_pointer(_read_request_body(exchange), _parse_pointer_tokens(parameter_name))
        if parameter_kind == "body"
        else MISSING
    )


def _read_request_body(exchange: ParsedExchange) -> Any:
    if is_json(exchange.exchange.request.media_type):
        return exchange.request_json
    return exchange.request_form.fields if exchange.request_form is not None else MISSING


def _parse_pointer_tokens(pointer_fragment: str) -> list[str]:
    return [unescape_pointer_token(token) for token in pointer_fragment.removeprefix("#").split("/")[1:]]


def read_link_parameters(
    exchange: ParsedExchange, source_operation: Operation, target_operation: Operation
) -> dict[str, Any] | None:
    """Return the parameters of `target_operation`, as a link in the response of `source_operation` documents them.

    Return `None` if no link names `target_operation`, or if a value that the link needs is missing from the exchange.
    """
    response = source_operation.find_response(exchange.exchange.response.status)
    if response is None:
        return None
    for link in response.links.values():
        if link.get("operationId") != target_operation.id:
            continue
        values = {
            name: evaluate_runtime_expression(exchange, value) for name, value in link.get("parameters", {}).items()
        }
        usable = {name: value for name, value in values.items() if is_usable_id(value) or _is_number_or_boolean(value)}
        return usable if len(usable) == len(values) else None
    return None


def _is_number_or_boolean(json_value: Any) -> bool:
    """Whether `json_value` is a number or a boolean. A link can assign such a value to a parameter, as it can an id."""
    return isinstance(json_value, bool | int | float)


def find_id_parameter(
    source_operation: Operation | None, target_operation: Operation, id_location: Location | None
) -> str | None:
    """Return the name of the parameter of `target_operation` that takes the job id.

    This is the parameter to which a link of `source_operation` assigns the value at `id_location`. Without such a link
    it is the only required parameter of `target_operation`. Return `None` if neither exists.
    """
    expression = f"$response.{id_location}"
    for response in source_operation.responses.values() if source_operation else ():
        for link in response.links.values():
            if link.get("operationId") == target_operation.id:
                for name, value in link.get("parameters", {}).items():
                    if value == expression:
                        return _remove_location_prefix(str(name))
    required = [parameter.name for parameter in target_operation.parameters if parameter.is_required]
    return required[0] if len(required) == 1 else None


def _remove_location_prefix(name: str) -> str:
    """Remove the location from a parameter name such as "path.id" (allowed in links by OpenAPI 3.1)."""
    location, _, rest = name.partition(".")
    return rest if location in ("path", "query", "header") and rest else name


def group_parameters_by_location(operation: Operation, values_by_name: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Group `values_by_name` by the documented location of each parameter: "path", "query" or "header"."""
    grouped: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    documented = {parameter.name: parameter.message_part for parameter in operation.parameters}
    for name, value in values_by_name.items():
        bare = _remove_location_prefix(name)
        location = documented.get(name) or documented.get(bare) or "query"
        if location in grouped:
            grouped[location][name if name in documented else bare] = value
    return grouped
