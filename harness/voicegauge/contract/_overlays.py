"""Applies OpenAPI Overlays to a document, and leaves out operations that are not selected.

An overlay is a list of actions. Each selects values by a JSONPath expression (RFC 9535) and merges data into them,
copies another value into them, or removes them: https://spec.openapis.org/overlay/v1.1.0.html

Of a provider's official document with hundreds of operations, a contract needs the few that an overlay describes, and
what these refer to.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit

import msgspec

from voicegauge.contract.document_parts import EXTENSION_KEYS, OPENAPI_METHODS, fill_server_variables
from voicegauge.errors import UsageError
from voicegauge.files import resolve_links
from voicegauge.formats.located_yaml import (
    CommentedValue,
    Document,
    describe_type,
    escape_pointer_token,
    explain_type_error,
    format_json_pointer,
    get_inner_values,
    get_mapping,
    split_json_pointer,
)
from voicegauge.formats.locations import MISSING, read_json_pointer, read_pointer

if TYPE_CHECKING:
    from jsonpath_rfc9535 import JSONPathNode


_SUPPORTED_OVERLAY_VERSION_PREFIXES = ("1.0.", "1.1.")
_MAX_QUOTED_CHARACTERS = 200
"""Maximum length of an expression or a reason in a message."""
_UPDATE, _REMOVE, _COPY = "update", "remove", "copy"
"""The three kinds of actions, by their keys in an overlay."""


class _OverlayAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One action of an overlay: what it selects by `target`, and what it does there."""

    target: str
    """JSONPath of the selected values."""
    description: str = ""
    """What the action is for, for readers."""
    update: Any = msgspec.UNSET
    """What is merged into each selected value. Unset instead of null, because null is a value that can be merged."""
    remove: bool = False
    """Whether the selected values are removed."""
    copy: str | None = None
    """JSONPath of the one value that is merged into each selected value; `None` for another action."""


class _OverlayInfo(msgspec.Struct, frozen=True):
    """Title and version of an overlay, which every overlay must have."""

    title: str
    version: str


class _Overlay(msgspec.Struct, frozen=True):
    """The content of an overlay file."""

    overlay: str
    """Version of the Overlay Specification."""
    info: _OverlayInfo
    actions: Annotated[list[_OverlayAction], msgspec.Meta(min_length=1)]
    """The actions in the order in which they are applied."""
    extends: str | None = None
    """Path of the extended document, relative to the overlay."""


def is_overlay(document: Document) -> bool:
    """Whether a document is an OpenAPI Overlay."""
    return "overlay" in document.data


def find_extended_file(overlay: Document) -> Path:
    """Return the file that an overlay extends.

    Raises:
        ContractError: the overlay is not valid, names no file or one that does not exist, is out of the folder of the
            overlay or leads out of it through a link, or names a URL.
    """
    extends = _parse_overlay(overlay).extends
    if extends is None:
        raise overlay.build_error("", "needs extends: the path of the OpenAPI document, relative to the overlay")
    if "://" in extends:
        shown = extends[:_MAX_QUOTED_CHARACTERS]
        reason = f"extends {shown!r}: download the document, and name its path relative to the overlay"
        raise overlay.build_error("/extends", reason)
    base = overlay.path.parent / extends
    # A file elsewhere would be read, and quoted in errors. Path.is_file raises an error for a name that is too long.
    if not os.path.isfile(base) or resolve_links(overlay.path.parent) not in resolve_links(base).parents:  # noqa: PTH113
        reason = f"extends {extends[:_MAX_QUOTED_CHARACTERS]!r}, which is not a file in {overlay.path.parent}"
        raise overlay.build_error("/extends", reason)
    return base


def apply_overlay(overlay: Document, base: Document) -> Document:
    """Return a copy of `base` to which the actions of `overlay` are applied.

    Raises:
        ContractError: the overlay is not valid, or an action selects nothing or does not fit what it selects.
    """
    composition = _ComposedDocument(overlay, base)
    for index, action in enumerate(_parse_overlay(overlay).actions):
        composition.apply_action(action, f"/actions/{index}")
    digest = hashlib.sha256(f"{base.sha256} {overlay.sha256}".encode()).hexdigest()
    return Document(overlay.path, composition.data, {}, digest, composition.parts)


