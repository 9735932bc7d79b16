"""Validates values against the JSON Schemas of a document and resolves references in it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import jsonschema_rs

from voicegauge.contract.schemas.schema_violations import SchemaViolation, omit_consequences_of_missing_keys
from voicegauge.errors import ContractError
from voicegauge.formats import (
    MISSING,
    Document,
    escape_pointer_token,
    quote_json,
    read_document,
    read_pointer,
    unescape_pointer_token,
)

_REGEX_OPTIONS = jsonschema_rs.RegexOptions()
"""Selects the regex engine without backtracking, so that a malicious string in traffic cannot stall a check."""
_VALUE_PLACEHOLDER = "\0"
"""Text that the validator writes into messages in place of a value, which may have megabytes. No other message contains
it."""
MAX_QUOTED_VALUE_CHARACTERS = 10_000
"""Number of characters of a value that are kept before secrets are masked. It is far more than a message shows in the
end, because masking shortens the text."""
MAX_REASON_CHARACTERS = 200
"""Maximum length of a reason, because the validator's message may quote the whole schema."""


def format_json_pointer(pointer_tokens: list[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) for a list of keys and indices."""
    return "".join(f"/{escape_pointer_token(str(token))}" for token in pointer_tokens)


class Schemas:
    """The schemas of one document. A validator is compiled at its first use and reused."""

    def __init__(self, document: Document) -> None:
        """Validate against the schemas of `document`, which are JSON Schema 2020-12."""
        self.document = document
        self._uri = f"voicegauge:///{document.sha256}"
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    @functools.cached_property
    def _registry(self) -> jsonschema_rs.Registry:
        return jsonschema_rs.Registry([(self._uri, self.document.data)], draft=jsonschema_rs.Draft202012)

    def _get_validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        if pointer not in self._validators:
            self._validators[pointer] = self._compile_validator(pointer)
        return self._validators[pointer]

    def _compile_validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        try:
            return jsonschema_rs.Draft202012Validator(
                {"$ref": f"{self._uri}#{_format_uri_fragment(pointer)}"},
                registry=self._registry,
                validate_formats=True,
                pattern_options=_REGEX_OPTIONS,
                mask=_VALUE_PLACEHOLDER,
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            at = format_json_pointer(list(getattr(error, "instance_path", ())))
            detail = str(error).splitlines()[0][:MAX_REASON_CHARACTERS]
            raise self.document.build_error(at or pointer, f"is not a usable JSON Schema 2020-12: {detail}") from error

    def check_schema(self, pointer: str) -> None:
        """Check that the schema at `pointer` can be used.

        Raises:
            ContractError: a keyword has a wrong value, or a pattern or a reference is wrong.
        """
        pointer_tokens = [unescape_pointer_token(token) for token in pointer.split("/")[1:]]
        try:
            jsonschema_rs.meta.validate(read_pointer(self.document.data, pointer_tokens))
        except jsonschema_rs.ValidationError as error:
            at = f"{pointer}{format_json_pointer(error.instance_path)}"
            raise self.document.build_error(at, f"is not a valid JSON Schema 2020-12: {error.message}") from error
        # Most of the schemas of a large document are never used; each compiled one takes up to a third of a megabyte.
        self._compile_validator(pointer)

    def check_default(self, pointer: str, default: Any) -> None:
        """Check that the default of the schema at `pointer` is valid against it.

        Raises:
            ContractError: it is not.
        """
        if not self._compile_validator(pointer).is_valid(default):
            shown = quote_json(default, MAX_REASON_CHARACTERS, is_compact=True)
            raise self.document.build_error(f"{pointer}/default", f"the default {shown} does not fit its own schema")

    def is_valid(self, pointer: str, instance: Any) -> bool:
        """Whether `instance` is valid against the schema at `pointer`."""
        return self._get_validator(pointer).is_valid(instance)

    def iterate_violations(self, pointer: str, instance: Any) -> Iterator[SchemaViolation]:
        """Yield a violation for every part of `instance` that does not fit the schema at `pointer`.

        What a condition requires is left out if the condition holds only because a required key is missing.
        """
        if self.is_valid(pointer, instance):  # most values are valid, which is found out faster than what is wrong
            return iter(())
        return omit_consequences_of_missing_keys(
            self._iterate_all_violations(pointer, instance), instance, self._read_schema
        )

    def _read_schema(self, pointer_tokens: list[str]) -> Any:
        return self.resolve_reference(read_pointer(self.document.data, pointer_tokens))[0]

    def _iterate_all_violations(self, pointer: str, instance: Any) -> Iterator[SchemaViolation]:
        for error in self._get_validator(pointer).iter_errors(instance):
            path, location = list(error.schema_path), format_json_pointer(list(error.instance_path))
            keyword = str(path[-1]) if path else "false"
            yield SchemaViolation(
                location,
                format_json_pointer(path),
                keyword,
                _insert_value_into_message(error.message, location, instance),
            )

    def iterate_violated_keywords(self, pointer: str, instance: Any) -> Iterator[str]:
        """Yield JSON pointers to the keywords that `instance` violates, without building messages."""
        return (format_json_pointer(error.schema_path) for error in self._get_validator(pointer).iter_errors(instance))

    def resolve_reference(self, node: Any, pointer: str = "") -> tuple[Any, str]:
        """Resolve the `$ref` of `node`; return the resulting value, and the pointer to the place where it is defined.

        Keys next to a `$ref` override those of the referenced object, because JSON Schema 2020-12 applies both.

        Raises:
            ContractError: a reference points outside the document, to a part that does not exist, or back to itself.
        """
        overlay: dict[str, Any] = {}
        seen: set[str] = set()
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            reference = node["$ref"]
            if reference in seen:
                raise self.document.build_error(pointer, f"$ref {reference!r} leads back to itself")
            if not reference.startswith("#/"):
                raise self.document.build_error(pointer, describe_unusable_reference(self.document, pointer, reference))
            seen.add(reference)
            overlay = {**{key: value for key, value in node.items() if key != "$ref"}, **overlay}
            target = unquote(reference[1:])
            node = read_pointer(self.document.data, [unescape_pointer_token(token) for token in target.split("/")[1:]])
            if node is MISSING:
                raise self.document.build_error(pointer, f"$ref {reference!r} leads nowhere")
            if not isinstance(node, dict | bool):  # `true` and `false` are schemas, too
                raise self.document.build_error(pointer, f"$ref {reference!r} leads to a value that is not an object")
            pointer = target
        return ({**node, **overlay} if overlay and isinstance(node, dict) else node), pointer


def describe_unusable_reference(document: Document, pointer: str, reference: str) -> str:
    """Return why `reference`, which does not lead into its document, cannot be followed.

    Args:
        document: the document, in which the files that could be read are embedded.
        pointer: JSON pointer of the reference in it.
        reference: the value of `$ref`.
    """
    file, _, _ = reference.partition("#")
    if "://" in file:
        return f"$ref {reference!r} is a URL: download the file, and name its path relative to this one"
    if not file:
        return f"$ref {reference!r} must be a JSON pointer into this document, such as #/components/schemas/X"
    name = unquote(file)
    try:
        if "\0" in name:
            return f"$ref {reference!r} cannot be the name of a file"
        read_document(document.find_position(pointer).path.parent / name)
    except ContractError as error:
        return f"$ref {reference!r}: {error}"
    return f"$ref {reference!r} leads to one file more than a document may have"


def _insert_value_into_message(message: str, pointer: str, instance: Any) -> str:
    """Return the validator's message, with the value at `pointer` in place of the placeholder."""
    if _VALUE_PLACEHOLDER not in message:
        return message
    value = read_pointer(instance, [unescape_pointer_token(token) for token in pointer.split("/")[1:]])
    return message.replace(_VALUE_PLACEHOLDER, quote_json(value, MAX_QUOTED_VALUE_CHARACTERS, is_compact=True))


def _format_uri_fragment(pointer: str) -> str:
    """Write a JSON pointer as a URI fragment (RFC 6901, section 6)."""
    return quote(pointer, safe="/~!$&'()*+,;=:@-._")
