"""Parts of an OpenAPI document as records: its `x-` keys, whose grammar is generated for editors, and its messages."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar, get_args
from urllib.parse import quote

import msgspec

from voicegauge.contract.extension.jobs import (
    BatchSpec,
    ChatSpec,
    JobSpec,
    PaginationSpec,
    ResourceSpec,
    StreamSpec,
    SubmitSpec,
    WebhookSpec,
)
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.provider import IdempotencySpec, KeySpec, LimitsSpec, ProviderSpec, SourceReference
from voicegauge.contract.extension.sockets import SocketSpec
from voicegauge.contract.extension.speech import (
    AudioFact,
    AudioInputField,
    ConversionSpec,
    SpeechField,
    SpeechSpec,
    TranscriptionSpec,
)
from voicegauge.contract.schemas import Schemas, SchemaViolation, parse_text_value
from voicegauge.errors import find_similar_names
from voicegauge.formats.located_yaml import Document, escape_pointer_token, explain_type_error, format_json_pointer
from voicegauge.formats.locations import MISSING, Location, LocationValues, decode_location, read_pointer
from voicegauge.model.base import Record

RECORD_TYPE_BY_OPERATION_KEY: Mapping[str, type[Record]] = {
    "x-speech": SpeechSpec,
    "x-job": JobSpec,
    "x-stream": StreamSpec,
    "x-transcription": TranscriptionSpec,
    "x-conversion": ConversionSpec,
    "x-pricing": PriceSpec,
    "x-limits": LimitsSpec,
    "x-resource": ResourceSpec,
    "x-pagination": PaginationSpec,
    "x-batch": BatchSpec,
    "x-chat": ChatSpec,
    "x-webhook": WebhookSpec,
    "x-idempotency": IdempotencySpec,
    "x-submit": SubmitSpec,
    "x-source": SourceReference,
}
"""The records of the `x-` keys of an operation."""
RECORD_TYPE_BY_ROOT_KEY: Mapping[str, type[Record]] = {"x-provider": ProviderSpec, "x-limits": LimitsSpec}
"""The records of the `x-` keys at the root."""
ASYNCAPI_KEY = "x-asyncapi"
"""Key under which the AsyncAPI document of a contract is embedded."""
EXTENSION_KEYS = frozenset((*RECORD_TYPE_BY_OPERATION_KEY, *RECORD_TYPE_BY_ROOT_KEY, "x-socket", ASYNCAPI_KEY))
"""The keys whose grammar `voicegauge.contract.extension` defines, and that of the embedded AsyncAPI document."""

# Converts the values of `x-` keys to records.


_MSGSPEC_PATH_PATTERN = re.compile(r"`\$([^`]*)`")
_MSGSPEC_PATH_STEP_PATTERN = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")
_UNKNOWN_FIELD_PATTERN = re.compile(r"unknown field `([^`]*)`")
_RecordT = TypeVar("_RecordT")


def convert_record(document: Document, value: Any, pointer: str, record_type: type[_RecordT]) -> _RecordT:
    """Convert the value at `pointer` to a record of `record_type`.

    Raises:
        ContractError: the value does not fit the record; the message has the line of the key at fault.
    """
    value = _expand_short_field_mappings(value, record_type)
    try:
        return msgspec.convert(value, record_type, dec_hook=decode_location)
    except msgspec.ValidationError as error:
        reason, _, msgspec_path = str(error).partition(" - at ")
        tokens = _convert_msgspec_path(value, record_type, str(error), msgspec_path)
        deeper = format_json_pointer(tokens)
        hint = _suggest_known_names(record_type, tokens, reason, is_key=msgspec_path.startswith("`key` in"))
        unknown = _UNKNOWN_FIELD_PATTERN.search(reason)
        if unknown:
            deeper += f"/{escape_pointer_token(unknown[1])}"
        name = next(token for token in reversed(pointer.split("/")) if not token.isdecimal())
        path = f"{name}{deeper.replace('/', '.')}" if deeper else name
        raise document.build_error(pointer + deeper, f"{path}: {explain_type_error(reason)}{hint}") from error


_UNKNOWN_VALUE_PATTERN = re.compile(r"Invalid enum value '(.*)'|unknown field `([^`]*)`")
_MAX_NAMES_LISTED = 12
"""Largest number of known names that an error about an unknown one lists, if none is similar."""


def _suggest_known_names(record_type: Any, tokens: Sequence[str], reason: str, *, is_key: bool) -> str:
    """Return what could be meant by an unknown key or value; empty if `reason` is about neither.

    Args:
        record_type: type of the record that has the key or value.
        tokens: keys and indices that lead to the value, or to the object that has the key.
        reason: msgspec's reason.
        is_key: whether the last token is a key of a mapping that may not have it.
    """
    found = _UNKNOWN_VALUE_PATTERN.search(reason)
    if found is None:
        return ""
    types = [msgspec.inspect.type_info(record_type)]
    for token in tokens[:-1] if is_key else tokens:
        types = [inner for one in types for inner in _list_inner_types(one, token)]
    if is_key:
        types = [one.key_type for outer in types for one in _list_union_members(outer) if hasattr(one, "key_type")]
    names = sorted({name for one in types for name in _iterate_keys_or_literals(one)})
    near = find_similar_names(found[1] or found[2], names)
    if near:
        return f": did you mean {near[0]}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= _MAX_NAMES_LISTED else ""


def _list_union_members(type_info: Any) -> Sequence[Any]:
    """Return the types of a union, and any other type alone."""
    return type_info.types if isinstance(type_info, msgspec.inspect.UnionType) else (type_info,)


def _list_inner_types(type_info: Any, token: str) -> Iterator[Any]:
    """Yield the types that a value at one key or index of a value of a type may have."""
    for one in _list_union_members(type_info):
        if isinstance(one, msgspec.inspect.StructType):
            yield from (member.type for member in one.fields if member.encode_name == token)
        elif isinstance(one, msgspec.inspect.DictType):
            yield one.value_type
        elif hasattr(one, "item_type"):
            yield one.item_type


def _iterate_keys_or_literals(type_info: Any) -> Iterator[str]:
    """Yield the keys of a record, or the texts of an enumeration."""
    for one in _list_union_members(type_info):
        if isinstance(one, msgspec.inspect.StructType):
            yield from (member.encode_name for member in one.fields)
        elif isinstance(one, msgspec.inspect.LiteralType):
            yield from (value for value in one.values if isinstance(value, str))
        elif isinstance(one, msgspec.inspect.EnumType):
            yield from (str(member.value) for member in one.cls)


def _expand_short_field_mappings(extension_value: Any, record_type: type[Any]) -> Any:
    """Expand bare strings in `request_fields`, which are short for `{location: ...}`."""
    if record_type not in (SpeechSpec, TranscriptionSpec, ConversionSpec) or not isinstance(extension_value, dict):
        return extension_value
    extension_value = _expand_request_fields(extension_value)
    if record_type is SpeechSpec and isinstance(extension_value.get("targets"), dict):
        extension_value = {
            **extension_value,
            "targets": {name: _expand_request_fields(target) for name, target in extension_value["targets"].items()},
        }
    return extension_value


def _expand_request_fields(extension_value: Any) -> Any:
    if not isinstance(extension_value, dict) or not isinstance(extension_value.get("request_fields"), dict):
        return extension_value
    fields = extension_value["request_fields"].items()
    return {
        **extension_value,
        "request_fields": {name: {"location": field} if isinstance(field, str) else field for name, field in fields},
    }


def _convert_msgspec_path(value: Any, record_type: type[Any], message: str, msgspec_path: str) -> list[str]:
    """Return the keys and indices to the value that `message` is about, which msgspec writes as in "$.targets[...]".

    msgspec writes "[...]" instead of a key of a mapping. To find the key, the conversion is repeated with one key of
    the mapping at a time, until it fails with the same message. The result ends before a key that is not found.
    """
    path = _MSGSPEC_PATH_PATTERN.search(msgspec_path)
    steps = _MSGSPEC_PATH_STEP_PATTERN.findall(path[1]) if path else []
    if msgspec_path.startswith("`key` in"):
        steps.append(("", "", "..."))
    pointer_tokens: list[str] = []
    for name, index, _any in steps:  # of which one has a text: the name of a field, an index, or "..." for a key
        token = name or index or _find_failing_key(value, record_type, message, pointer_tokens)
        if token is None:
            break
        pointer_tokens.append(token)
    return pointer_tokens


def _find_failing_key(value: Any, record_type: type[Any], message: str, pointer_tokens: list[str]) -> str | None:
    """Return the key of the mapping at `pointer_tokens` whose value alone causes `message`; else `None`."""
    mapping = read_pointer(value, pointer_tokens)
    for key in mapping if isinstance(mapping, dict) else ():
        try:
            msgspec.convert(
                _copy_with_value_at(value, pointer_tokens, {key: mapping[key]}), record_type, dec_hook=decode_location
            )
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
    return None


def _copy_with_value_at(value: Any, pointer_tokens: list[str], new_value: Any) -> Any:
    """Return a copy of `value` with `new_value` at `pointer_tokens`."""
    if not pointer_tokens:
        return new_value
    token, rest = pointer_tokens[0], pointer_tokens[1:]
    inner = read_pointer(value, [token])
    assert inner is not MISSING, "msgspec reports existing paths"
    if isinstance(value, list):
        return [
            _copy_with_value_at(inner, rest, new_value) if str(i) == token else item for i, item in enumerate(value)
        ]
    return {**value, token: _copy_with_value_at(inner, rest, new_value)}


# Generates a JSON Schema of the grammar of contracts, for editors.


_LOCATION_PATTERN = r"^(body(#/.*)?|(query|path|header)\..+)$"
_EVENT_LOCATION_PATTERN = r"^(event|data(#/.*)?)$"


def _build_location_schema(location_class: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a location class, which msgspec does not know."""
    if location_class is LocationValues:
        return {"type": "object", "propertyNames": {"pattern": _LOCATION_PATTERN}}
    return {"type": "string", "pattern": _LOCATION_PATTERN if location_class is Location else _EVENT_LOCATION_PATTERN}


