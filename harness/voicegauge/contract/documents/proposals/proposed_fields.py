"""Reads the fields of requests and responses for proposals, and writes values as YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from voicegauge.contract.schemas import Schemas
from voicegauge.formats import escape_pointer_token

_PLAIN_SCALAR_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_./#-]*")
_RESERVED_YAML_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_MAX_NESTING_DEPTH = 8
"""Maximum nesting of alternatives; schemas may refer to themselves."""


class ProposedField(NamedTuple):
    """A field of a request or response."""

    location: str
    schema: Mapping[str, Any]
    is_required: bool

    @property
    def is_text(self) -> bool:
        """Whether the field is a text, or a text or null."""
        types = self.schema.get("type")
        return {*types} - {"null"} == {"string"} if isinstance(types, list) else types == "string"


def list_body_fields(schemas: Schemas, schema: Any) -> Iterator[tuple[str, ProposedField]]:
    """Yield the properties of an object, and those of the objects in it, by location."""
    yield from _iterate_fields(schemas, schema, "body#", 0, is_parent_required=True)


def _iterate_fields(
    schemas: Schemas, schema: Any, location: str, depth: int, *, is_parent_required: bool
) -> Iterator[tuple[str, ProposedField]]:
    resolved = merge_branches(schemas, schema)
    names = resolved.get("required", ())
    for name, node in resolved.get("properties", {}).items():
        at = f"{location}/{escape_pointer_token(name)}"
        value = merge_branches(schemas, node)
        is_required = is_parent_required and name in names
        yield at, ProposedField(at, value, is_required)
        if depth == 0:
            yield from _iterate_fields(schemas, value, at, depth + 1, is_parent_required=is_required)


def merge_branches(schemas: Schemas, schema: Any, depth: int = 0) -> dict[str, Any]:
    """Return a schema with the keywords of its `allOf`, and of the branches of its `anyOf` or `oneOf`.

    If a branch is a text, the branches that are objects are left out, because a text is easier to send.
    """
    resolved = schemas.resolve_reference(schema)[0]
    if not isinstance(resolved, dict) or depth > _MAX_NESTING_DEPTH:
        return {}
    merged = dict(resolved)
    whole = [merge_branches(schemas, branch, depth + 1) for branch in resolved.get("allOf", ())]
    alternatives = [
        merge_branches(schemas, branch, depth + 1) for key in ("anyOf", "oneOf") for branch in resolved.get(key, ())
    ]
    texts = [branch for branch in alternatives if branch.get("type") == "string"]
    for part in [*whole, *(texts or alternatives)]:
        for key, value in part.items():
            if key == "properties":
                merged[key] = {**value, **merged.get(key, {})}
            elif key != "required" or part in whole:
                merged.setdefault(key, value)
    return merged


def dump_yaml(value: Any) -> str:
    """Write a value as YAML."""
    is_plain = (
        isinstance(value, str) and _PLAIN_SCALAR_PATTERN.fullmatch(value) and value.lower() not in _RESERVED_YAML_WORDS
    )
    return str(value) if is_plain else json.dumps(value)


def find_audio_yaml(fields: Mapping[str, ProposedField]) -> str:
    """Return the YAML of `audio` for the first text field with "audio" in its name: location and how it is sent.

    The result is empty if there is no such field.
    """
    for location, field in fields.items():
        name = location.rpartition("/")[2].lower()
        if "audio" in name and field.is_text:
            is_url = "url" in name or field.schema.get("format") in ("uri", "url")
            return f"{{at: {location}, delivered: {'url' if is_url else 'base64'}}}"
    return ""
