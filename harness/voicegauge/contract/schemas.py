"""Reads JSON Schemas of a document: their values, and violations of them.

A condition such as `if: {properties: {state: {const: done}}}` holds for every object without `state`, because
`properties` says nothing about keys that are absent. If `state` is required, its absence is an error. What `then`
requires is then a second error about the same defect, which is left out.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote, unquote

import jsonschema_rs

from voicegauge.contract._size_limits import MAX_VALUES_AFTER_SHORTENING, NestedErrorLimit, measure_value, shorten_value
from voicegauge.errors import ContractError, find_similar_names
from voicegauge.files import resolve_links
from voicegauge.formats.bodies import FieldText, UnreadableBodyError, quote_json, read_json
from voicegauge.formats.located_yaml import (
    Document,
    escape_pointer_token,
    format_json_pointer,
    get_inner_values,
    read_document,
    split_json_pointer,
)
from voicegauge.formats.locations import EVERY_ITEM, MISSING, read_json_pointer, read_pointer

# Defines violations of schemas by values, and leaves out those that only follow from a missing key.


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
            names = read_schema(split_json_pointer(violation.keyword_pointer))
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
    pointer_tokens = split_json_pointer(violation.keyword_pointer)
    for index, keyword in enumerate(pointer_tokens):
        if keyword != "then" or pointer_tokens[index - 1 : index] == ["properties"]:
            continue
        # The number of levels from the object with the condition to the wrong value.
        depth = pointer_tokens[index:].count("properties")
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


def _is_about_missing_key(condition_schema: Any, value: Any, pointer: str, missing_keys: MissingKeys) -> bool:
    """Whether `condition_schema` is about a key that `value`, the instance at `pointer`, must have and lacks."""
    if not isinstance(condition_schema, dict) or not isinstance(value, dict):
        return False
    if any(_is_about_missing_key(part, value, pointer, missing_keys) for part in condition_schema.get("allOf", ())):
        return True
    for name, inner in condition_schema.get("properties", {}).items():
        if (pointer, name) in missing_keys:
            return True
        if name in value and _is_about_missing_key(
            inner, value[name], f"{pointer}/{escape_pointer_token(name)}", missing_keys
        ):
            return True
    return False


def _read_value_at_pointer(instance: Any, pointer: str) -> Any:
    value = read_json_pointer(instance, pointer)
    return {} if value is MISSING else value


# Validates values against the JSON Schemas of a document and resolves references in it.


_REGEX_OPTIONS = jsonschema_rs.RegexOptions()
"""Selects the regex engine without backtracking, so that a malicious string in traffic cannot stall a check."""
_URL_SCHEME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""Matches the scheme of an absolute URL."""
_VALUE_PLACEHOLDER = "\0"
"""Text that the validator writes into messages in place of a value, which may have megabytes. No other message contains
it."""
MAX_QUOTED_VALUE_CHARACTERS = 10_000
"""Number of characters of a quoted value that are kept until secrets are masked. An error message shows far fewer, but
masking shortens the text."""
MAX_REFERENCE_CHAIN_LENGTH = 100
"""Maximum number of references that are followed one after the other. Real documents have fewer than ten. Without a
limit, following each reference of one long chain would take quadratic time."""
MAX_REASON_CHARACTERS = 200
"""Maximum length of a reason, because the validator's message may quote the whole schema."""