def _build_key_schemas(record_by_key: Mapping[str, type[Record]]) -> dict[str, Any]:
    properties = {key: {"$ref": f"#/$defs/{record.__name__}"} for key, record in record_by_key.items()}
    return {"type": "object", "properties": properties}


def build_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the `x-` keys within the structure of an OpenAPI document.

    The schema covers the keys with a fixed position. `x-source` is allowed on any object; its schema is
    `$defs/SourceReference`.
    """
    records = (
        *(ProviderSpec, SpeechSpec, JobSpec, PriceSpec, LimitsSpec, SourceReference, TranscriptionSpec, ConversionSpec),
        *(ResourceSpec, BatchSpec, ChatSpec, WebhookSpec, StreamSpec, IdempotencySpec, KeySpec, SubmitSpec),
        *(PaginationSpec, SocketSpec),
    )
    _, defs = msgspec.json.schema_components(records, ref_template="#/$defs/{name}", schema_hook=_build_location_schema)
    for name, fields in (
        ("SpeechSpec", SpeechField),
        ("TargetSpec", SpeechField),
        ("TranscriptionSpec", AudioInputField),
        ("ConversionSpec", AudioInputField),
    ):
        request = defs[name]["properties"]["request_fields"]
        short_form = {"type": "string", "pattern": _LOCATION_PATTERN}
        request["additionalProperties"] = {"anyOf": [short_form, request["additionalProperties"]]}
        request["propertyNames"] = {"enum": list(get_args(fields))}  # msgspec leaves out the type of keys
    defs["ConversionResponse"]["properties"]["fact_locations"]["propertyNames"] = {"enum": list(get_args(AudioFact))}

    operation, root = _build_key_schemas(RECORD_TYPE_BY_OPERATION_KEY), _build_key_schemas(RECORD_TYPE_BY_ROOT_KEY)
    security_schemes = {"type": "object", "additionalProperties": _build_key_schemas({"x-key": KeySpec})}
    root["properties"]["components"] = {"type": "object", "properties": {"securitySchemes": security_schemes}}
    methods = {"^(get|put|post|delete|options|head|patch)$": operation}
    root["properties"]["paths"] = {
        "type": "object",
        "additionalProperties": {"type": "object", "patternProperties": methods},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The x- keys of a voicegauge contract, an OpenAPI 3.1 document",
        **root,
        "required": ["x-provider"],
        "$defs": defs,
    }


# Represents the parts of an OpenAPI document that describe a message: parameters, responses, media types, examples.


MAX_CACHED_PARSED_TEXTS = 256
"""Maximum number of parsed texts remembered per parameter or header. Keys and rate limits repeat, job ids do not."""


_LIST_SEPARATOR_BY_STYLE: Mapping[str, str] = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
"""What separates the items of a list that is one text, by the `style` of the parameter."""


def _find_list_separator(serialization: Mapping[str, Any], default_style: str) -> str | None:
    """Return the separator of the items of a list that is sent as one text; `None` if each item is a value of its own.

    Sources: OpenAPI 3.1.1, sections 4.8.12.2.2 (`style`, `explode` of a parameter) and 4.8.15.1.2 (of a form field).

    Args:
        serialization: a parameter, or the encoding of a form field.
        default_style: the style that applies if `serialization` states none.
    """
    style = serialization.get("style", default_style)
    is_repeated = style != "simple" and serialization.get("explode", style == "form")
    return None if is_repeated else _LIST_SEPARATOR_BY_STYLE.get(style, ",")


@dataclass(frozen=True, eq=False)
class ContractPart:
    """An object in the document, and its position."""

    schemas: Schemas = field(repr=False)
    """The schemas of the whole document, which resolve references."""
    pointer: str
    """JSON pointer to the object."""
    part_data: dict[str, Any] = field(repr=False)
    """The object as plain data."""

    @property
    def line(self) -> int | None:
        """The line in the document, counted from 1; `None` if it is not known."""
        return self.schemas.document.find_line(self.pointer)


@dataclass(frozen=True, eq=False)
class Example:
    """A documented example of a body."""

    name: str
    """Name of the example in the document; "example" for the one of `example`, which has no name."""
    value: Any
    """The body as plain data."""
    rejection_reason: str | None
    """Why the request was rejected (`x-rejection-reason`), optionally with the field that caused it: "invalid:text"."""
    request_example_name: str | None
    """The name of the request example, or of the parameter's example, to which this example is the response
    (`x-request`)."""
    pointer: str
    is_inferred: bool = False
    """Whether the example was written for the emulator, because no document has one (`x-source.is_inferred`)."""
    rejection_locations: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """Where the body of an error names its cause (`x-rejection-locations`). The keys are `field`, the name of the
    rejected field, and `message`, a sentence about it; the values are locations such as "body#/error/param", or lists.
    """
    rejection_keywords: Sequence[str] = ()
    """The JSON Schema keywords whose violation the error is about (`x-rejection-keywords`); any if there are none."""


@dataclass(frozen=True, eq=False)
class MediaType(ContractPart):
    """One media type of a request or response body."""

    name: str
    """The media type in lower case, without parameters such as a charset."""

    @functools.cached_property
    def schema_pointer(self) -> str | None:
        """JSON pointer to the schema; `None` if the document has no schema for this media type."""
        return f"{self.pointer}/schema" if "schema" in self.part_data else None

    @functools.cached_property
    def schema(self) -> Any:
        """The schema with its reference resolved; empty if the document has none."""
        return self.schemas.resolve_reference(self.part_data.get("schema", {}))[0]

    @functools.cached_property
    def separator_by_list_field(self) -> Mapping[str, str]:
        """The separator of items in lists that a form sends as one text, by field; other lists are repeated fields."""
        encodings = self.part_data.get("encoding") or {}
        found = ((name, _find_list_separator(encoding or {}, "form")) for name, encoding in encodings.items())
        return {name: separator for name, separator in found if separator is not None}

    def iterate_violations(self, instance: Any) -> Iterator[SchemaViolation]:
        """Yield a violation for every part of `instance` that does not fit the schema."""
        return (
            iter(()) if self.schema_pointer is None else self.schemas.iterate_violations(self.schema_pointer, instance)
        )

    def iterate_violated_keywords(self, instance: Any) -> Iterator[str]:
        """Yield JSON pointers to the keywords that `instance` violates, without building messages."""
        pointer = self.schema_pointer
        return iter(()) if pointer is None else self.schemas.iterate_violated_keywords(pointer, instance)

    def is_valid(self, instance: Any) -> bool:
        """Whether `instance` is valid against the schema. This is faster than collecting the violations."""
        return self.schema_pointer is None or self.schemas.is_valid(self.schema_pointer, instance)

    @functools.cached_property
    def examples(self) -> tuple[Example, ...]:
        """The documented examples, in document order."""
        found = []
        for name, node in self.part_data.get("examples", {}).items():
            pointer = f"{self.pointer}/examples/{escape_pointer_token(name)}"
            node, pointer = self.schemas.resolve_reference(node, pointer)
            if "value" in node:
                inferred = bool(node.get("x-source", {}).get("is_inferred", False))
                reason, request = node.get("x-rejection-reason"), node.get("x-request")
                locations, keywords = node.get("x-rejection-locations", {}), node.get("x-rejection-keywords", ())
                found.append(Example(name, node["value"], reason, request, pointer, inferred, locations, keywords))
        if "example" in self.part_data:
            found.append(Example("example", self.part_data["example"], None, None, f"{self.pointer}/example"))
        return tuple(found)


class ParsedText(NamedTuple):
    """The text of a parameter or header, parsed as the type that its schema documents."""

    value: Any
    """The parsed value; the text itself if no documented type fits."""
    violations: tuple[SchemaViolation, ...]
    """The violations of the schema."""


@dataclass(frozen=True, eq=False)
class Parameter(ContractPart):
    """A parameter of a request, or a header of a response."""

    name: str
    """Name of the parameter or header as the document writes it."""
    message_part: Literal["path", "query", "header", "cookie"]
    is_required: bool

    @property
    def may_have_slashes(self) -> bool:
        """Whether slashes of the value stay slashes in a path (`x-has-slashes`)."""
        return self.part_data.get("x-has-slashes") is True

    def encode_segments(self, text: str) -> str:
        """Return the value of a path parameter, percent-encoded: one segment, or several if it may have slashes."""
        segments = text.split("/") if self.may_have_slashes else [text]
        # A segment of one or two dots would be removed with its parent (RFC 3986, section 5.2.4).
        encoded = (quote(one, safe="") if one.strip(".") else one.replace(".", "%2E") for one in segments)
        return "/".join(encoded)

    @functools.cached_property
    def schema(self) -> Any:
        """The schema with its reference resolved; empty if the document has none."""
        return self.schemas.resolve_reference(self.part_data.get("schema", {}))[0]

    @functools.cached_property
    def examples(self) -> Mapping[str, Any]:
        """The values of the documented examples by name (`examples` of OpenAPI); empty if they have no names."""
        nodes = self.part_data.get("examples")
        return {str(name): node["value"] for name, node in nodes.items() if "value" in node} if nodes else {}

    @functools.cached_property
    def parse_text(self) -> Callable[[str], ParsedText]:
        """A function that converts the text of the parameter or header to its type and validates it.

        Frequent texts are cached.
        """
        # A cache of its own: one of the class would keep each parameter, and thereby its document, in memory.
        return functools.lru_cache(MAX_CACHED_PARSED_TEXTS)(self._parse_text)

    def _parse_text(self, text: str) -> ParsedText:
        value = self._parse_list(text) if self._is_list else parse_text_value(self.schemas, self.schema, text)
        has_schema = "schema" in self.part_data
        return ParsedText(
            value, tuple(self.schemas.iterate_violations(f"{self.pointer}/schema", value)) if has_schema else ()
        )

    @property
    def list_separator(self) -> str | None:
        """The separator of the items of a list that is one text; `None` if the parameter is repeated for each item."""
        return _find_list_separator(self.part_data, "form" if self.message_part in ("query", "cookie") else "simple")

    @property
    def _is_list(self) -> bool:
        types = self.schema.get("type", ()) if isinstance(self.schema, dict) else ()
        return "array" in types and "string" not in types  # a list of types, or one type as text

    def _parse_list(self, text: str) -> list[Any]:
        texts = [text] if self.list_separator is None else text.split(self.list_separator)
        return [parse_text_value(self.schemas, self.schema.get("items", {}), item) for item in texts]


@dataclass(frozen=True, eq=False)
class ResponseSpec(ContractPart):
    """One documented response of an operation."""

    status: str
    """The status of the response: a code, a class such as "4XX", or "default"."""

    @functools.cached_property
    def headers(self) -> Mapping[str, Parameter]:
        """The documented headers by name."""
        found = {}
        for name, node in self.part_data.get("headers", {}).items():
            node, pointer = self.schemas.resolve_reference(node, f"{self.pointer}/headers/{escape_pointer_token(name)}")
            required = bool(node.get("required", False))
            found[name] = Parameter(self.schemas, pointer, node, name, "header", required)
        return found

    @functools.cached_property
    def media_types(self) -> Mapping[str, MediaType]:
        """The documented bodies by media type."""
        return read_media_types(self)

    @property
    def links(self) -> Mapping[str, dict[str, Any]]:
        """The OpenAPI links by name. A link documents an operation that uses values of this response."""
        links: dict[str, Any] = self.part_data.get("links", {})
        return {name: self.schemas.resolve_reference(node)[0] for name, node in links.items()}


def read_media_types(node: ContractPart) -> Mapping[str, MediaType]:
    """Return the `content` of a request body or response by media type, without parameters such as a charset.

    If media types differ only in such parameters, the first one counts, because traffic is matched without parameters.
    """
    found: dict[str, MediaType] = {}
    for name, data in node.part_data.get("content", {}).items():
        base = name.partition(";")[0].strip().lower()
        found.setdefault(
            base, MediaType(node.schemas, f"{node.pointer}/content/{escape_pointer_token(name)}", data or {}, base)
        )
    return found


# Iterates over the objects of a document. Values that are plain data, such as examples, are skipped.


HTTP_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
"""Keys of a path item that are operations of a contract."""
OPENAPI_METHODS = (*HTTP_METHODS, "trace")
"""Keys of a path item that are operations in OpenAPI."""
EMBEDDED_FILES_KEY = "x-files"
"""Key under which the other files of a document are embedded, each under a number."""
_NAME_MAPPING_KEYS = frozenset(
    (
        *("callbacks", "content", "definitions", "dependentSchemas", "encoding", "examples", "headers", "links"),
        *("parameters", "paths", "pathItems", "patternProperties", "properties", "requestBodies", "responses"),
        *("schemas", "securitySchemes", "variables", "webhooks", "$defs"),
        *("channels", "client_messages", "formats"),
        *("plan_limits", "plan_prices", "sources", "states", "targets", "upload_limits"),
        EMBEDDED_FILES_KEY,
    )
)
"""Keys whose values map names to objects, such as `properties`. The names are not keywords: a property may be called
`default`."""
_KEYS_WITH_PLAIN_DATA = frozenset(
    (
        *("const", "default", "enum", "example", "mapping", "value", "x-advice"),
        *("provider_values", "request_constants", "response_constants"),
    )
)
"""Keys whose values are plain data of the provider, such as an example. Objects in the data are not parts of the
document."""


def fill_server_variables(url: str, variables: Any) -> str:
    """Return the URL of a server with the defaults of its `variables`; one without a default stays in braces."""
    for name, variable in variables.items() if isinstance(variables, dict) else ():
        if isinstance(variable, dict) and "default" in variable:
            url = url.replace(f"{{{name}}}", str(variable["default"]))
    return url


def walk_objects(document_data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a document with its JSON pointer, in document order.

    Mappings from names to objects such as `properties` are not objects themselves. Examples, defaults and `x-` keys of
    other vendors are skipped.
    """
    pending: list[tuple[str, Any, bool]] = [("", document_data, False)]
    while pending:
        pointer, value, has_names = pending.pop()
        if not has_names and isinstance(value, dict):
            yield pointer, value
        inner = _list_inner_values(pointer, value, keys_are_names=has_names)
        inner.reverse()  # the last of `pending` is next, and document order is promised
        pending += inner


