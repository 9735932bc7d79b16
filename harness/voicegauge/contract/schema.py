"""JSON Schema over the whole document: validation, references, and form fields."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

import jsonschema_rs

from voicegauge.formats import MISSING, escape, read_pointer, unescape

if TYPE_CHECKING:
    from voicegauge.formats import Document

_PATTERNS = jsonschema_rs.RegexOptions()
"""The regex engine without backtracking: a hostile string cannot stall a check."""


class SchemaError(NamedTuple):
    """One way in which an instance does not fit its schema."""

    pointer: str
    """JSON pointer into the instance."""
    schema_pointer: str
    """JSON pointer into the document, at the keyword that was broken."""
    keyword: str
    message: str


def to_pointer(path: list[str | int]) -> str:
    """The JSON pointer that `path` stands for."""
    return "".join(f"/{escape(str(token))}" for token in path)


class Schemas:
    """Validators over one document, made once and kept."""

    def __init__(self, document: Document) -> None:
        """`document` is the parsed contract; its schemas are JSON Schema 2020-12."""
        self._document = document
        self._uri = f"voicegauge:///{document.sha256}"
        self._made: dict[str, jsonschema_rs.Draft202012Validator] = {}

    @functools.cached_property
    def _registry(self) -> jsonschema_rs.Registry:
        return jsonschema_rs.Registry([(self._uri, self._document.data)], draft=jsonschema_rs.Draft202012)

    def _validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        if pointer not in self._made:
            self._made[pointer] = self._make_validator(pointer)
        return self._made[pointer]

    def _make_validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        try:
            return jsonschema_rs.Draft202012Validator(
                {"$ref": f"{self._uri}#{_fragment(pointer)}"},
                registry=self._registry,
                validate_formats=True,
                pattern_options=_PATTERNS,
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            where = to_pointer(list(getattr(error, "instance_path", ())))
            reason = f"is no JSON Schema 2020-12 that can be used: {str(error).splitlines()[0][:200]}"
            raise self._document.error(where or pointer, reason) from error

    def check(self, pointer: str) -> None:
        """Refuse a schema that cannot be used.

        Raises:
            ContractError: a type, a pattern or a reference in it is wrong.
        """
        self._validator(pointer)

    def fits(self, pointer: str, instance: Any) -> bool:
        """Whether `instance` fits the schema that stands at `pointer`."""
        return self._validator(pointer).is_valid(instance)

    def errors(self, pointer: str, instance: Any) -> Iterator[SchemaError]:
        """Every way in which `instance` does not fit the schema that stands at `pointer`."""
        for error in self._validator(pointer).iter_errors(instance):
            path = list(error.schema_path)
            yield SchemaError(
                to_pointer(list(error.instance_path)),
                to_pointer(path),
                str(path[-1]) if path else "false",
                error.message,
            )

    def resolve(self, node: Any, pointer: str = "") -> tuple[Any, str]:
        """`node` behind any `$ref`, with the pointer at which it stands.

        Keys beside a `$ref` are laid over what it leads to, as JSON Schema 2020-12
        lets both apply.
        """
        overlay: dict[str, Any] = {}
        seen: set[str] = set()
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            reference = node["$ref"]
            if reference in seen:
                raise self._document.error(pointer, f"$ref {reference!r} leads back to itself")
            if not reference.startswith("#/"):
                reason = f"$ref {reference!r} must be a JSON pointer into this document, such as #/components/schemas/X"
                raise self._document.error(pointer, reason)
            seen.add(reference)
            overlay = {**{key: value for key, value in node.items() if key != "$ref"}, **overlay}
            target = unquote(reference[1:])
            node = read_pointer(self._document.data, [unescape(token) for token in target.split("/")[1:]])
            if node is MISSING:
                raise self._document.error(pointer, f"$ref {reference!r} leads nowhere")
            if not isinstance(node, dict | bool):  # a schema may be true or false
                raise self._document.error(pointer, f"$ref {reference!r} leads to a value that is no object")
            pointer = target
        return ({**node, **overlay} if overlay and isinstance(node, dict) else node), pointer


def _fragment(pointer: str) -> str:
    """A JSON pointer as a URI fragment (RFC 6901, section 6)."""
    return quote(pointer, safe="/~!$&'()*+,;=:@-._")


def allows_location(schemas: Schemas, schema: Any, tokens: Sequence[str]) -> bool:
    """Whether a value may stand at `tokens` by the document's words.

    `False` only where the schema lists properties and none of them leads there.
    """
    return _lists(schemas, schema, tokens) is not False


def _lists(schemas: Schemas, schema: Any, tokens: Sequence[str]) -> bool | None:
    """`None` where the schema says nothing of what it holds."""
    if not tokens:
        return True
    schema, _ = schemas.resolve(schema)
    if not isinstance(schema, dict):
        return None
    properties, token = schema.get("properties"), tokens[0]
    said: list[bool | None] = []
    if isinstance(properties, dict):
        known = token in properties
        said.append(known and _lists(schemas, properties[token], tokens[1:]) is not False)
    elif token.isdecimal() and "items" in schema:
        said.append(_lists(schemas, schema["items"], tokens[1:]))
    for key in ("allOf", "anyOf", "oneOf"):
        said += [_lists(schemas, branch, tokens) for branch in schema.get(key, ())]
    for key in ("then", "else"):
        said.append(_lists(schemas, schema.get(key), tokens))
    return True if True in said else False if False in said else None


def parse_text_value(schemas: Schemas, schema: Any, text: str) -> Any:
    """A form field, query value or header as the JSON value that its schema means.

    `text` itself where no type of the schema can be read from it, so that
    validation says what is wrong.
    """
    schema, _ = schemas.resolve(schema)
    if not isinstance(schema, dict):
        return text
    types = schema.get("type", [])
    for kind in [types] if isinstance(types, str) else types:
        value = _READERS.get(kind, lambda _: MISSING)(text)
        if value is not MISSING:
            return value
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        value = parse_text_value(schemas, branch, text)
        if value != text:
            return value
    return text


def _read_integer(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return MISSING


def _read_number(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return MISSING
    if not math.isfinite(value):
        return MISSING
    return int(text) if text.lstrip("+-").isdecimal() else value


_READERS: dict[str, Any] = {
    "integer": _read_integer,
    "number": _read_number,
    "boolean": lambda text: {"true": True, "false": False}.get(text.lower(), MISSING),
    "null": lambda text: None if text == "" else MISSING,
}
