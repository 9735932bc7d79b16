"""Assembles a document from files, of any version of OpenAPI, in Swagger 2.0 or from Google's discovery service.

The assembled document is validated.

The differences of 3.0 and 3.1: https://learn.openapis.org/upgrading/v3.0-to-v3.1.html
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from voicegauge.contract._overlays import (
    TODO,
    apply_overlay,
    find_extended_file,
    is_overlay,
    reject_unfinished_values,
    select_described_operations,
)
from voicegauge.contract.asyncapi import (
    build_document_without_operations,
    build_standalone_document,
    embed_asyncapi,
    embed_asyncapi_without_merging,
    find_asyncapi_file,
    read_asyncapi_document,
)
from voicegauge.contract.document_conversion import convert_to_openapi
from voicegauge.contract.document_parts import EMBEDDED_FILES_KEY, EXTENSION_KEYS, walk_objects
from voicegauge.contract.schemas import MAX_REASON_CHARACTERS, is_inside_document_folder
from voicegauge.errors import ContractError
from voicegauge.files import require_files_in_folder, resolve_links
from voicegauge.formats.located_yaml import (
    Document,
    escape_pointer_token,
    find_top_level_key,
    format_json_pointer,
    get_mapping,
    read_document,
    split_json_pointer,
)
from voicegauge.formats.locations import MISSING, read_pointer
from voicegauge.printable_text import format_count

# Embeds the other files that a document refers to, so that every reference leads into one document.


MAX_REFERENCED_FILES = 500
"""Maximum number of files that are embedded in one document, so that references cannot make it grow without limit."""


def embed_external_files(document: Document) -> Document:
    """Return the document with all files that it refers to embedded under the key `x-files`.

    A path item that is in another file is put in place of its reference. A reference to a file that cannot be read, or
    is not in the folder of the document, stays as it is, and is reported if it is followed. A document in Swagger 2.0
    or of Google's discovery service is converted to OpenAPI.
    """
    document = convert_to_openapi(document)
    if not any(_is_external_reference(reference) for reference in _iterate_references(document.data)):
        return document
    embedding = _FileEmbedder(document)
    data = embedding.rewrite_references(document.data, document, "", "")
    for path, item in get_mapping(data, "paths").items():
        if isinstance(item, dict) and str(item.get("$ref", "")).startswith(f"#/{EMBEDDED_FILES_KEY}/"):
            embedding.put_path_item(data, path, item["$ref"])
    data[EMBEDDED_FILES_KEY] = embedding.files
    return Document(document.path, data, {}, document.sha256, embedding.parts)


def _is_external_reference(reference: str) -> bool:
    return not reference.startswith("#") and "://" not in reference


def _iterate_references(document_part: Any) -> list[str]:
    found, pending = [], [document_part]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if isinstance(item.get("$ref"), str):
                found.append(item["$ref"])
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    return found


class _FileEmbedder:
    """Reads each file that a document refers to once, and numbers the files in the order of their first reference."""

    def __init__(self, document: Document) -> None:
        self.files: dict[str, Any] = {}
        self.parts: dict[str, tuple[Document, str]] = {"": (document, "")}
        self._document = document
        self._root_of_file = {resolve_links(document.path): ""}

    def rewrite_references(self, document_part: Any, document: Document, root_pointer: str, pointer: str) -> Any:
        """Return a copy of `document_part`, a part of `document`, whose references point into the combined document.

        Args:
            document_part: the value, as plain data.
            document: the file that contains it.
            root_pointer: JSON pointer, in the combined document, at which that file is embedded.
            pointer: JSON pointer of the value in the file.
        """
        if isinstance(document_part, list):
            return [
                self.rewrite_references(item, document, root_pointer, f"{pointer}/{i}")
                for i, item in enumerate(document_part)
            ]
        if not isinstance(document_part, dict):
            return document_part
        copied = {
            key: self.rewrite_references(item, document, root_pointer, f"{pointer}/{escape_pointer_token(key)}")
            for key, item in document_part.items()
        }
        if isinstance(document_part.get("$ref"), str):
            copied["$ref"] = self._rewrite_reference(document_part["$ref"], document, root_pointer)
        return copied

    def _rewrite_reference(self, reference: str, document: Document, root_pointer: str) -> str:
        if reference.startswith("#"):
            return f"#{root_pointer}{reference[1:]}"
        if not _is_external_reference(reference):
            return reference
        file, _, fragment = reference.partition("#")
        name = unquote(file)
        at = self._embed_file(document.path.parent / name) if "\0" not in name else None
        return reference if at is None else f"#{at}{fragment}"

    def _embed_file(self, path: Path) -> str | None:
        """Read a file, unless it was read before; return the JSON pointer of its content in the combined document.

        `None` if it is unreadable, outside of the document's folder, or one file too many.
        """
        known = resolve_links(path)
        if known in self._root_of_file:
            return self._root_of_file[known]
        if len(self.files) >= MAX_REFERENCED_FILES or not is_inside_document_folder(self._document, path):
            return None
        try:
            document = read_document(path)
        except ContractError:
            return None
        name = str(len(self.files) + 1)
        root = self._root_of_file[known] = f"/{EMBEDDED_FILES_KEY}/{name}"
        # Noted before its references are followed: files may refer to each other, and numbers must not be used twice.
        self.files[name] = {}
        self.parts[root] = (document, "")
        self.files[name] = self.rewrite_references(document.data, document, root, "")
        return root

    def put_path_item(self, document_data: dict[str, Any], path: str, reference: str) -> None:
        """Put the path item that `reference` leads to under `path` in `document_data`, in place of the reference."""
        pointer = unquote(reference[1:])
        pointer_tokens = split_json_pointer(pointer)
        item = read_pointer({EMBEDDED_FILES_KEY: self.files}, pointer_tokens)
        if item is not MISSING:
            file = f"/{EMBEDDED_FILES_KEY}/{pointer_tokens[1]}"
            document_data["paths"][path] = item
            self.parts[f"/paths/{escape_pointer_token(path)}"] = (self.parts[file][0], pointer[len(file) :])


# Finds misspelled `x-` keys of voicegauge: OpenAPI allows any `x-` key, so that they would be ignored.


_KNOWN_EXTENSION_KEYS = sorted(
    EXTENSION_KEYS
    | {
        "x-advice",
        "x-rejection-reason",
        "x-rejection-locations",
        "x-rejection-keywords",
        "x-request",
        "x-key",
        "x-name",
        "x-has-slashes",
        "x-files",
    }
)
_SIMILAR_KEYS_OF_OTHER_TOOLS = frozenset(("x-webhooks",))
"""Keys of other tools that are not misspellings of ours, such as Redoc's key for webhooks in OpenAPI 3.0."""
_MIN_MISSPELLING_SIMILARITY = 0.87
"""Similarity, from 0 to 1 as `difflib` measures it, from which a key counts as a misspelling: one or two letters are
missing, added or wrong."""