def _list_inner_values(pointer: str, document_part: Any, *, keys_are_names: bool) -> list[tuple[str, Any, bool]]:
    """Return each mapping or list directly in `document_part`: its pointer, itself, and whether its keys are names.

    Keys are names below a key such as `properties`. `keys_are_names` says whether those of `document_part` itself are.
    """
    if isinstance(document_part, list):
        return [
            (f"{pointer}/{i}", item, False) for i, item in enumerate(document_part) if isinstance(item, (dict, list))
        ]
    return [
        (
            f"{pointer}/{escape_pointer_token(key)}",
            item,
            not keys_are_names and key in _NAME_MAPPING_KEYS and isinstance(item, dict),
        )
        for key, item in (document_part.items() if isinstance(document_part, dict) else ())
        if isinstance(item, (dict, list)) and (keys_are_names or not _is_plain_data(key, item))
    ]


def _is_plain_data(key: str, key_value: Any) -> bool:
    """Whether the value of a key of a document has no part of the grammar in it, such as an example."""
    is_unknown_extension = key.startswith("x-") and key not in EXTENSION_KEYS and key != EMBEDDED_FILES_KEY
    is_example_list = key == "examples" and isinstance(key_value, list)
    return key in _KEYS_WITH_PLAIN_DATA or is_unknown_extension or is_example_list
