"""Reads VCR cassettes and huggingface.js tapes, and exports recordings as VCR cassettes.

A response body is text or a data URL. In tapes of 2023, which contain no headers, it may also be base64. Newer tapes
omit request bodies and audio.

The formats differ only in some keys, so one parser reads all of them:

    vcrpy 1       {version: 1, interactions: [{request: {method, uri, body, headers}, response: {status: {code},
                  headers, body: {string}}}]}; written with httpx before version 6: {status_code, content, headers}
    vcrpy 0       a list; requests have protocol, host, port and path; request headers are pairs, response headers lines
    VCR 2 to 6    {http_interactions: [{..., recorded_at}]}; a body is {encoding, string | base64_string}
    VCR 1         a list of structs; the method is a symbol, a body is text
    betamax       as VCR 2, in JSON
"""

from __future__ import annotations

import base64
import binascii
import functools
import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from voicegauge.contract.contract import Contract
from voicegauge.errors import DataError
from voicegauge.files import open_file, write_file
from voicegauge.formats.located_yaml import YAML_LOADER, describe_json_error
from voicegauge.model.exchange import Exchange, Headers, Request, Response, find_header
from voicegauge.recording.conversations import (
    InteractionFile,
    NotImportedError,
    ParsedInteraction,
    Recording,
    UnparsedInteraction,
    encode_text,
    parse_base64,
    parse_status_code,
    parse_time,
    require_mapping,
    require_text,
)
from voicegauge.recording.redaction import Redactor
from voicegauge.version import __version__

# Reads tapes of huggingface.js: {hash: {url, init: {method, headers, body}, response: {status, headers, body}}}.


def parse_huggingface_tapes(file_content: Any) -> InteractionFile | None:
    """Return the interactions of a file of tapes, or of a single tape; `None` if the parsed file is neither."""
    if not isinstance(file_content, dict) or not file_content:
        return None
    tapes = [file_content] if _is_tape(file_content) else list(file_content.values())
    return (
        InteractionFile("tapes of huggingface.js", _iterate_tape_interactions(tapes))
        if all(map(_is_tape, tapes))
        else None
    )


def _is_tape(value: Any) -> bool:
    return isinstance(value, dict) and "url" in value and isinstance(value.get("response"), dict)


def _iterate_tape_interactions(tapes: list[dict[str, Any]]) -> Iterator[UnparsedInteraction]:
    for tape in tapes:
        init = tape.get("init")
        method = str(init.get("method") or "GET") if isinstance(init, dict) else "GET"
        yield UnparsedInteraction(method.upper(), str(tape["url"]), functools.partial(_parse_tape_interaction, tape))


def _parse_tape_interaction(tape: dict[str, Any]) -> ParsedInteraction:
    init, response = require_mapping(tape.get("init") or {}, "init"), tape["response"]
    method = require_text(init.get("method") or "GET", "method").upper()
    body = init.get("body")
    notes: tuple[str, ...] = ()
    if body is None and method in ("POST", "PUT", "PATCH"):
        notes = ("the request body is not in the file",)
    return ParsedInteraction(
        request=Request(
            method=method,
            url=require_text(tape["url"], "URL"),
            headers=_parse_tape_headers(init.get("headers")),
            body=encode_text(body) if isinstance(body, str) else b"",
        ),
        response=Response(
            status=parse_status_code(response.get("status")),
            headers=_parse_tape_headers(response.get("headers")),
            body=_decode_response_body(response),
        ),
        notes=notes,
    )


def _parse_tape_headers(header_mapping: Any) -> Headers:
    pairs = (
        [*header_mapping.items()]
        if isinstance(header_mapping, dict)
        else header_mapping
        if isinstance(header_mapping, list)
        else []
    )
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise NotImportedError("its headers are not pairs")
    return tuple((require_text(name, "header name"), require_text(text, "header value")) for name, text in pairs)


def _decode_response_body(response: Mapping[str, Any]) -> bytes:
    body = response.get("body")
    headers = _parse_tape_headers(response.get("headers"))
    if body in (None, ""):
        # Tapes omit bodies that are not text, so an empty body is only trusted if the status or the headers confirm it.
        length = find_header(headers, "content-length")
        if response.get("status") in (204, 304) or length == "0":
            return b""
        raise NotImportedError("its response body is not in the file")
    text = require_text(body, "response body")
    if text.startswith("data:"):
        head, comma, rest = text.partition(",")
        return parse_base64(rest, "response body") if comma and head.endswith(";base64") else encode_text(rest)
    return encode_text(text) if headers else _decode_if_base64(text)


