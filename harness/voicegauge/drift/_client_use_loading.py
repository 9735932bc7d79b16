"""Loads what a client uses from recordings of its requests and from files that declare it.

    operations:
      speak:                          # operationId, or "POST /speak"
        sends: [body#/text, query.model]
        reads: [body#/audio_url, header.X-Cost]

Without `sends` or `reads`, it is not known what the client sends or reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from voicegauge.drift._client_uses import (
    ClientUses,
    OperationMatcher,
    OperationPattern,
    SentValues,
    add_recorded_uses,
    add_voicegauge_uses,
)
from voicegauge.drift._json_values import may_match_pattern
from voicegauge.drift._recorded_traffic import STANDARD_HEADER_NAMES
from voicegauge.errors import ContractError, DataError, UsageError
from voicegauge.files import open_file, require_files_in_folder
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.located_yaml import (
    MAX_DOCUMENT_BYTES,
    Document,
    escape_pointer_token,
    get_mapping,
    read_document,
    unescape_pointer_token,
)
from voicegauge.formats.locations import EVERY_ITEM, Location, parse_location, read_pointer
from voicegauge.printable_text import format_names

# Finds out which locations the requests and responses of an operation have, according to an OpenAPI document.


_RARELY_LISTED_REQUEST_HEADERS = frozenset(("accept", "authorization", "content-type", "cookie", "host", "user-agent"))
"""Request headers that count as documented, because documents rarely list them as parameters."""
_CHILD_KEYWORDS = ("properties", "patternProperties", "items", "prefixItems")
"""Keywords whose schemas describe the fields of an object or the items of a list."""
_BRANCH_KEYWORDS = ("allOf", "anyOf", "oneOf")
"""Keywords whose schemas apply to the value itself, all or some of them."""
_CONDITIONAL_KEYWORDS = ("then", "else")
"""Keywords whose schema applies to the value itself under a condition."""


class DocumentedLocations:
    """The locations that an OpenAPI document describes in the requests and responses of one operation."""

    def __init__(self, document: Document, operation_pattern: OperationPattern) -> None:
        """Find the operation of `operation_pattern` in `document`."""
        self._document = document
        self._path_item = self._resolve_references(document.data["paths"][operation_pattern.path])
        self._operation = self._path_item[operation_pattern.method]
        self._path = operation_pattern.path

    def has_location(self, location: Location, *, is_in_request: bool) -> bool:
        """Whether the document describes a value at the location, or allows any value there.

        An object for which the document lists no properties allows any value inside it. The bodies of errors are an
        exception: many documents describe errors by such objects, without meaning that errors may contain everything.
        """
        if location.is_in_body:
            schemas = self._list_body_schemas(is_in_request=is_in_request)
            return any(
                self._describes_value(
                    schema, location.pointer_tokens, accept_unlisted_content=is_in_request or status.startswith("2")
                )
                for status, schema in schemas
            )
        if location.message_part == "header":
            unlisted = _RARELY_LISTED_REQUEST_HEADERS if is_in_request else STANDARD_HEADER_NAMES
            names = {
                name.lower() for name in self._list_parameter_names("header", is_in_request=is_in_request)
            } | unlisted
            return location.name.lower() in names
        names = set(self._list_parameter_names(location.message_part, is_in_request=is_in_request))
        # A member of an object in the query is sent as a parameter of its own: filter[name]=a.
        return location.name.partition("[")[0] in names or location.name in names

    def list_sibling_locations(self, location: Location, *, is_in_request: bool) -> list[str]:
        """Return the documented locations beside `location`: fields of the same object, or parameters of the same kind.

        If the object is not documented, the fields of its nearest documented parent are returned.
        """
        if not location.is_in_body:
            return [
                f"{location.message_part}.{name}"
                for name in self._list_parameter_names(location.message_part, is_in_request=is_in_request)
            ]
        schemas, pointer_tokens = (
            [schema for _, schema in self._list_body_schemas(is_in_request=is_in_request)],
            location.pointer_tokens,
        )
        parent = Location("body")
        for pointer_token in pointer_tokens[:-1]:
            children = [child for schema in schemas for child in self._list_child_schemas(schema, pointer_token)]
            if not children:
                break
            schemas, parent = children, parent.get_inner_location(pointer_token)
        names = dict.fromkeys(name for schema in schemas for name in self._list_child_names(schema))
        return [str(parent.get_inner_location(name)) for name in names]

    def _list_body_schemas(self, *, is_in_request: bool) -> list[tuple[str, Any]]:
        """Return (status, schema) for each documented body. The status is empty if the bodies are those of requests."""
        responses = get_mapping(self._operation, "responses")
        owners = {"": self._operation.get("requestBody")} if is_in_request else responses
        return [
            (str(status), self._resolve_references(media).get("schema", _build_default_schema(name)))
            for status, owner in owners.items()
            for name, media in get_mapping(self._resolve_references(owner), "content").items()
        ]

    def _list_parameter_names(self, location_kind: str, *, is_in_request: bool) -> list[str]:
        """Return the documented names of request parameters of one kind, such as "query", or of response headers."""
        if not is_in_request:
            responses = map(self._resolve_references, get_mapping(self._operation, "responses").values())
            names = (name for response in responses for name in get_mapping(response, "headers"))
            return list(dict.fromkeys(names)) if location_kind == "header" else []
        owners = (self._path_item, self._operation)
        parameters = [self._resolve_references(item) for owner in owners for item in _get_list(owner, "parameters")]
        # Documents describe the header of the key as a security scheme, not as a parameter.
        components = get_mapping(self._document.data, "components")
        schemes = [self._resolve_references(item) for item in get_mapping(components, "securitySchemes").values()]
        found = [
            str(item["name"]) for item in (*parameters, *schemes) if item.get("in") == location_kind and "name" in item
        ]
        # Not every document lists the parameters of its paths.
        found += re.findall(r"\{([^}]*)\}", self._path) if location_kind == "path" else []
        return list(dict.fromkeys(found))

    def _describes_value(self, schema: Any, pointer_tokens: Sequence[str], *, accept_unlisted_content: bool) -> bool:
        if not pointer_tokens:
            return True
        children = self._list_child_schemas(schema, pointer_tokens[0])
        if any(self._describes_value(child, pointer_tokens[1:], accept_unlisted_content=True) for child in children):
            return True
        return accept_unlisted_content and not children and self._allows_any_content(schema)

    def _allows_any_content(self, schema: Any) -> bool:
        """Whether a schema allows objects or lists without stating what they contain."""
        parts = list(self._iterate_applied_schemas(schema, set()))
        if any(key in part for part in parts for key in _CHILD_KEYWORDS):
            return False
        stated = [part["type"] for part in parts if "type" in part]
        types = {name for value in stated for name in (value if isinstance(value, list) else [value])}
        return not types or bool(types & {"object", "array"})

    def _list_child_schemas(self, schema: Any, pointer_token: str) -> list[Any]:
        """Return the schemas inside `schema` that describe one child of a value: a field of an object or a list item.

        `pointer_token` is the name of the field or the index of the item.
        """
        parts = self._iterate_applied_schemas(schema, set())
        return [child for part in parts for child in _iterate_child_schemas(part, pointer_token)]

    def _list_child_names(self, schema: Any) -> Iterator[str]:
        for part in self._iterate_applied_schemas(schema, set()):
            yield from get_mapping(part, "properties")
            if "items" in part or "prefixItems" in part:
                yield EVERY_ITEM

    def _iterate_applied_schemas(self, schema: Any, followed_references: set[str]) -> Iterator[dict[str, Any]]:
        """Yield `schema` and all schemas inside it that may apply to the same value."""
        if not isinstance(schema, dict):
            return
        yield schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed_references:
            followed_references.add(reference)
            yield from self._iterate_applied_schemas(self._resolve_references(schema), followed_references)
        for key in _BRANCH_KEYWORDS:
            for branch in _get_list(schema, key):
                yield from self._iterate_applied_schemas(branch, followed_references)
        for key in _CONDITIONAL_KEYWORDS:
            yield from self._iterate_applied_schemas(schema.get(key), followed_references)

    def _resolve_references(self, value: Any) -> dict[str, Any]:
        """Return the mapping that the `$ref` of `value` leads to; `value` itself if it is a mapping without `$ref`.

        The result is empty if there is no such mapping.
        """
        seen: set[str] = set()
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            reference = value["$ref"]
            if reference in seen or not reference.startswith("#/"):
                return {}
            seen.add(reference)
            pointer_tokens = [
                unescape_pointer_token(pointer_token) for pointer_token in unquote(reference)[2:].split("/")
            ]
            value = read_pointer(self._document.data, pointer_tokens)
        return value if isinstance(value, dict) else {}


def _build_default_schema(media_type: str) -> dict[str, Any]:
    """Return the schema that is assumed for a body without a documented schema.

    It allows any value for JSON and forms, and a text for other media types.
    """
    has_values = media_type == "*/*" or is_json(media_type) or is_form(media_type)
    return {} if has_values else {"type": "string"}


def _iterate_child_schemas(schema: dict[str, Any], pointer_token: str) -> Iterator[Any]:
    properties = get_mapping(schema, "properties")
    patterns = get_mapping(schema, "patternProperties")
    if pointer_token == EVERY_ITEM:
        yield from (*properties.values(), *patterns.values())
    elif pointer_token in properties:
        yield properties[pointer_token]
    else:
        yield from (child for pattern, child in patterns.items() if may_match_pattern(pattern, pointer_token))
    if isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        yield schema["additionalProperties"]
    if pointer_token == EVERY_ITEM or pointer_token.isdecimal():
        yield from _get_list(schema, "prefixItems")
        if "items" in schema:
            yield schema["items"]


def _get_list(container: Any, key: str) -> list[Any]:
    value = container.get(key) if isinstance(container, dict) else None
    return value if isinstance(value, list) else []


# Reads a file that declares what a client sends and reads.


_DECLARATION_KEYS = ("sends", "reads")
"""Keys that may be below an operation in a file that declares uses."""


_MAX_LOCATIONS_NAMED_IN_ERROR = 8
"""Largest number of known locations that an error about an unknown one names."""


def add_declared_uses(
    client_uses: ClientUses, declaration: Document, old_matcher: OperationMatcher, new_matcher: OperationMatcher
) -> None:
    """Add the uses that a file declares.

    Args:
        client_uses: receives the uses.
        declaration: the content of the file.
        old_matcher: finds the operations of the older document.
        new_matcher: finds the operations of the newer document.

    Raises:
        ContractError: the declaration has another form, names an operation that the older document does not have, or
            names a location that neither document has.
    """
    unknown = next((key for key in declaration.data if key != "operations"), None)
    if unknown is not None:
        raise declaration.build_error(f"/{escape_pointer_token(unknown)}", f"the key {unknown!r} is not known here")
    operations = declaration.data["operations"]
    if not isinstance(operations, dict):
        raise declaration.build_error(
            "/operations", "must be a mapping from operations to what the client sends and reads"
        )
    if not operations:
        raise declaration.build_error("/operations", "names no operation: list those that the client calls")
    for name, used in operations.items():
        pointer = f"/operations/{escape_pointer_token(name)}"
        operation_pattern = old_matcher.find_by_name(name)
        if operation_pattern is None:
            known = format_names(sorted(known.name for known in old_matcher.operation_patterns), 5)
            raise declaration.build_error(
                pointer, f"{name!r} is not an operation of the older document, which has {known}"
            )
        if used is not None and not isinstance(used, dict):
            raise declaration.build_error(pointer, "must be a mapping with the keys sends and reads")
        for key in used or {}:
            if key not in _DECLARATION_KEYS:
                raise declaration.build_error(
                    f"{pointer}/{escape_pointer_token(key)}", f"the key {key!r} is not known here"
                )
        old_and_new_locations = _find_documented_locations_in_both(operation_pattern, old_matcher, new_matcher)
        _add_declared_operation(
            client_uses, operation_pattern.name, old_and_new_locations, used or {}, pointer, declaration
        )


def _find_documented_locations_in_both(
    operation_pattern: OperationPattern, old_matcher: OperationMatcher, new_matcher: OperationMatcher
) -> list[DocumentedLocations]:
    """Return the locations that the older document describes for an operation, and those of the newer document.

    The second item is missing if the newer document does not have the operation.
    """
    names = (operation_pattern.name, operation_pattern.method_and_path)
    newer = next(filter(None, map(new_matcher.find_by_name, names)), None)
    found = [DocumentedLocations(old_matcher.document, operation_pattern)]
    return found if newer is None else [*found, DocumentedLocations(new_matcher.document, newer)]


def _add_declared_operation(
    client_uses: ClientUses,
    operation_name: str,
    old_and_new_locations: Sequence[DocumentedLocations],
    declared_values: dict[str, Any],
    operation_pointer: str,
    declaration: Document,
) -> None:
    use = client_uses.find_or_add_operation_use(operation_name)
    for key, values in declared_values.items():
        is_sent = key == "sends"
        listed = _parse_location_list(values, f"{operation_pointer}/{key}", declaration)
        for location, item_pointer in listed.items():
            if not any(one.has_location(location, is_in_request=is_sent) for one in old_and_new_locations):
                problem = _describe_unknown_location(
                    location, operation_name, old_and_new_locations, is_in_request=is_sent
                )
                raise declaration.build_error(item_pointer, problem)
        if is_sent:
            source = f"{declaration.path}:{declaration.find_line(f'{operation_pointer}/sends')}"
            use.sent_values.append(SentValues(frozenset(listed), source))
        else:
            # An empty list, too: it says that the client reads nothing, so that no change of a response affects it.
            use.add_read_locations((), "")
            for location, item_pointer in listed.items():
                use.add_read_locations([location], f"{declaration.path}:{declaration.find_line(item_pointer)}")


def _describe_unknown_location(
    location: Location,
    operation_name: str,
    old_and_new_locations: Sequence[DocumentedLocations],
    *,
    is_in_request: bool,
) -> str:
    listed = [
        version.list_sibling_locations(location, is_in_request=is_in_request) for version in old_and_new_locations
    ]
    known = list(dict.fromkeys(text for texts in listed for text in texts))
    shown = (
        ", ".join(get_close_matches(str(location), known, n=_MAX_LOCATIONS_NAMED_IN_ERROR, cutoff=0)) or "nothing there"
    )
    more = ", ..." if len(known) > _MAX_LOCATIONS_NAMED_IN_ERROR else ""
    where = "a request" if is_in_request else "a response"
    return f"'{location}' is not in {where} of {operation_name} in either document, which have {shown}{more}"


def _parse_location_list(location_list: Any, list_pointer: str, declaration: Document) -> dict[Location, str]:
    """Parse a list of locations. Return each location with the JSON pointer to its item in the list."""
    if not isinstance(location_list, list):
        raise declaration.build_error(list_pointer, "must be a list of locations, such as body#/text or header.X-Cost")
    found = {}
    for index, text in enumerate(location_list):
        try:
            found[parse_location(text if isinstance(text, str) else "")] = f"{list_pointer}/{index}"
        except ValueError as error:
            raise declaration.build_error(f"{list_pointer}/{index}", str(error)) from None
    return found


# Reads what a client uses from recordings of its requests, and from files that declare it.


VOICEGAUGE_CLIENT = "voicegauge"
"""Stands for voicegauge itself as the client, instead of the path of a file. What voicegauge sends and reads is then
taken from the `x-` keys of the contract."""
_DECLARATION_SUFFIXES = (".yaml", ".yml")
"""Suffixes of files that may declare what a client uses; recordings may have them too."""
_EMPTY_DECLARATION_HINT = "declare below operations what the client sends and reads, or name a recording"
"""What to do about a file that declares nothing, at the end of an error message."""
_TOP_LEVEL_KEYS_OF_RECORDINGS = {"interactions", "http_interactions", "log"}
"""Top-level keys that recordings have and declarations do not have. They distinguish the two kinds of YAML files."""
_RECORDING_SUFFIXES = (".har", ".json", ".yaml", ".yml")
"""Suffixes of the files of a folder that may be recordings."""


def load_client_uses(client_use_paths: Sequence[str], old_document: Document, new_document: Document) -> ClientUses:
    """Read what a client uses of an API.

    Args:
        client_use_paths: recordings of the client or folders of them, YAML files that declare uses, or
            `VOICEGAUGE_CLIENT`.
        old_document: the OpenAPI document that the client was written for.
        new_document: the newer document. A client may use what only this document has.

    Raises:
        UsageError: an item of `client_use_paths` does not exist, or contains no request to the API.
        ContractError: a file declares something that neither document has, or declares nothing.
        DataError: a recording that `client_use_paths` names cannot be read. Unreadable files of a folder are listed
            in `unreadable_file_messages` instead.
    """
    client_uses, matcher = ClientUses(), OperationMatcher(old_document)
    for source in client_use_paths:
        if source == VOICEGAUGE_CLIENT:
            add_voicegauge_uses(client_uses, matcher)
            continue
        path = Path(source)
        if not path.exists():
            raise UsageError(f"--uses {source}: no such file or folder")
        files = [path]
        if path.is_dir():
            found = (file for file in path.rglob("*") if file.suffix in _RECORDING_SUFFIXES and file.is_file())
            files = require_files_in_folder(sorted(found), path)
        if path.is_dir() and not files:
            raise UsageError(f"--uses {source}: contains no recording")
        declaration = None if path.is_dir() or path.suffix == ".har" else _read_declaration(path)
        if declaration is not None:
            add_declared_uses(client_uses, declaration, matcher, OperationMatcher(new_document))
        elif not sum(_add_uses_of_file(client_uses, file, matcher, skip_if_unreadable=path.is_dir()) for file in files):
            raise UsageError(f"--uses {source}: has no request to an operation of {old_document.path}")
    return client_uses


def _add_uses_of_file(
    client_uses: ClientUses, file: Path, matcher: OperationMatcher, *, skip_if_unreadable: bool
) -> int:
    """Add what the client sends in a recording to `client_uses`. Return the number of recorded requests to the API."""
    try:
        return add_recorded_uses(client_uses, file, matcher)
    except DataError as error:
        if not skip_if_unreadable:
            raise
        client_uses.unreadable_file_messages.append(str(error))
        return 0


def _read_declaration(path: Path) -> Document | None:
    """Return the document of a file that declares uses; `None` if it is a recording, such as a VCR cassette."""
    try:
        document = read_document(path)
    except ContractError:
        if _is_empty_file(path):
            raise ContractError(path, None, f"is empty: {_EMPTY_DECLARATION_HINT}") from None
        return None  # cassettes may have tags of YAML that declarations cannot have
    if "operations" in document.data:
        return document
    if path.suffix in _DECLARATION_SUFFIXES and not document.data.keys() & _TOP_LEVEL_KEYS_OF_RECORDINGS:
        raise ContractError(path, None, f"has no key 'operations': {_EMPTY_DECLARATION_HINT}")
    return None


def _is_empty_file(path: Path) -> bool:
    """Whether a file contains only comments and the document markers of YAML."""
    with open_file(path) as file:
        lines = [line.strip() for line in file.read(MAX_DOCUMENT_BYTES).splitlines()]
    return all(line in (b"", b"---", b"...", b"{}") or line.startswith(b"#") for line in lines)