def _parse_overlay(overlay: Document) -> _Overlay:
    version = overlay.data.get("overlay")
    if not isinstance(version, str) or not version.startswith(_SUPPORTED_OVERLAY_VERSION_PREFIXES):
        raise overlay.build_error("/overlay", f"must be an OpenAPI Overlay of version 1.0 or 1.1, not {version!r}")
    try:
        return msgspec.convert(overlay.data, _Overlay)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace("[", "/").replace("]", "").replace(".", "/")
        raise overlay.build_error(pointer, f"is not a valid overlay: {explain_type_error(reason)}") from error


class _ComposedDocument:
    """A document to which the actions of an overlay are applied, and the file from which each of its parts comes."""

    def __init__(self, overlay: Document, base: Document) -> None:
        self._overlay = overlay
        # Values of the base may be one object at several places (YAML aliases): a change of one must not be seen at
        # the others. JSON has no such objects.
        self.data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(base.data))
        self.parts: dict[str, tuple[Document, str]] = {"": (base, "")}

    def apply_action(self, action: _OverlayAction, pointer: str) -> None:
        if action.copy is not None and self._overlay.data["overlay"].startswith(_SUPPORTED_OVERLAY_VERSION_PREFIXES[0]):
            reason = "copy is an action of Overlay 1.1: write overlay: 1.1.0 at the top of the document"
            raise self._overlay.build_error(f"{pointer}/{_COPY}", reason)
        is_update = action.update is not msgspec.UNSET
        if is_update + action.remove + (action.copy is not None) != 1:
            raise self._overlay.build_error(pointer, "an action needs exactly one of update, copy and remove: true")
        nodes = self._select_nodes(action.target, f"{pointer}/target")
        if action.remove:
            self._remove_values_at([tuple(node.location) for node in nodes], pointer)
        elif is_update:
            for node in nodes:
                self._merge_value_at(tuple(node.location), action.update, f"{pointer}/{_UPDATE}")
        else:
            sources = self._select_nodes(str(action.copy), f"{pointer}/{_COPY}")
            if len(sources) != 1:
                raise self._overlay.build_error(f"{pointer}/{_COPY}", f"selects {len(sources)} values, not one")
            for node in nodes:
                self._merge_value_at(tuple(node.location), sources[0].value, f"{pointer}/{_COPY}")

    def _select_nodes(self, json_path: str, pointer: str) -> list[JSONPathNode]:
        import jsonpath_rfc9535  # slow to import, and few contracts are overlays

        try:
            nodes = list(jsonpath_rfc9535.find(json_path, self.data))
        except (jsonpath_rfc9535.JSONPathError, RecursionError) as error:
            reason = str(error).splitlines()[0][:_MAX_QUOTED_CHARACTERS] if str(error) else "nested too deep"
            raise self._overlay.build_error(
                pointer, f"{json_path[:_MAX_QUOTED_CHARACTERS]!r} is not a valid JSONPath: {reason}"
            ) from error
        if not nodes:  # the specification allows it; a contract whose key is not there would silently lack it
            raise self._overlay.build_error(pointer, f"{json_path!r} selects nothing in {self.parts[''][0].path}")
        return nodes

    def _remove_values_at(self, paths_to_values: list[tuple[int | str, ...]], pointer: str) -> None:
        # From the last location to the first, items of a list by their indices: no removal then moves a value that is
        # still to be removed.
        for location in sorted(
            paths_to_values,
            key=lambda tokens: [(isinstance(t, str), t if isinstance(t, int) else 0, str(t)) for t in tokens],
            reverse=True,
        ):
            if not location:
                raise self._overlay.build_error(f"{pointer}/{_REMOVE}", "the whole document cannot be removed")
            del self._get_value_at(location[:-1])[location[-1]]

    def _merge_value_at(self, pointer_tokens: tuple[int | str, ...], value: Any, source_pointer: str) -> None:
        """Merge `value`, which stands in the overlay at `source_pointer`, into the value at `pointer_tokens`.

        Objects are merged key by key, lists are extended, and other values replaced (Overlay 1.1.0, section 4.4.3.1).
        """
        found = self._get_value_at(pointer_tokens)
        if isinstance(found, dict) and isinstance(value, dict):
            for key, item in value.items():
                at = f"{source_pointer}/{escape_pointer_token(key)}"
                if key in found and isinstance(found[key], (dict, list)) and isinstance(item, type(found[key])):
                    self._merge_value_at((*pointer_tokens, key), item, at)
                else:
                    # A copy: several selected values would share one object, and a later action on one would change
                    # all.
                    found[key] = copy.deepcopy(item)
                    self.parts[format_json_pointer((*pointer_tokens, key))] = (self._overlay, at)
        elif isinstance(found, list):
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                self.parts[format_json_pointer((*pointer_tokens, len(found)))] = (
                    self._overlay,
                    f"{source_pointer}/{index}",
                )
                found.append(copy.deepcopy(item))
        elif pointer_tokens and not isinstance(found, dict) and not isinstance(value, (dict, list)):
            self._get_value_at(pointer_tokens[:-1])[pointer_tokens[-1]] = value
            self.parts[format_json_pointer(pointer_tokens)] = (self._overlay, source_pointer)
        else:
            reason = f"{describe_type(value)} cannot be merged into {describe_type(found)}"
            raise self._overlay.build_error(source_pointer, reason)

    def _get_value_at(self, pointer_tokens: tuple[int | str, ...]) -> Any:
        value: Any = self.data
        for token in pointer_tokens:
            value = value[token]
        return value