class Schemas:
    """The schemas of one document. A validator is compiled at its first use and reused."""

    def __init__(self, document: Document) -> None:
        """Prepare to validate against the schemas of `document`, which are JSON Schema 2020-12."""
        self.document = document
        self._uri = f"voicegauge:///{document.sha256}"
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self._nested_errors = NestedErrorLimit(document.data)
        self._compiled_pointers: set[str] = set()
        """Pointers to schemas that are part of a validator, which is not necessarily kept."""

    @functools.cached_property
    def _registry(self) -> jsonschema_rs.Registry:
        return jsonschema_rs.Registry(
            [(self._uri, self.document.data)], draft=jsonschema_rs.Draft202012, retriever=_reject_retrieval
        )

    def _get_validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        if pointer not in self._validators:
            self._validators[pointer] = self._compile_validator(pointer)
        return self._validators[pointer]

    def _compile_validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        try:
            fragment = quote(pointer, safe="/~!$&'()*+,;=:@-._")  # of a URI (RFC 6901, section 6)
            return jsonschema_rs.Draft202012Validator(
                {"$ref": f"{self._uri}#{fragment}"},
                registry=self._registry,
                validate_formats=True,
                pattern_options=_REGEX_OPTIONS,
                mask=_VALUE_PLACEHOLDER,
                retriever=_reject_retrieval,
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            at = format_json_pointer(list(getattr(error, "instance_path", ())))
            pattern = getattr(error, "instance", None)
            if getattr(getattr(error, "kind", None), "format", None) == "regex" and isinstance(pattern, str):
                quoted = quote_json(pattern, MAX_REASON_CHARACTERS, is_compact=True)
                raise self.document.build_error(
                    at or pointer,
                    f"the pattern {quoted} cannot be used: it is not a regular expression, is too large, or needs "
                    "backtracking (look-around, back-references), which would let a text stall a check",
                ) from error
            detail = str(error).replace(_VALUE_PLACEHOLDER, "the value").splitlines()[0][:MAX_REASON_CHARACTERS]
            raise self.document.build_error(at or pointer, f"is not a usable JSON Schema 2020-12: {detail}") from error

    def check_schema(self, pointer: str) -> None:
        """Check that the schema at `pointer` can be used.

        Raises:
            ContractError: a keyword has a wrong value, or a pattern or a reference is wrong.
        """
        try:
            jsonschema_rs.meta.validate(read_json_pointer(self.document.data, pointer))
        except jsonschema_rs.ValidationError as error:
            at = f"{pointer}{format_json_pointer(error.instance_path)}"
            raise self.document.build_error(at, f"is not a valid JSON Schema 2020-12: {error.message}") from error
        # Most of the schemas of a large document are never used; each compiled one takes up to a third of a megabyte.
        # A validator contains what its schema refers to, so that schemas that refer to each other are compiled once.
        if pointer not in self._compiled_pointers:
            self._compile_validator(pointer)
            self._compiled_pointers |= self._find_reachable_pointers(pointer)

    def _find_reachable_pointers(self, pointer: str) -> set[str]:
        """Return `pointer`, and the pointers to which references lead from there, without those known as compiled."""
        found, waiting = {pointer}, [pointer]
        while waiting:
            nodes = [read_json_pointer(self.document.data, waiting.pop())]
            while nodes:
                node = nodes.pop()
                nodes += get_inner_values(node)
                reference = node.get("$ref") if isinstance(node, dict) else None
                target = unquote(reference[1:]) if isinstance(reference, str) and reference.startswith("#/") else None
                if target is not None and target not in found and target not in self._compiled_pointers:
                    found.add(target)
                    waiting.append(target)
        return found

    def check_default(self, pointer: str, default: Any) -> None:
        """Check that the default of the schema at `pointer` is valid against it.

        Raises:
            ContractError: the default is not valid.
        """
        # Not `is_valid`, which keeps the validator: most schemas with a default validate nothing else.
        if not self._compile_validator(pointer).is_valid(default):
            shown = quote_json(default, MAX_REASON_CHARACTERS, is_compact=True)
            raise self.document.build_error(f"{pointer}/default", f"the default {shown} does not fit its own schema")

    def is_valid(self, pointer: str, instance: Any) -> bool:
        """Whether `instance` is valid against the schema at `pointer`."""
        return self._get_validator(pointer).is_valid(instance)

    def iterate_violations(self, pointer: str, instance: Any) -> Iterator[SchemaViolation]:
        """Yield a violation for every part of `instance` that does not fit the schema at `pointer`.

        What a condition requires is left out if the condition holds only because a required key is missing.
        Only the beginning of a very large value is examined; if it is valid, one violation stands for the rest.
        """
        if self.is_valid(pointer, instance):  # most values are valid, which is found out faster than what is wrong
            return iter(())
        return omit_consequences_of_missing_keys(
            self._iterate_all_violations(pointer, instance),
            instance,
            lambda tokens: self.resolve_reference(read_pointer(self.document.data, tokens))[0],
        )

    def _iterate_all_violations(self, pointer: str, instance: Any) -> Iterator[SchemaViolation]:
        is_explained = False
        for error in self._iterate_validator_errors(pointer, instance):
            is_explained = True
            path, location = list(error.schema_path), format_json_pointer(error.instance_path)
            keyword = str(path[-1]) if path else "false"
            yield SchemaViolation(
                location,
                format_json_pointer(path),
                keyword,
                _insert_value_into_message(error.message, location, instance),
            )
        if not is_explained:
            message = (
                f"does not fit its schema, beyond its first {MAX_VALUES_AFTER_SHORTENING:,} values, in a text that is "
                "too long, or deep in a schema that contains itself"
            )
            yield SchemaViolation("", pointer, pointer.rpartition("/")[2], message)

    def _iterate_validator_errors(self, pointer: str, instance: Any) -> Iterator[jsonschema_rs.ValidationError]:
        """Yield the errors of `instance`; of a large one those that its shortened copy has too, because errors copy it.

        Nothing is yielded for an instance that could have too many errors, even if it does not fit; see
        `NestedErrorLimit`.
        """
        size = measure_value(instance)
        if self._nested_errors.is_exceeded_by(pointer, size.depth):
            return
        shortened = shorten_value(instance) if size.must_be_shortened else instance
        for error in self._get_validator(pointer).iter_errors(shortened):
            if shortened is instance or self._has_error_in_whole_value(instance, error):
                yield error

    def _has_error_in_whole_value(self, instance: Any, error: jsonschema_rs.ValidationError) -> bool:
        """Whether `instance` has `error` of its shortened copy too: a text may be too short in the copy only."""
        value = read_pointer(instance, [str(token) for token in error.instance_path])
        path = list(error.schema_path)
        return not self.is_valid(format_json_pointer(path if error.kind.name == "falseSchema" else path[:-1]), value)

    def iterate_violated_keywords(self, pointer: str, instance: Any) -> Iterator[str]:
        """Yield JSON pointers to all violated keywords, also by consequences of a missing key, without messages."""
        return (format_json_pointer(error.schema_path) for error in self._iterate_validator_errors(pointer, instance))

    def resolve_reference(self, node: Any, pointer: str = "") -> tuple[Any, str]:
        """Resolve the `$ref` of `node`; return the resulting value, and the pointer to the place where it is defined.

        Keys next to a `$ref` override those of the referenced object, because JSON Schema 2020-12 applies both.

        Raises:
            ContractError: a reference points outside the document, to a part that does not exist, or back to itself, or
                the chain of references is too long.
        """
        start, overlay = pointer, dict[str, Any]()
        seen: set[str] = set()
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            reference = node["$ref"]
            if reference in seen:
                raise self.document.build_error(pointer, f"$ref {reference!r} leads back to itself")
            if len(seen) >= MAX_REFERENCE_CHAIN_LENGTH:
                reason = f"$ref leads through a chain of more than {MAX_REFERENCE_CHAIN_LENGTH} references"
                raise self.document.build_error(start, reason)
            if not reference.startswith("#/"):
                raise self.document.build_error(pointer, describe_unusable_reference(self.document, pointer, reference))
            seen.add(reference)
            overlay = {**{key: value for key, value in node.items() if key != "$ref"}, **overlay}
            target = unquote(reference[1:])
            node = read_json_pointer(self.document.data, target)
            if node is MISSING:
                raise self.document.build_error(pointer, _describe_dangling_reference(self.document.data, reference))
            if not isinstance(node, dict | bool):  # `true` and `false` are schemas, too
                raise self.document.build_error(pointer, f"$ref {reference!r} leads to a value that is not an object")
            pointer = target
        return ({**node, **overlay} if overlay and isinstance(node, dict) else node), pointer


def _reject_retrieval(uri: str) -> NoReturn:
    """Refuse to follow a reference out of the document: the validator would read files and download URLs."""
    raise ValueError(f"{uri!r} is not part of the document")


def is_inside_document_folder(document: Document, file: Path) -> bool:
    """Whether `file` is in the folder of `document`, or of the document that it extends, after links are followed.

    Otherwise a reference could read any file of the user and quote it in error messages.
    """
    folders = {resolve_links(path.parent) for path in (document.path, document.find_position("").path)}
    target = resolve_links(file)
    return not folders.isdisjoint((target, *target.parents))


def describe_unusable_reference(document: Document, pointer: str, reference: str) -> str:
    """Return why `reference`, which does not lead into its document, cannot be followed.

    Args:
        document: the document, in which the files that could be read are embedded.
        pointer: JSON pointer of the reference in it.
        reference: the value of `$ref`.
    """
    file, _, _ = reference.partition("#")
    if _URL_SCHEME_PATTERN.match(file):
        return f"$ref {reference!r} is a URL: download the file, and name its path relative to this one"
    if not file:
        return f"$ref {reference!r} must be a JSON pointer into this document, such as #/components/schemas/X"
    name = unquote(file)
    try:
        if "\0" in name:
            return f"$ref {reference!r} cannot be the name of a file"
        path = document.find_position(pointer).path.parent / name
        if not is_inside_document_folder(document, path):
            return f"$ref {reference!r} leads out of the folder of the document"
        read_document(path)
    except ContractError as error:
        return f"$ref {reference!r}: {error}"
    return f"$ref {reference!r} leads to one file more than a document may have"


_ASYNCAPI_REFERENCE_PREFIX = "#/x-asyncapi"
"""Start of the references of an AsyncAPI document after it was embedded, which its author did not write."""


def _describe_dangling_reference(document_data: Any, reference: str) -> str:
    """Return that a reference leads nowhere, with the nearest name at the first place that does not exist."""
    tokens = split_json_pointer(unquote(reference[1:]))
    count = next(count for count in range(1, len(tokens) + 1) if read_pointer(document_data, tokens[:count]) is MISSING)
    parent = read_pointer(document_data, tokens[: count - 1])
    near = find_similar_names(tokens[count - 1], map(str, parent) if isinstance(parent, dict) else ())
    hint = f": did you mean {near[0]}?" if near else ""
    written = (
        f"#{reference[len(_ASYNCAPI_REFERENCE_PREFIX) :]}"
        if reference.startswith(_ASYNCAPI_REFERENCE_PREFIX)
        else reference
    )
    return f"$ref {written!r} leads nowhere{hint}"


def _insert_value_into_message(message: str, pointer: str, instance: Any) -> str:
    """Return the validator's message, with the value at `pointer` in place of the placeholder."""
    if _VALUE_PLACEHOLDER not in message:
        return message
    value = read_json_pointer(instance, pointer)
    return message.replace(_VALUE_PLACEHOLDER, quote_json(value, MAX_QUOTED_VALUE_CHARACTERS, is_compact=True))


# Tells whether a schema allows a value at a location, and converts a text to the type that a schema documents.


def allows_location(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> bool:
    """Whether the schema documents a value at the keys and indices `pointer_tokens`, or at least does not exclude it.

    `False` is returned only if the schema, or one nested in it on the way to the value, lists properties without the
    next key.
    """
    return _is_location_listed(schemas, schema, pointer_tokens) is not False


def _is_location_listed(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> bool | None:
    """Whether the schema lists the location; `None` if the schema lists neither properties nor items."""
    if not pointer_tokens:
        return True
    schema, _ = schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return None
    properties, token = schema.get("properties"), pointer_tokens[0]
    found: list[bool | None] = []
    if isinstance(properties, dict):
        is_listed = token in properties
        found.append(is_listed and _is_location_listed(schemas, properties[token], pointer_tokens[1:]) is not False)
    elif (token.isdecimal() or token == EVERY_ITEM) and "items" in schema:
        found.append(_is_location_listed(schemas, schema["items"], pointer_tokens[1:]))
    for key in ("allOf", "anyOf", "oneOf"):
        found += [_is_location_listed(schemas, branch, pointer_tokens) for branch in schema.get(key, ())]
    for key in ("then", "else"):
        found.append(_is_location_listed(schemas, schema.get(key), pointer_tokens))
    return True if True in found else False if False in found else None


def find_matching_branch(
    schemas: Schemas, schema: Any, pointer: str, constants: Mapping[tuple[str, ...], Any]
) -> tuple[Any, str] | None:
    """Return the branch of `oneOf` or `anyOf` for requests with `constants`, such as those to one version of a model.

    Args:
        schemas: the schemas of the contract.
        schema: the schema with the branches.
        pointer: JSON pointer to the schema.
        constants: the values that requests have, by keys and indices.

    Returns:
        The matching branch and the JSON pointer to it; `None` if no branch matches. A branch matches if it lists the
        allowed values of at least one of the constants, and each such list contains the constant. The first counts.
    """
    schema, pointer = schemas.resolve_reference(schema, pointer)
    for keyword in ("oneOf", "anyOf"):
        for index, branch in enumerate(schema.get(keyword, ()) if isinstance(schema, dict) else ()):
            choices = [
                (list_allowed_values(schemas, branch, pointer_tokens), value)
                for pointer_tokens, value in constants.items()
            ]
            listed = [value in values for values, value in choices if values is not None]
            if listed and all(listed):
                return schemas.resolve_reference(branch, f"{pointer}/{keyword}/{index}")
    return None


def list_allowed_values(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> list[Any] | None:
    """Return the values of `const` or `enum` at `pointer_tokens`; `None` if any value is allowed there.

    Of several lists, as in `allOf`, the values in all of them are returned. `oneOf` and `anyOf` are not looked into.
    """
    common: list[Any] | None = None
    for choices in _iterate_allowed_values(schemas, schema, pointer_tokens):
        common = choices if common is None else [value for value in common if value in choices]
    return common


def _iterate_allowed_values(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> Iterator[list[Any]]:
    schema = schemas.resolve_reference(schema)[0]
    if not isinstance(schema, dict):
        return
    for branch in schema.get("allOf", ()):
        yield from _iterate_allowed_values(schemas, branch, pointer_tokens)
    if pointer_tokens:
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from _iterate_allowed_values(schemas, properties.get(pointer_tokens[0]), pointer_tokens[1:])
    elif "const" in schema:
        yield [schema["const"]]
    elif isinstance(schema.get("enum"), list):
        yield schema["enum"]


def find_max_length(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> int | None:
    """Return the lowest `maxLength` that the schema states for the text at a path; `None` if it states none.

    `pointer_tokens` are the keys and indices of the path. Limits inside `oneOf` and `anyOf` are ignored.
    """
    schema = schemas.resolve_reference(schema)[0]
    if not isinstance(schema, dict):
        return None
    found = [find_max_length(schemas, branch, pointer_tokens) for branch in schema.get("allOf", ())]
    if pointer_tokens:
        properties = schema.get("properties")
        inner = properties.get(pointer_tokens[0]) if isinstance(properties, dict) else schema.get("items")
        found.append(find_max_length(schemas, inner, pointer_tokens[1:]))
    else:
        found.append(schema.get("maxLength"))
    return min((length for length in found if length is not None), default=None)


def parse_text_value(schemas: Schemas, schema: Any, text: str) -> Any:
    """Parse the text of a form field, query parameter or header as the JSON type that its schema documents.

    Returns:
        The parsed value; `text` itself if it cannot be read as any type of the schema, so that validation reports
        what is wrong.
    """
    schema, _ = schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return text
    for name in _list_schema_types(schema):
        value = _TEXT_PARSER_BY_JSON_TYPE.get(name, lambda _: MISSING)(text)
        if name == "array" and value is MISSING:
            value = [parse_text_value(schemas, schema.get("items", {}), text)]  # a field of a form that is not repeated
        if value is not MISSING:
            return value
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        value = parse_text_value(schemas, branch, text)
        if value not in (text, [text]):
            return value
    # A text that a branch takes as it is stays one; otherwise it is the only item of a list.
    branches = [schemas.resolve_reference(one)[0] for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
    kinds = {name for one in branches if isinstance(one, dict) for name in _list_schema_types(one)}
    return [text] if "array" in kinds and "string" not in kinds else text


def parse_field_value(schemas: Schemas, schema: Any, value: FieldText, list_separator: str | None = None) -> Any:
    """Parse a form field, like `parse_text_value`; one that is repeated becomes the list of its texts.

    Args:
        schemas: the schemas of the document, which resolve references.
        schema: the schema of the field.
        value: its text, or its texts.
        list_separator: what separates the items of a list that is one text; `None` if the field is repeated instead.
    """
    if (
        isinstance(value, str)
        and list_separator is not None
        and isinstance(parse_text_value(schemas, schema, value), list)
    ):
        value = value.split(list_separator)
    if isinstance(value, str):
        return parse_text_value(schemas, schema, value)
    item_schema = _find_item_schema(schemas, schema)
    return [parse_text_value(schemas, item_schema, text) for text in value]


def _find_item_schema(schemas: Schemas, schema: Any) -> Any:
    """Return the schema of the items of a list, also if it is in a branch of a choice; `{}` if there is none."""
    schema, _ = schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return {}
    branches = [one for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
    found = (_find_item_schema(schemas, branch) for branch in branches)
    return schema["items"] if "items" in schema else next((one for one in found if one != {}), {})


def _list_schema_types(schema: Mapping[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _parse_integer(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return MISSING


def _parse_number(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return MISSING
    if not math.isfinite(value):  # JSON has no NaN and no Infinity
        return MISSING
    return int(text) if text.lstrip("+-").isdecimal() else value


def _parse_json(text: str, expected_type: type) -> Any:
    try:
        value = read_json(text.encode())
    except (UnreadableBodyError, UnicodeEncodeError):
        return MISSING
    return value if isinstance(value, expected_type) else MISSING


_TEXT_PARSER_BY_JSON_TYPE: dict[str, Any] = {
    "array": lambda text: _parse_json(text, list),
    "object": lambda text: _parse_json(text, dict),
    "integer": _parse_integer,
    "number": _parse_number,
    "boolean": lambda text: {"true": True, "false": False}.get(text.lower(), MISSING),
    "null": lambda text: None if text == "" else MISSING,
}
"""Functions that read a text of a form, a query or a header as a value of the type; `MISSING` if it is none."""
