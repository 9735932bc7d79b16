"""Rewords why data does not fit a record, because msgspec's messages use names of Python types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_PLAIN_NAME_BY_TYPE: Mapping[str, str] = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "a mapping",
    "str": "a text",
}
_TYPE_NAME_BY_CLASS = {
    list: "array",
    bool: "bool",
    float: "float",
    int: "int",
    type(None): "null",
    dict: "object",
    str: "str",
}
_BOUND_PHRASE_BY_SIGN: Mapping[str, str] = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_PLAIN_WORDING_BY_PATTERN: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (
        r"Expected `([^`]+)`, got `([^`]+)`",
        lambda found: f"must be {_format_type_names(found[1])}, not {_format_type_names(found[2])}",
    ),
    (
        r"Expected `(array|object)` of length (>=|<=) (\S+)",
        lambda m: f"must have {_BOUND_PHRASE_BY_SIGN[m[2]]} {m[3]} entries",
    ),
    (r"Expected `str` of length (>=|<=) (\S+)", lambda m: f"must have {_BOUND_PHRASE_BY_SIGN[m[1]]} {m[2]} characters"),
    (r"Expected `str` matching regex (.+)", lambda m: f"must be a text that matches {m[1]}"),
    (
        r"Expected `(int|float)` (>=|>|<=|<) (\S+)",
        lambda m: f"must be {_format_type_names(m[1])}, {_BOUND_PHRASE_BY_SIGN[m[2]]} {m[3]}",
    ),
    (r"Object missing required field `([^`]*)`", lambda found: f"needs the key {found[1]!r}"),
    (r"Object contains unknown field `([^`]*)`", lambda found: f"the key {found[1]!r} is not known here"),
    (r"Invalid enum value (.+)", lambda found: f"{found[1]} is not one of the possible values"),
)


def explain_type_error(reason: str) -> str:
    """Return msgspec's `reason` in plain words. A reason of an unknown form is returned unchanged."""
    for pattern, reword in _PLAIN_WORDING_BY_PATTERN:
        found = re.fullmatch(pattern, reason)
        if found:
            return reword(found)
    return reason


def describe_type(value: Any) -> str:
    """Return the plain name of the type of a JSON value: "a text"."""
    return _PLAIN_NAME_BY_TYPE[_TYPE_NAME_BY_CLASS[type(value)]]


def _format_type_names(type_names: str) -> str:
    """Return the plain name for types such as "str | null"."""
    return " or ".join(_PLAIN_NAME_BY_TYPE.get(name, name) for name in type_names.split(" | "))
