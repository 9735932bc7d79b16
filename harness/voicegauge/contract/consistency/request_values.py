"""Checks that the values which a target sends are among those that the document allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.contract.contract import Operation
from voicegauge.contract.schemas import list_choices
from voicegauge.formats import Location, is_form, is_json, quote_json

_MAX_SHOWN_CHARACTERS = 200


def check_request_value(
    operation: Operation, pointer: str, location: Location, value: Any, media_type: str | None = None
) -> None:
    """Check that `value` is one of the values that the document lists for a location, if it lists any.

    Values listed inside `oneOf` or `anyOf` are ignored.

    Args:
        operation: the operation that the value is sent to.
        pointer: JSON pointer of the value in the document.
        location: where the value is in a request.
        value: the value.
        media_type: the media type of the request, if it can have only one.

    Raises:
        ContractError: the value is not allowed in a request of any media type.
    """
    allowed = list(_iterate_choices(operation, location, media_type))
    if not allowed or any(choices is None or _is_documented_choice(value, choices) for choices in allowed):
        return
    values = quote_json(allowed[0], _MAX_SHOWN_CHARACTERS)[1:].removesuffix("]")
    reason = f"{quote_json(value, _MAX_SHOWN_CHARACTERS)} is not a documented value of {location}: {values}"
    raise operation.contract.document.build_error(pointer, reason)


def _iterate_choices(operation: Operation, location: Location, media_type: str | None) -> Iterator[list[Any] | None]:
    """Yield the allowed values at `location` for each parameter or media type that has it; `None` if any is allowed."""
    schemas = operation.schemas
    if not location.is_in_body:
        for parameter in operation.parameters:
            if (parameter.message_part, parameter.name) == (location.message_part, location.name):
                yield list_choices(schemas, parameter.schema, ())
        return
    for name, media in operation.request_media.items():
        if name == media_type or (media_type is None and (is_json(name) or is_form(name) or name == "*/*")):
            yield list_choices(schemas, media.schema, location.pointer_tokens)


def _is_documented_choice(value: Any, choices: list[Any]) -> bool:
    """Whether `value` is one of `choices`, also as the text that forms and parameters send: 1 as "1"."""
    return value in choices or _format_value(value) in map(_format_value, choices)


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else quote_json(value, _MAX_SHOWN_CHARACTERS)