def _decode_if_base64(text: str) -> bytes:
    # JSON is excluded first. Other text is rarely valid base64 by chance, unless it is short.
    try:
        json.loads(text)
    except ValueError:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass
    return encode_text(text)


# Reads JSON and YAML files of other tools as mappings, lists, text and bytes. YAML tags never create other objects.


MAX_PARSED_FILE_BYTES = 64 * 2**20
"""Maximum size of a cassette, tape or HAR file that is parsed."""
MAX_NESTING_DEPTH = 60
"""Maximum depth of nested YAML values. Real cassettes have 8 levels; far deeper files would exhaust the stack."""
_NULL_SCALARS = ("", "~", "null", "Null", "NULL")


def read_json_or_yaml(path: Path) -> Any:
    """Read a JSON or YAML file.

    YAML scalars other than null stay text ("200", "no"), and `!binary` becomes bytes. All other tags, such as
    `!!python/object:...` or `!ruby/struct:...`, are ignored, so the value is read as a plain mapping, list or text.

    Raises:
        DataError: the file cannot be read, is too large, or is neither JSON nor YAML.
    """
    try:
        with open_file(path) as file:
            raw = file.read(MAX_PARSED_FILE_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_PARSED_FILE_BYTES:
        raise DataError(f"{path}: is larger than {MAX_PARSED_FILE_BYTES} bytes")
    raw = raw.removeprefix(b"\xef\xbb\xbf")  # byte order mark
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        if path.suffix.lower() in (".json", ".har"):
            raise DataError(f"{path}{describe_json_error(error, raw)}") from error
    return _read_yaml(path, raw)


def _read_yaml(path: Path, yaml_bytes: bytes) -> Any:
    try:
        return _PlainYamlBuilder(path, iter(yaml.parse(yaml_bytes, Loader=YAML_LOADER))).build_document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise DataError(f"{where}: is not valid YAML: {getattr(error, 'problem', None) or 'cannot be read'}") from error


class _PlainYamlBuilder:
    """Builds plain data from YAML events. Aliased values are shared, not copied, so that they cannot multiply."""

    def __init__(self, path: Path, events: Iterator[Any]) -> None:
        self._path, self._events = path, events
        self._anchors: dict[str, Any] = {}

    def build_document(self) -> Any:
        next(self._events)  # StreamStartEvent
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        return self._build_value(next(self._events), 1)

    def _build_position_error(self, event: Any, reason: str) -> DataError:
        return DataError(f"{self._path}:{event.start_mark.line + 1}: {reason}")

    def _build_value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._build_position_error(event, f"the alias *{event.anchor} has no anchor before it")
            return self._anchors[event.anchor]
        if depth > MAX_NESTING_DEPTH:
            raise self._build_position_error(event, f"is nested deeper than {MAX_NESTING_DEPTH}")
        if isinstance(event, yaml.ScalarEvent):
            value: Any = self._build_scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                value.append(self._build_value(item, depth + 1))
        else:
            value = self._build_mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _build_mapping(self, start_event: Any, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._build_value(event, depth + 1)
            if isinstance(key, bytes):
                key = key.decode("utf-8", "replace")
            if not isinstance(key, str):
                raise self._build_position_error(start_event, "a key is neither text nor bytes")
            mapping[key] = self._build_value(next(self._events), depth + 1)
        return mapping

    def _build_scalar(self, event: Any) -> str | bytes | None:
        tag, text = event.tag or "", event.value
        if tag.rpartition(":")[2] == "binary" or tag == "!binary":
            try:
                return base64.b64decode("".join(text.split()))
            except (binascii.Error, ValueError) as error:
                raise self._build_position_error(event, "a !binary value is not valid base64") from error
        if not tag and event.implicit[0] and text in _NULL_SCALARS:
            return None
        return str(text)


# Reads VCR cassettes of vcrpy (versions 0 and 1, YAML and JSON), Ruby VCR (1.x to 6.x) and betamax.


_MAX_LIST_DEPTH = 4
"""Maximum depth of nested header lists. A pickled frozenset has two levels, but YAML aliases can nest without end."""
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def parse_vcr_cassette(file_content: Any) -> InteractionFile | None:
    """Return the interactions of a VCR cassette; `None` if `file_content`, the parsed file, is not a VCR cassette."""
    if isinstance(file_content, dict) and isinstance(file_content.get("http_interactions"), list):
        return InteractionFile("a cassette of VCR", _iterate_vcr_interactions(file_content["http_interactions"]))
    if isinstance(file_content, dict) and isinstance(file_content.get("interactions"), list):
        return InteractionFile("a cassette of vcrpy", _iterate_vcr_interactions(file_content["interactions"]))
    if (
        isinstance(file_content, list)
        and file_content
        and all(isinstance(item, dict) and "request" in item for item in file_content)
    ):
        return InteractionFile("a cassette of an old VCR", _iterate_vcr_interactions(file_content))
    return None


def _iterate_vcr_interactions(raw_interactions: list[Any]) -> Iterator[UnparsedInteraction]:
    for item in raw_interactions:
        request = item.get("request") if isinstance(item, dict) else None
        request = request if isinstance(request, dict) else {}
        method = str(request.get("method", "?")).lstrip(":").upper()  # a Ruby symbol begins with a colon
        yield UnparsedInteraction(method, _describe_url(request), functools.partial(_parse_vcr_interaction, item))


def _describe_url(request: Mapping[str, Any]) -> str:
    try:
        return _build_url(request)
    except NotImportedError:
        return "?"


def _parse_vcr_interaction(interaction: Any) -> ParsedInteraction:
    item = require_mapping(interaction, "request and response")
    request, response = (
        require_mapping(item.get("request"), "request"),
        require_mapping(item.get("response"), "response"),
    )
    status = response.get("status", response.get("status_code"))
    if isinstance(status, dict):
        status = status.get("code")
    if "ignored" in item:
        raise NotImportedError("is marked as ignored")
    return ParsedInteraction(
        request=Request(
            method=require_text(request.get("method"), "method").lstrip(":").upper(),
            url=_build_url(request),
            headers=_parse_vcr_headers(request.get("headers")),
            body=_decode_body(request.get("body"), "request body"),
        ),
        response=Response(
            status=parse_status_code(status),
            headers=_parse_vcr_headers(response.get("headers")),
            body=_decode_body(response.get("body", response.get("content")), "response body"),
        ),
        recorded_at=parse_time(item.get("recorded_at")),
    )


def _build_url(request: Mapping[str, Any]) -> str:
    if "host" not in request or "uri" in request:
        return require_text(request.get("uri"), "URL")
    scheme = require_text(request.get("protocol"), "protocol")
    port = str(request.get("port") or "")
    port_suffix = "" if port == _DEFAULT_PORTS.get(scheme) or not port else f":{port}"
    host, path = require_text(request["host"], "host"), require_text(request.get("path", "/"), "path")
    return f"{scheme}://{host}{port_suffix}{path}"


def _parse_vcr_headers(headers_value: Any) -> Headers:
    if headers_value is None:
        return ()
    if isinstance(headers_value, dict):
        return tuple((name, text) for name, item in headers_value.items() for text in _parse_header_values(item))
    if not isinstance(headers_value, list):
        raise NotImportedError("its headers are not a mapping")
    return tuple(_parse_vcrpy_0_headers(headers_value))


def _parse_header_values(header_value: Any) -> Iterator[str]:
    for item in header_value if isinstance(header_value, list) else [header_value]:
        if item is not None:
            yield str(item) if isinstance(item, int | float) else require_text(item, "header value")


def _parse_vcrpy_0_headers(headers_value: list[Any], depth: int = 1) -> Iterator[tuple[str, str]]:
    """Yield headers of vcrpy 0: from lines ("Content-Type: text/plain"), or from pairs in a pickled frozenset."""
    for item in headers_value:
        if isinstance(item, str | bytes):
            name, _, text = require_text(item, "header").strip().partition(":")
            yield name, text.strip()
        elif isinstance(item, list) and len(item) == 2 and not isinstance(item[0], list):
            yield require_text(item[0], "header name"), next(_parse_header_values(item[1]), "")
        elif isinstance(item, list) and depth < _MAX_LIST_DEPTH:
            yield from _parse_vcrpy_0_headers(item, depth + 1)
        else:
            raise NotImportedError("its headers cannot be read")


def _decode_body(body_value: Any, body_name: str) -> bytes:
    if isinstance(body_value, dict):
        return _decode_body_mapping(body_value, body_name)
    if isinstance(body_value, str):
        return encode_text(body_value)
    if body_value is None or isinstance(body_value, bytes):
        return body_value or b""
    raise NotImportedError(f"its {body_name} is neither text nor bytes")


def _decode_body_mapping(body_mapping: dict[str, Any], body_name: str) -> bytes:
    if "base64_string" in body_mapping:
        return parse_base64(body_mapping["base64_string"], body_name)
    if isinstance(body_mapping.get("state"), list):  # a pickled io.BytesIO: (bytes, position, attributes)
        return _decode_body(next(iter(body_mapping["state"]), None), body_name)
    if "str" in body_mapping:  # a Ruby string with instance variables
        return _decode_body(body_mapping["str"], body_name)
    if "string" not in body_mapping:
        raise NotImportedError(f"its {body_name} has neither string nor base64_string")
    inner, encoding = body_mapping["string"], body_mapping.get("encoding")
    # ASCII-8BIT is Ruby's name for bytes of unknown encoding.
    if isinstance(inner, str) and isinstance(encoding, str) and encoding != "ASCII-8BIT":
        return encode_text(inner, encoding)
    return _decode_body(inner, body_name)


# Exports a recording as a VCR cassette, for tests that replay traffic with vcrpy.


_YAML_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_OMITTED_TRANSFER_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that describe the bytes on the wire. They are omitted, because recorded bodies are decoded and complete."""


def save_vcr_cassette(
    path: Path,
    recording: Recording,
    *,
    contract: Contract,
    secrets: Iterable[str] = (),
    names_to_mask: Iterable[str] = (),
    names_to_keep: Iterable[str] = (),
) -> Recording:
    """Write `recording` as a vcrpy cassette (version 1, YAML), without secrets.

    Text bodies are written as text, and all other bodies as `!!binary`. The arrival times of chunks and the groups of
    exchanges are lost, because the cassette format cannot represent them.

    Args:
        path: path of the cassette file.
        recording: the recording to write.
        contract: contract of the provider of `recording`.
        secrets: API keys that were in use during the recording.
        names_to_mask: names of additional fields, parameters and headers to mask.
        names_to_keep: names whose values are not masked, although the contract does not document them.

    Returns:
        The recording as it was written. It is redacted, so it may differ from `recording`.

    Raises:
        DataError: a secret remains after redaction, so nothing is written. The message names its location.
        UsageError: `path` cannot be written.
    """
    redactor = Redactor(contract, tuple(secrets), names_to_mask, names_to_keep)
    exchanges = [exchange for exchange in recording.exchanges if exchange.socket is None]
    if recording.exchanges and not exchanges:
        raise DataError(f"{path}: is not written: a cassette cannot have WebSockets, and nothing else was recorded")
    masked = [redactor.mask_exchange(exchange) for exchange in exchanges]
    for number, exchange in enumerate(masked, 1):
        redactor.check_exchange(str(path), number, exchange)
    data = {"interactions": [_build_interaction(exchange) for exchange in masked], "version": 1}
    text = yaml.dump(data, Dumper=_YAML_DUMPER, sort_keys=True, allow_unicode=True, width=120)
    about = f"{recording.provider}, {recording.provenance.value}, {recording.recorded_at}"
    document = f"# Written by voicegauge {__version__}: {about}\n{text}".encode()
    redactor.check_bytes(str(path), "the file", document)
    write_file(path, document)
    return msgspec.structs.replace(
        recording, exchanges=tuple(masked), redaction_count_by_location=redactor.count_redactions_by_location()
    )


def _build_interaction(exchange: Exchange) -> dict[str, Any]:
    request, response = exchange.request, exchange.response
    length = {"Content-Length": [str(len(response.body))]} if response.body else {}
    return {
        "request": {
            "method": request.method,
            "uri": request.url,
            "headers": _group_headers(request.headers),
            "body": _decode_if_text(request.body) if request.body else None,
        },
        "response": {
            "status": {"code": response.status, "message": http.client.responses.get(response.status, "")},
            "headers": {**_group_headers(response.headers, omitted_names=_OMITTED_TRANSFER_HEADERS), **length},
            "body": {"string": _decode_if_text(response.body)},
        },
    }


def _group_headers(headers: Headers, omitted_names: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() not in omitted_names:
            values.setdefault(name, []).append(value)
    return values


def _decode_if_text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
