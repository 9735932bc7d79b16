"""Defines violations of schemas by values, and leaves out those that only follow from a missing key.

A condition such as `if: {properties: {state: {const: done}}}` holds for every object without `state`, because
`properties` says nothing about keys that are absent. If `state` is required, its absence is an error. What `then`
requires is then a second error about the same defect, which is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from voicegauge.formats import MISSING, escape_pointer_token, read_pointer, unescape_pointer_token

MAX_HELD_BACK_VIOLATIONS = 1_000
"""Maximum number of violations below `then` that are kept in memory until it is known whether they are left out."""
SchemaReader = Callable[[list[str]], Any]
"""A function that returns the schema at the keys of a JSON pointer, with its reference resolved."""
MissingKeys = set[tuple[str, str]]
"""Pairs of the JSON pointer to an object and a required key that the object lacks."""


class SchemaViolation(NamedTuple):
    """A violation of a schema: which part of a value violates which keyword. It is a record, not an exception."""

    value_pointer: str
    """JSON pointer, within the validated value, to the part that violates the schema."""
    keyword_pointer: str
    """JSON pointer, within the document, to the violated keyword."""
    keyword: str
    """Name of the violated keyword, such as "required"."""
    message: str


def omit_consequences_of_missing_keys(
    violations: Iterable[SchemaViolation], instance: Any, read_schema: SchemaReader
) -> Iterator[SchemaViolation]:
    """Yield `violations` without those below `then` whose condition holds only because a required key is missing.

    Args:
        violations: all violations of one validation.
        instance: the value that was validated.
        read_schema: reads the document with the schemas.
    """
    delayed: list[SchemaViolation] = []
    missing: MissingKeys = set()
    for violation in violations:
        if "/then/" in violation.keyword_pointer and len(delayed) < MAX_HELD_BACK_VIOLATIONS:
            delayed.append(violation)
            continue
        if violation.keyword == "required":
            names = read_schema(_split_json_pointer(violation.keyword_pointer))
            missing |= {
                (violation.value_pointer, name)
                for name in names
                if name not in _read_value_at_pointer(instance, violation.value_pointer)
            }
        yield violation
    for violation in delayed:
        if not missing or not _is_consequence_of_missing_keys(violation, instance, read_schema, missing):
            yield violation


def _is_consequence_of_missing_keys(
    violation: SchemaViolation, instance: Any, read_schema: SchemaReader, missing_keys: MissingKeys
) -> bool:
    pointer_tokens = _split_json_pointer(violation.keyword_pointer)
    for index, keyword in enumerate(pointer_tokens):
        if keyword != "then" or pointer_tokens[index - 1 : index] == ["properties"]:
            continue
        depth = pointer_tokens[index:].count(
            "properties"
        )  # levels from the object with the condition to the wrong value
        path = violation.value_pointer.split("/")
        pointer = "/".join(path[: len(path) - depth])
        if _is_about_missing_key(
            read_schema([*pointer_tokens[:index], "if"]),
            _read_value_at_pointer(instance, pointer),
            pointer,
            missing_keys,
        ):
            return True
    return False


def _is_about_missing_key(condition: Any, value: Any, pointer: str, missing_keys: MissingKeys) -> bool:
    """Whether `condition` is about a key that `value`, the instance at `pointer`, lacks although it is required."""
    if not isinstance(condition, dict) or not isinstance(value, dict):
        return False
    if any(_is_about_missing_key(part, value, pointer, missing_keys) for part in condition.get("allOf", ())):
        return True
    for name, inner in condition.get("properties", {}).items():
        if (pointer, name) in missing_keys:
            return True
        if name in value and _is_about_missing_key(
            inner, value[name], f"{pointer}/{escape_pointer_token(name)}", missing_keys
        ):
            return True
    return False


def _split_json_pointer(pointer: str) -> list[str]:
    return [unescape_pointer_token(token) for token in pointer.split("/")[1:]]


def _read_value_at_pointer(instance: Any, pointer: str) -> Any:
    value = read_pointer(instance, _split_json_pointer(pointer))
    return {} if value is MISSING else value