def reject_misspelled_keys(document: Document) -> None:
    """Check that no `x-` key is almost spelled like one of voicegauge's. Other keys of other vendors are allowed.

    Raises:
        ContractError: a key is misspelled; the message has its line.
    """
    accepted = {*_KNOWN_EXTENSION_KEYS, *_SIMILAR_KEYS_OF_OTHER_TOOLS}
    for pointer, node in walk_objects(document.data):
        for key in node:
            if not isinstance(key, str) or not key.startswith("x-") or key in accepted:
                continue
            near = difflib.get_close_matches(key, _KNOWN_EXTENSION_KEYS, n=1, cutoff=_MIN_MISSPELLING_SIMILARITY)
            if near:
                reason = f"{key} is not a key of voicegauge: did you mean {near[0]}?"
                raise document.build_error(f"{pointer}/{escape_pointer_token(key)}", reason)
            accepted.add(key)


# Validates a document against the OpenAPI specification, except for its schemas, which `check_schemas` validates.


_PATH_TEMPLATE_PATTERN = re.compile(r"(?:[^{}]|\{[^{}]+\})*")
"""Matches a path whose braces are in pairs and not inside each other."""


def validate_openapi(document: Document) -> None:
    """Check that a document is valid OpenAPI 3.1 or 3.2.

    Raises:
        ContractError: the document is not valid; the message has the line of the first error.
    """
    from referencing.exceptions import Unresolvable

    for path in get_mapping(document.data, "paths"):
        if not _PATH_TEMPLATE_PATTERN.fullmatch(path):  # the validator raises a ValueError for these
            raise document.build_error(
                f"/paths/{escape_pointer_token(path)}", f"the braces of the path {path!r} do not match"
            )
    validator = _create_validator_class(document.data["openapi"][:3])
    # The method itself would keep every document in a cache without a limit.
    errors = inspect.unwrap(validator.iter_errors)(validator(document.data))
    try:
        error = next(errors, None)
    except Unresolvable as unresolvable:  # in a part that other checks of references do not look into
        raise document.build_error("/paths", f"$ref {unresolvable.ref!r} cannot be followed") from unresolvable
    if error is not None:
        pointer = format_json_pointer(getattr(error, "absolute_path", ()))
        reason = (str(error.args[0]) if error.args else str(error)).strip().splitlines()[0]
        raise document.build_error(pointer, f"is not valid OpenAPI: {reason[:MAX_REASON_CHARACTERS]}")