def escape_json_path_name(name: str) -> str:
    """Return a name as it stands between single quotes in a JSONPath."""
    # JSONPath escapes a text as JSON does, but in single quotes (RFC 9535, section 2.3.1.1).
    return json.dumps(name)[1:-1].replace('\\"', '"').replace("'", "\\'")


# Selects from a document what a contract needs, so that errors elsewhere in the document do not matter.


_OPERATION_EXTENSION_KEYS = EXTENSION_KEYS - {"x-provider", "x-source"}
"""The `x-` keys that describe an operation."""
_ALWAYS_COPIED_KEYS = (
    "openapi",
    "swagger",
    "info",
    "jsonSchemaDialect",
    "servers",
    "security",
    "x-provider",
    "x-limits",
)
"""Keys at the root that are kept whichever operations are selected."""


def select_described_operations(document: Document) -> dict[str, Any]:
    """Return the data of a document with only the operations that voicegauge's `x-` keys describe or name by id.

    Operations are named by id in described operations, and in `x-provider`, which names those that list models and
    voices. The parts that the kept operations refer to are kept too. JSON pointers do not change.
    """
    operations = dict(read_operations(document.data))
    by_id = {str(node.get("operationId")): at for at, node in operations.items()}
    listing = set(_iterate_operation_ids(document.data.get("x-provider")))
    # First those with keys of their own; the loop adds those that they name, such as the status of a job.
    kept = [
        at
        for at, node in operations.items()
        if _OPERATION_EXTENSION_KEYS & node.keys() or node.get("operationId") in listing
    ]
    known = set(kept)
    for at in kept:  # which grows
        for name in _iterate_possible_operation_ids(document.data, operations[at]):
            if name in by_id and by_id[name] not in known:
                known.add(by_id[name])
                kept.append(by_id[name])
    selected = select_operations(document, known)
    _remove_links_to_missing_operations(selected, by_id.keys())
    return selected


def _remove_links_to_missing_operations(selected_data: dict[str, Any], operation_ids: Collection[str]) -> None:
    """Remove the links to operations that the document does not have: nothing can follow them."""
    shared = read_pointer(selected_data, ["components", "links"])
    groups: list[Any] = [shared]
    for _, operation in read_operations(selected_data):
        groups += [get_mapping(response, "links") for response in get_mapping(operation, "responses").values()]
    removed: set[str] = set()
    for links in groups:
        for name, link in list(links.items()) if isinstance(links, dict) else ():
            target = link.get("operationId") if isinstance(link, dict) else None
            if (target is not None and target not in operation_ids) or (
                isinstance(link, dict) and link.get("$ref") in removed
            ):
                del links[name]
                if links is shared:
                    removed.add(f"#/components/links/{escape_pointer_token(name)}")