@functools.cache
def _create_validator_class(version: str) -> Any:
    """Return the validator for OpenAPI "3.1" or "3.2".

    The validator's own checks of schemas are left out: for large documents they take most of the time.
    """
    from openapi_spec_validator import OpenAPIV31SpecValidator, OpenAPIV32SpecValidator
    from openapi_spec_validator.validation.keywords import KeywordValidator

    # Subclassed here, not at the module: importing the validator takes 0.7 s, and bundled contracts do not need it.
    class NoCheck(KeywordValidator):
        def __call__(self, *_values: Any) -> Iterator[Any]:
            return iter(())

    base = OpenAPIV32SpecValidator if version == "3.2" else OpenAPIV31SpecValidator
    left_out = dict.fromkeys(("schema", "responses", "components"), NoCheck)
    replaced = {"keyword_validators": {**base.keyword_validators, **left_out}, "resolver_handlers": _NoRetrieval()}
    return type("Validator", (base,), replaced)


class _NoRetrieval(dict[str, Any]):
    """Takes the place of the validator's functions that read files and download URLs, by scheme: each one fails."""

    def __contains__(self, _scheme: object) -> bool:
        return True

    def __getitem__(self, _scheme: str) -> Any:
        return self._reject_retrieval

    @staticmethod
    def _reject_retrieval(uri: str) -> NoReturn:
        raise ValueError(f"{uri!r} is not part of the document")


# Converts documents of all supported versions of OpenAPI to one form, with schemas of JSON Schema 2020-12.


_SUPPORTED_OPENAPI_VERSION_PREFIXES = ("3.0.", "3.1.", "3.2.")
_BOUND_KEYWORD_PAIRS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))
"""Pairs of keywords of which OpenAPI 3.0 writes the first as a boolean beside the second."""


def check_openapi_version(document: Document) -> None:
    """Check that a document has a version of OpenAPI that can be read.

    Raises:
        ContractError: it has another version.
    """
    version = document.data.get("openapi")
    if not isinstance(version, str) or not version.startswith(_SUPPORTED_OPENAPI_VERSION_PREFIXES):
        key = "swagger" if "swagger" in document.data else "openapi"
        found = f"not {document.data[key]!r}" if key in document.data else describe_document_without_openapi(document)
        supported = "an OpenAPI document of version 3.0, 3.1 or 3.2, or Swagger 2.0"
        raise document.build_error(f"/{key}", f"must be {supported}, {found}")


_RECORDING_KEYS = ("interactions", "http_interactions", "log")
"""Keys at the root of recordings: cassettes of VCR in Python and Ruby, and HAR files."""


def describe_document_without_openapi(document: Document) -> str:
    """Return the end of the error message about a document without the key `openapi`: what it is, or what it lacks."""
    if any(key in document.data for key in _RECORDING_KEYS):
        return "and is a recording of another tool: voicegauge convert makes one of voicegauge of it first"
    return "but has no key 'openapi'"


def normalize_openapi(document: Document) -> None:
    """Change the data of a document in place, so that it is OpenAPI 3.1 or 3.2 with the same meaning.

    Raises:
        ContractError: the document has another version.
    """
    check_openapi_version(document)
    data = document.data
    is_30 = data["openapi"].startswith("3.0.")
    if is_30:
        data["openapi"] = "3.1.0"
    for _, node in list(walk_objects(data)):
        _expand_boolean_properties(node)
        _remove_ids_of_examples(node)
        if is_30:
            _upgrade_exclusive_bounds(node)
            _upgrade_nullable(node)