def select_operations(document: Document, kept_operations: Collection[tuple[str, str]]) -> dict[str, Any]:
    """Return the data of a document, reduced to `kept_operations` (path and method of each) and what these refer to."""
    operations = dict(read_operations(document.data))
    selected: dict[str, Any] = {key: document.data[key] for key in _ALWAYS_COPIED_KEYS if key in document.data}
    selected["paths"] = {}
    kept = set(kept_operations)
    # `kept_operations` may be a set. In the order of the document, the result is the same every time.
    for path, method in filter(kept.__contains__, operations):
        item = document.data["paths"][path]
        shared = {key: value for key, value in item.items() if key not in OPENAPI_METHODS}
        selected["paths"].setdefault(path, shared)[method] = item[method]
    _add_referenced_parts(selected, document.data)
    return selected


def read_operations(document_data: dict[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Yield the operations of a document by path and method."""
    for path, item in get_mapping(document_data, "paths").items():
        for method in OPENAPI_METHODS:
            if isinstance(item, dict) and isinstance(item.get(method), dict):
                yield (path, method), item[method]


def _iterate_operation_ids(document_part: Any) -> Iterator[str]:
    """Yield the values of all keys `operation_id` in `document_part`."""
    if isinstance(document_part, dict) and isinstance(document_part.get("operation_id"), str):
        yield document_part["operation_id"]
    for item in get_inner_values(document_part):
        yield from _iterate_operation_ids(item)


def _iterate_possible_operation_ids(document_data: dict[str, Any], operation_data: dict[str, Any]) -> Iterator[str]:
    """Yield all texts in the `x-` keys and the links of an operation; some of them are operation ids."""
    for key in _OPERATION_EXTENSION_KEYS & operation_data.keys():
        yield from _iterate_texts(operation_data[key])
    for response in get_mapping(operation_data, "responses").values():
        for text in _iterate_texts(get_mapping(response, "links")):
            if text.startswith("#/"):  # a reference to a link under components
                yield from _iterate_texts(read_json_pointer(document_data, unquote(text[1:])))
            else:
                yield text


def _iterate_texts(document_part: Any) -> Iterator[str]:
    if isinstance(document_part, str):
        yield document_part
    for item in get_inner_values(document_part):
        yield from _iterate_texts(item)


def _add_referenced_parts(selected_data: dict[str, Any], document_data: dict[str, Any]) -> None:
    """Copy what `selected_data` refers to from `document_data`, at the same pointers."""
    schemes = read_pointer(document_data, ["components", "securitySchemes"])
    if schemes is not MISSING:
        selected_data["components"] = {"securitySchemes": schemes}
    pending = list(_iterate_references(selected_data))
    seen: set[str] = set()
    while pending:
        reference = pending.pop()
        if reference in seen:
            continue
        seen.add(reference)
        pointer_tokens = split_json_pointer(unquote(reference[1:]))
        value = read_pointer(document_data, pointer_tokens)
        if value is not MISSING:  # a reference to nothing is reported with its line when references are checked
            _copy_value_at(selected_data, document_data, pointer_tokens)
            pending += _iterate_references(value)


def _iterate_references(document_part: Any) -> Iterator[str]:
    if isinstance(document_part, dict):
        reference = document_part.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            yield reference
        mapping = read_pointer(document_part, ["discriminator", "mapping"])
        yield from (m for m in _iterate_texts(mapping) if m.startswith("#/"))
    for item in get_inner_values(document_part):
        yield from _iterate_references(item)


def _copy_value_at(selected_data: dict[str, Any], document_data: dict[str, Any], pointer_tokens: list[str]) -> None:
    """Copy the value at `pointer_tokens` from `document_data` to `selected_data`.

    If the value is inside of a list, the whole list is copied.
    """
    for index, token in enumerate(pointer_tokens):
        following = document_data[token]
        is_last = index == len(pointer_tokens) - 1
        if is_last or not isinstance(following, dict):
            selected_data[token] = following
            return
        child = selected_data.get(token)
        if child is following:  # is there already, as a whole
            return
        selected_data[token] = child = dict(child) if child is not None else {}
        selected_data, document_data = child, following


# Finds what the author of a contract still has to complete: the values that `voicegauge init` marks TODO.


TODO = "TODO"
"""The mark in a proposed contract for what its author has to complete. It is part of the output, not a task in this
module."""
TODO_URL = f"https://{TODO}.example"
"""Placeholder for the URL of a server that no document states."""
_KEYS_CHECKED_FOR_TODO_MARKS = EXTENSION_KEYS | {"servers"}
"""Keys whose values may not be marked TODO when a contract is loaded."""


def reject_unfinished_values(document: Document) -> None:
    """Check that no value of an overlay, of our `x-` keys or of the servers is marked TODO.

    Raises:
        ContractError: a value is marked TODO; the message has its line.
    """
    if not _has_todo_mark(document.data):
        return
    is_overlay = "overlay" in document.data
    for pointer, value in _iterate_checked_texts(document.data, "", is_below_checked_key=is_overlay):
        if value in (TODO, TODO_URL):
            raise document.build_error(
                pointer, f"is marked {TODO}: replace it by the provider's value, or delete the key"
            )


def _has_todo_mark(document_part: Any) -> bool:
    """Whether `document_part`, or any value in it, is marked TODO.

    This is faster than building JSON pointers to the marks, which most documents do not have.
    """
    pending = [document_part]
    while pending:
        item = pending.pop()
        if isinstance(item, (dict, list)):
            pending += get_inner_values(item)
        elif item in (TODO, TODO_URL):
            return True
    return False


def _iterate_checked_texts(
    document_part: Any, pointer: str, *, is_below_checked_key: bool
) -> Iterator[tuple[str, str]]:
    """Yield the texts in an overlay, or those below our keys, with their JSON pointers."""
    if isinstance(document_part, str):
        if is_below_checked_key:
            yield pointer, document_part
        return
    items = (
        document_part.items()
        if isinstance(document_part, dict)
        else enumerate(document_part)
        if isinstance(document_part, list)
        else ()
    )
    for key, item in items:
        inner = f"{pointer}/{escape_pointer_token(str(key))}"
        yield from _iterate_checked_texts(
            item, inner, is_below_checked_key=is_below_checked_key or key in _KEYS_CHECKED_FOR_TODO_MARKS
        )


# Names and actions of proposed overlays, on documents of OpenAPI and of AsyncAPI.


_PROVIDER_ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]*")
"""Matches the id of a provider, with which the ids of its targets begin."""
_IGNORED_TITLE_WORD_PATTERN = re.compile(r"\b(api|docs|documentation|reference|rest|specification)\b", re.IGNORECASE)
"""Matches words in the title of a document that say nothing about the provider."""


def derive_provider_id(document: Document, reserved_ids: Collection[str]) -> str:
    """Derive an id from the host of the first server, else from the title: api.acme.com becomes acme.

    If acme is reserved, it becomes my-acme.
    """
    hosts = [urlsplit(url).hostname or "" for url in list_server_urls(document.data)]
    *_, second_level, top_level = ("", "", *hosts[0].split(".")) if hosts else ("", "")
    # An address of this machine or network, such as 127.0.0.1, does not name a provider.
    name = convert_to_identifier(second_level) if not top_level.isdecimal() else ""
    if not name:
        title = str(get_mapping(document.data, "info").get("title", ""))
        name = convert_to_identifier(_IGNORED_TITLE_WORD_PATTERN.sub("", title)) or "my-provider"
    # A contract with the id of a bundled one is rejected when it is loaded, unless it has the same servers and key.
    return f"my-{name}" if name in reserved_ids else name


def convert_to_identifier(text: str) -> str:
    """Return small letters, digits and hyphens for a text: "XTTS v2" becomes "xtts-v2"."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def derive_name_from_path(path: str) -> str:
    """Return the last part of a path that is not a parameter, as a name."""
    parts = [convert_to_identifier(part) for part in path.split("/") if part and "{" not in part]
    return parts[-1] if parts else "speech"


def check_provider_id(provider_id: str) -> None:
    """Reject a text that cannot be the id of a provider; an empty one is accepted.

    Raises:
        UsageError: it is not an id.
    """
    if provider_id and not _PROVIDER_ID_PATTERN.fullmatch(provider_id):
        raise UsageError(f"{provider_id!r} is not a provider id: use small letters, digits and hyphens")


def list_server_urls(document_data: Mapping[str, Any]) -> list[str]:
    """Return the http and https URLs of the servers of a document, with the defaults of their variables."""
    servers = document_data.get("servers")
    known = [one for one in servers if isinstance(one, dict)] if isinstance(servers, list) else []
    urls = [fill_server_variables(str(server.get("url", "")), server.get("variables")) for server in known]
    return [url for url in urls if url.startswith(("http://", "https://")) and "{" not in url]


def choose_unused_name(name: str, used_names: set[str]) -> str:
    """Return `name`, or with a number, such as "listen-2", if it was used, and add what is returned to `used_names`."""
    numbered = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    unused = next(one for one in numbered if one not in used_names)
    used_names.add(unused)
    return unused


_LANGUAGE_TAG_PATTERN = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
"""Matches a language tag such as "en", "en-GB" or "zh_Hant", but no word such as "auto" or "English"."""


def find_values_by_language(field_schema: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that a schema lists for a language, by BCP 47 code: `{"en": "en-GB", "en-US": "en-US"}`.

    The first region of a language stands for the language, unless the language is listed without a region. Values that
    are something else than a language tag, such as "auto", are left out.
    """
    listed = _list_enum_texts(field_schema)
    tags = {one: one.replace("_", "-") for one in listed if _LANGUAGE_TAG_PATTERN.fullmatch(one)}
    without_region = {tag.lower() for tag in tags.values()}
    found: dict[str, str] = {}
    for value, tag in tags.items():
        language = tag.partition("-")[0].lower()
        is_language = tag.lower() == language or language not in {*found, *without_region}
        found.setdefault(language if is_language else tag, value)
    return found


def list_language_names(field_schema: Mapping[str, Any]) -> list[str]:
    """Return the values that a schema lists for a language and that are words, such as "English", except "auto"."""
    listed = _list_enum_texts(field_schema)
    return [one for one in listed if one.lower() not in ("", "auto") and not _LANGUAGE_TAG_PATTERN.fullmatch(one)]


def _list_enum_texts(field_schema: Mapping[str, Any]) -> list[str]:
    enum = field_schema.get("enum")
    return [one for one in enum if isinstance(one, str)] if isinstance(enum, list) else []


def list_regional_languages(values_by_language: Mapping[str, str]) -> list[str]:
    """Return the languages of `find_values_by_language` for which one of several regions was chosen."""
    return [
        language
        for language, value in values_by_language.items()
        if value.lower() != language and any(other.startswith(f"{language}-") for other in values_by_language)
    ]


def propose_language_field(location: str, field_schema: Mapping[str, Any]) -> Any:
    """Return the proposed mapping of a language field: its location, with `provider_values` if the values need them."""
    languages = find_values_by_language(field_schema)
    converted = {language: value for language, value in languages.items() if language != value}
    if not converted:
        return location
    uncertain = list_regional_languages(languages)
    comment = f"{TODO}: which region is meant by {', '.join(uncertain)}"
    return {"location": location, "provider_values": CommentedValue(converted, comment) if uncertain else converted}


def build_removal_action(document: Document, pointer: str) -> dict[str, Any]:
    """Return the action of an overlay of `document` that removes the value at a JSON pointer."""
    tokens, path = split_json_pointer(pointer), "$"
    for index, token in enumerate(tokens):
        is_list = isinstance(read_pointer(document.data, tokens[:index]), list)
        path += f"[{token}]" if is_list else f"['{escape_json_path_name(token)}']"
    return {"target": path, "remove": True}


def format_today() -> str:
    """Return today's date in UTC as YYYY-MM-DD."""
    return datetime.now(UTC).date().isoformat()


def build_operation_action(path: str, method: str, update: dict[str, Any]) -> dict[str, Any]:
    """Return the action that adds `update` to an operation, which a JSONPath selects."""
    return {"target": f"$.paths['{escape_json_path_name(path)}'].{method}", "update": update}