def _expand_boolean_properties(node: dict[str, Any]) -> None:
    """Replace the schemas `true` and `false` of properties by objects with the same meaning."""
    properties = node.get("properties")
    if isinstance(properties, dict) and any(isinstance(schema, bool) for schema in properties.values()):
        objects: dict[bool, dict[str, Any]] = {True: {}, False: {"not": {}}}
        node["properties"] = {k: objects[v] if isinstance(v, bool) else v for k, v in properties.items()}


_OPENAPI_EXAMPLE_KEYS = {"id", "summary", "description", "value", "externalValue"}
"""The keys of an Example Object, and the `id` that Litestar adds to it."""


def _remove_ids_of_examples(node: dict[str, Any]) -> None:
    """Remove the key `id` of named examples, which OpenAPI does not have. Litestar repeats their names in it."""
    for example in get_mapping(node, "examples").values():
        if isinstance(example, dict) and isinstance(example.get("id"), str) and example.keys() <= _OPENAPI_EXAMPLE_KEYS:
            example.pop("id")


def _upgrade_exclusive_bounds(node: dict[str, Any]) -> None:
    """Replace `exclusiveMinimum: true` next to `minimum: 0` by `exclusiveMinimum: 0`."""
    for exclusive, inclusive in _BOUND_KEYWORD_PAIRS:
        if isinstance(node.get(exclusive), bool):
            is_exclusive = node.pop(exclusive)
            if is_exclusive and inclusive in node:
                node[exclusive] = node.pop(inclusive)


def _upgrade_nullable(node: dict[str, Any]) -> None:
    """Replace `nullable: true` by the type "null" beside the other (OpenAPI 3.0.3, section 4.7.24.1).

    It has no effect in a schema without a type, where it is only removed.
    """
    if not isinstance(node.get("nullable"), bool):
        return
    is_nullable = node.pop("nullable")
    if is_nullable and isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]


# Finds the files of contracts, and assembles the document of a contract from its files.


_CONTRACT_FILE_PATTERNS = (
    *("*.yaml", "*.yml", "*.json"),
    *(
        f"*/{name}.{suffix}"
        for name in ("openapi", "overlay", "asyncapi", "asyncapi-overlay")
        for suffix in ("yaml", "yml", "json")
    ),
)
"""Patterns of the files in a folder that may be contracts."""
_SPECIFICATION_KEYS = ("openapi", "swagger", "asyncapi", "overlay")
"""Keys at the top level of a document that name its specification, whose version is the value."""


def read_openapi_document(path: Path) -> Document:
    """Read an OpenAPI document, with the other files that it refers to.

    If `path` is an overlay, the result is the document that it extends, with only the operations that the overlay
    describes. References to other files lead into the result.

    Raises:
        ContractError: a file cannot be read, a value is marked TODO, or the overlay is not valid, has a misspelled key
            or does not fit the document.
    """
    document = read_document(path)
    reject_unfinished_values(document)
    if not is_overlay(document):
        return embed_external_files(document)
    reject_misspelled_keys(document)
    base = embed_external_files(read_document(find_extended_file(document)))
    if is_overlay(base):
        raise document.build_error("/extends", f"{base.path} is itself an overlay")
    changed = apply_overlay(document, base)
    changed.data = select_described_operations(changed)
    return changed


def read_contract_document(path: Path) -> Document:
    """Read the document of a contract as `read_openapi_document` does, and convert it to OpenAPI 3.1 or 3.2.

    The AsyncAPI document beside it is embedded. A provider without HTTP has an AsyncAPI document only.

    Raises:
        ContractError: a file cannot be read, is not OpenAPI 3.0, 3.1 or 3.2, has a misspelled key, or an overlay does
            not fit.
    """
    if is_asyncapi_file(path):
        return build_standalone_document(_read_own_asyncapi(path))
    document = read_openapi_document(path)
    if not is_overlay_file(path):  # the document that an overlay extends is the provider's, with keys of its own
        reject_misspelled_keys(document)
    normalize_openapi(document)
    asyncapi_path = find_asyncapi_file(path)
    return document if asyncapi_path is None else embed_asyncapi(document, _read_own_asyncapi(asyncapi_path))


def _read_own_asyncapi(path: Path) -> Document:
    """Read the AsyncAPI document of a contract, or its overlay, and reject misspelled keys in that file.

    Raises:
        ContractError: as for `read_asyncapi_document`, or a key is misspelled.
    """
    reject_misspelled_keys(read_document(path))
    return read_asyncapi_document(path)


def read_document_with_sockets(path: Path) -> Document:
    """Read an OpenAPI document as `read_openapi_document` does, with the AsyncAPI document beside it embedded.

    Nothing else is changed, so that the document can be compared with another one. An AsyncAPI document by itself is
    embedded in an OpenAPI document without operations, and needs no `x-provider`.

    Raises:
        ContractError: a file cannot be read, or has another version.
    """
    if is_asyncapi_file(path):
        asyncapi = read_asyncapi_document(path)
        return embed_asyncapi_without_merging(build_document_without_operations(asyncapi), asyncapi)
    document, asyncapi_path = read_openapi_document(path), find_asyncapi_file(path)
    return (
        document
        if asyncapi_path is None
        else embed_asyncapi_without_merging(document, read_asyncapi_document(asyncapi_path))
    )


_TODO_COMMENT_PATTERN = re.compile(rf"^(?!\s*#).*\s#\s*{TODO}\b", re.MULTILINE)
"""Matches a line with a comment that `voicegauge init` writes beside a value that it has guessed."""


def describe_todo_marks(paths: Iterable[Path]) -> str | None:
    """Return one line with the number of TODO comments in contract files; `None` if there are none.

    A contract can be loaded with these comments: they mark guessed values, and only a missing value is rejected.
    """
    count_by_path = {
        path: len(_TODO_COMMENT_PATTERN.findall(path.read_text("utf-8", "replace"))) for path in paths if path.is_file()
    }
    listed = [f"{format_count(count, f'open {TODO} mark')} in {path}" for path, count in count_by_path.items() if count]
    if not listed:
        return None
    return (
        f"{' and '.join(listed)}: these values are guesses of `voicegauge init`, about which the check proves nothing"
    )


def find_overlay_base(path: Path) -> Path | None:
    """Return the file that an overlay extends; `None` if `path` is not an overlay.

    Raises:
        ContractError: a file cannot be read, or the overlay is not valid.
    """
    return find_extended_file(read_document(path)) if is_overlay_file(path) else None


def find_contract_files(folder: Path) -> list[Path]:
    """Return the contract files in `folder`: single files, and `<provider>/openapi.yaml` or another usual name.

    The others are `overlay.yaml`, and for WebSockets only `asyncapi.yaml` and `asyncapi-overlay.yaml`. A document that
    an overlay in the same folder extends is not a contract by itself. If `folder` is itself a file, return only that
    file.

    Raises:
        ContractError: `folder` does not exist, cannot be read or has none, or an overlay is not valid.
        DataError: a link leads to a file outside of the folder.
    """
    if folder.is_file():
        return [folder]
    if not folder.exists():
        raise ContractError(folder, None, "no such file or folder")
    try:
        next(folder.iterdir(), None)  # `glob` finds nothing in a folder that it may not read
    except OSError as error:
        raise ContractError(folder, None, f"cannot be read: {error.strerror}") from error
    found = sorted(path for pattern in _CONTRACT_FILE_PATTERNS for path in folder.glob(pattern))
    if not found:
        raise ContractError(
            folder, None, "no contract found: expected <provider>/openapi.yaml, overlay.yaml or asyncapi.yaml"
        )
    require_files_in_folder(found, folder)
    found = [path for path in found if not (is_asyncapi_file(path) and _has_openapi_document(path))]
    bases = {resolve_links(find_extended_file(read_document(path))) for path in found if is_overlay_file(path)}
    return [path for path in found if resolve_links(path) not in bases]


def _has_openapi_document(asyncapi_path: Path) -> bool:
    """Whether an OpenAPI document is beside an AsyncAPI document, so that both are one contract."""
    names = [f"{name}.{suffix}" for name in ("openapi", "overlay") for suffix in ("yaml", "yml", "json")]
    return any(asyncapi_path.with_name(name).is_file() for name in names)


def is_overlay_file(path: Path) -> bool:
    """Whether a file is an OpenAPI Overlay."""
    return find_top_level_key(path, _SPECIFICATION_KEYS) == "overlay"


def is_asyncapi_file(path: Path) -> bool:
    """Whether a file is an AsyncAPI document, or an overlay with the file name of one for an AsyncAPI document."""
    key = find_top_level_key(path, _SPECIFICATION_KEYS)
    return key == "asyncapi" or (key == "overlay" and path.stem == "asyncapi-overlay")
