"""Reads recordings of other tools: HAR files of browsers and proxies, VCR cassettes and huggingface.js tapes.

HAR files of browsers and proxies are less complete than HAR 1.2 requires.

A response body in a tape is text or a data URL. In tapes of 2023, which contain no headers, it may also be base64.
Newer tapes omit request bodies and audio.

The formats of cassettes differ only in some keys, so one parser reads all of them:

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
import datetime as dt
import functools
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import yaml

from voicegauge.errors import DataError, UsageError
from voicegauge.formats.bodies import group_contents_by_field
from voicegauge.formats.located_yaml import YAML_LOADER, describe_json_error
from voicegauge.hosts import to_http_url
from voicegauge.model.exchange import (
    Headers,
    Request,
    Response,
    Timing,
    UploadedFile,
    find_header,
)
from voicegauge.recording._har_format import UNKNOWN_CLOSE_REMARK, parse_browser_messages, read_file_within_limit
from voicegauge.recording.masking import get_bare_media_type
from voicegauge.recording.recorded_exchanges import (
    InteractionFile,
    NotImportedError,
    ParsedInteraction,
    UnparsedInteraction,
    encode_text,
    parse_base64,
    parse_status_code,
    parse_time,
    require_mapping,
    require_text,
)
from voicegauge.transport.body_encoding import encode_body

_REPLACEMENT_CHARACTER = "\ufffd"
"""What tools write in place of a byte that is not text."""
MAX_PHASE_MS = 86_400_000
"""One day in milliseconds. A longer phase cannot be a real measurement, so it is ignored."""
_TEXT_MEDIA_TYPES = ("json", "text/", "xml", "javascript", "urlencoded")
"""Parts of the media types of texts."""


def parse_har(file_content: Any) -> InteractionFile | None:
    """Return the interactions of a HAR file in the order in which they started; `None` if the file is not a HAR file.

    `file_content` is the parsed JSON of the file.
    """
    match file_content:
        case {"log": {"entries": list() as entries, "creator": {"name": str() as name}}}:
            label = f"a HAR file of {name}"
        case {"log": {"entries": list() as entries}}:
            label = "a HAR file"
        case _:
            return None
    return InteractionFile(label, _iterate_har_interactions(_sort_by_start_time(entries)))


def _sort_by_start_time(entries: list[Any]) -> list[Any]:
    # Some proxies write entries in the order in which they ended.
    times = [parse_time(entry.get("startedDateTime")) if isinstance(entry, dict) else None for entry in entries]
    if any(time is None for time in times):
        return entries
    return [entry for _, entry in sorted(zip(times, entries, strict=True), key=lambda pair: pair[0] or 0)]


def _iterate_har_interactions(entries: list[Any]) -> Iterator[UnparsedInteraction]:
    for entry in entries:
        request = _get_unchecked_request(entry)
        method, url = str(request.get("method", "?")).upper(), str(request.get("url", "?"))
        yield UnparsedInteraction(method, url, functools.partial(_parse_har_interaction, entry))


def _get_unchecked_request(item: Any) -> dict[str, Any]:
    """Return the request of an item that is not parsed yet; an empty mapping if the item has none."""
    request = item.get("request") if isinstance(item, dict) else None
    return request if isinstance(request, dict) else {}


def _parse_har_interaction(har_entry: Any) -> ParsedInteraction:
    entry = require_mapping(har_entry, "request and response")
    request, response = (
        require_mapping(entry.get("request"), "request"),
        require_mapping(entry.get("response"), "response"),
    )
    if "_webSocketMessages" in entry:
        return _parse_har_socket(entry, request, response)
    status = parse_status_code(response.get("status"))
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        raise NotImportedError("is a WebSocket whose messages are not in the file")
    content = require_mapping(response.get("content") or {}, "content")
    response_headers = _add_content_type(_parse_har_headers(response.get("headers")), content.get("mimeType"))
    post = require_mapping(request.get("postData") or {}, "postData")
    request_headers = _add_content_type(_parse_har_headers(request.get("headers")), post.get("mimeType"))
    content_type, body, notes = _decode_har_request_body(
        post, find_header(request_headers, "content-type") or "", request
    )
    if content_type:
        request_headers = tuple(p for p in request_headers if p[0].lower() != "content-type")
        request_headers = (*request_headers, ("Content-Type", content_type))
    return ParsedInteraction(
        request=Request(
            method=require_text(request.get("method"), "method").upper(),
            url=require_text(request.get("url"), "URL").partition("#")[0],
            headers=request_headers,
            body=body,
        ),
        response=Response(
            status=status,
            headers=response_headers,
            body=_decode_har_response_body(
                content, response, status, find_header(response_headers, "content-type") or ""
            ),
        ),
        recorded_at=parse_time(entry.get("startedDateTime")),
        timing=_parse_timing(parse_time(entry.get("startedDateTime")), entry.get("timings")),
        notes=notes,
    )


def _parse_har_socket(
    entry: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any]
) -> ParsedInteraction:
    """Return the handshake of a WebSocket with the messages that followed."""
    started_at = parse_time(entry.get("startedDateTime"))
    timing = _parse_timing(started_at, entry.get("timings"))
    return ParsedInteraction(
        request=Request(
            method=require_text(request.get("method"), "method").upper(),
            url=to_http_url(require_text(request.get("url"), "URL").partition("#")[0]),
            headers=_parse_har_headers(request.get("headers")),
        ),
        response=Response(
            # A connection with messages was opened; some tools write 0 for it.
            status=parse_status_code(response.get("status") or HTTPStatus.SWITCHING_PROTOCOLS),
            headers=_parse_har_headers(response.get("headers")),
        ),
        recorded_at=started_at,
        socket=parse_browser_messages(
            entry["_webSocketMessages"], started_at, timing.delay_before_send_ms + timing.ttfb_ms if timing else 0.0
        ),
        notes=(UNKNOWN_CLOSE_REMARK,),
    )


def _parse_timing(started_at: dt.datetime | None, har_timings: Any) -> Timing | None:
    """Convert the timings of a HAR entry; `None` if the start time (`None`) or the measurement is missing.

    In HAR, `connect` includes the TLS handshake but not the DNS lookup. The value -1 means that a phase did not happen.
    Tools that measure nothing write zeros.
    """
    if started_at is None or not isinstance(har_timings, dict):
        return None
    blocked, dns, connect, tls, send, wait, receive = (
        _parse_milliseconds(har_timings.get(name))
        for name in ("blocked", "dns", "connect", "ssl", "send", "wait", "receive")
    )
    if wait is None or receive is None or not wait + receive:
        return None
    connect_ms = None if dns is None and connect is None else max((connect or 0.0) - (tls or 0.0), 0.0)
    delay_before_send_ms = sum((blocked or 0.0, dns or 0.0, connect_ms or 0.0, tls or 0.0))
    return Timing(
        started_at=started_at.timestamp(),
        started_ms=started_at.timestamp() * 1000,
        connection_wait_ms=blocked or 0.0,
        dns_ms=dns,
        connect_ms=connect_ms,
        tls_ms=tls,
        delay_before_send_ms=delay_before_send_ms,
        send_ms=send or 0.0,
        ttfb_ms=wait,
        receive_ms=receive,
        total_ms=delay_before_send_ms + (send or 0.0) + wait + receive,
    )


def _parse_milliseconds(duration_ms: Any) -> float | None:
    is_number = isinstance(duration_ms, int | float) and not isinstance(duration_ms, bool)
    return float(duration_ms) if is_number and 0 <= duration_ms <= MAX_PHASE_MS else None


def _parse_har_headers(header_list: Any) -> Headers:
    # The pseudo-headers of HTTP/2 (":path") are omitted. They repeat the request line (RFC 9113, section 8.3).
    pairs = header_list if isinstance(header_list, list) else []
    named = [pair for pair in pairs if isinstance(pair, dict) and isinstance(pair.get("name"), str)]
    return tuple(
        (pair["name"], require_text(pair.get("value") or "", "header value"))
        for pair in named
        if not pair["name"].startswith(":")
    )


def _add_content_type(headers: Headers, media_type: Any) -> Headers:
    if find_header(headers, "content-type") or not isinstance(media_type, str) or media_type in ("", "x-unknown"):
        return headers
    return (*headers, ("Content-Type", media_type))


def _decode_har_response_body(
    har_content: Mapping[str, Any], har_response: Mapping[str, Any], status: int, content_type: str
) -> bytes:
    """Return the complete response body of a HAR entry, decoded from its text in `har_content`.

    Raises:
        NotImportedError: the body is missing, truncated or damaged.
    """
    text, size = har_content.get("text"), _parse_size_bytes(har_content.get("size"))
    if not text:
        if not size and _parse_size_bytes(har_response.get("bodySize")) <= 0:
            return b""
        comment = har_content.get("comment")
        suffix = f" ({comment})" if isinstance(comment, str) and comment else ""
        raise NotImportedError(f"its response body is not in the file{suffix}: {size} bytes were received")
    if status == 304:
        raise NotImportedError("was served from a cache")
    if har_content.get("encoding") == "base64":
        body = parse_base64(text, "content")
    else:
        text = require_text(text, "content")
        body = encode_text(text)
        if _REPLACEMENT_CHARACTER in text and not any(word in content_type for word in _TEXT_MEDIA_TYPES):
            raise NotImportedError("its response body was saved as text and is damaged")
    # Proxies write the compressed size, which is smaller. A larger size means that the rest was cut off.
    if size > len(body):
        raise NotImportedError(f"its response body is truncated: {len(body)} of {size} bytes are in the file")
    return body


def _parse_size_bytes(size_value: Any) -> int:
    return int(size_value) if isinstance(size_value, int | float) else 0


def _decode_har_request_body(
    post_data: Mapping[str, Any], content_type: str, har_request: Mapping[str, Any]
) -> tuple[str | None, bytes, tuple[str, ...]]:
    """Return the content type (a new one if the body had to be encoded again), the body, and notes on missing parts."""
    text, params = post_data.get("text"), post_data.get("params")
    if text:
        is_base64 = post_data.get("encoding") == "base64"
        body = parse_base64(text, "request body") if is_base64 else encode_text(require_text(text, "request body"))
        sent = _parse_size_bytes(har_request.get("bodySize"))
        if sent > len(body):
            return None, body, (f"the request body is truncated: {len(body)} of {sent} bytes are in the file",)
        return None, body, ()
    if isinstance(params, list) and params:
        return _encode_form(params, content_type)
    if _parse_size_bytes(har_request.get("bodySize")) > 0:
        return None, b"", ("the request body is not in the file",)
    return None, b"", ()


def _encode_form(params: list[Any], content_type: str) -> tuple[str, bytes, tuple[str, ...]]:
    """Return content type (its boundary is new) and body of a form, and notes on the files whose bytes are missing."""
    is_multipart = get_bare_media_type(content_type) == "multipart/form-data"
    parts: list[tuple[str, str | UploadedFile]] = []
    notes = []
    for item in params:
        param = require_mapping(item, "field")
        name, value = require_text(param.get("name"), "field name"), require_text(param.get("value") or "", "field")
        filename = param.get("fileName")
        if is_multipart and isinstance(filename, str):
            media_type = " ".join(str(param.get("contentType") or "application/octet-stream").split())
            parts.append((name, UploadedFile(filename=filename, media_type=media_type, data=encode_text(value))))
            notes += [] if value else [f"the bytes of the uploaded file {name!r} are not in the file"]
        else:
            parts.append((name, value))
    media_type = "multipart/form-data" if is_multipart else "application/x-www-form-urlencoded"
    try:
        return *encode_body(media_type, group_contents_by_field(parts)), tuple(notes)
    except UsageError as error:
        raise NotImportedError(f"its form cannot be encoded: {error}") from error


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
            body=_decode_tape_body(response),
        ),
        notes=notes,
    )


def _parse_tape_headers(header_mapping: Any) -> Headers:
    pairs = [*header_mapping.items()] if isinstance(header_mapping, dict) else header_mapping
    pairs = pairs if isinstance(pairs, list) else []
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise NotImportedError("its headers are not pairs")
    return tuple((require_text(name, "header name"), require_text(text, "header value")) for name, text in pairs)


def _decode_tape_body(response: Mapping[str, Any]) -> bytes:
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
_YAML_NULL_SCALARS = ("", "~", "null", "Null", "NULL")
"""The ways to write null in YAML."""


def read_json_or_yaml(path: Path) -> Any:
    """Read a JSON or YAML file.

    YAML scalars other than null stay text ("200", "no"), and `!binary` becomes bytes. All other tags, such as
    `!!python/object:...` or `!ruby/struct:...`, are ignored, so the value is read as a plain mapping, list or text.

    Raises:
        DataError: the file cannot be read, is too large, or is neither JSON nor YAML.
    """
    raw = read_file_within_limit(path, MAX_PARSED_FILE_BYTES)
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
        if not tag and event.implicit[0] and text in _YAML_NULL_SCALARS:
            return None
        return str(text)


# Reads VCR cassettes of vcrpy (versions 0 and 1, YAML and JSON), Ruby VCR (1.x to 6.x) and betamax.


_MAX_HEADER_LIST_DEPTH = 4
"""Maximum depth of nested header lists. A pickled frozenset has two levels, but YAML aliases can nest without end."""
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def parse_vcr_cassette(file_content: Any) -> InteractionFile | None:
    """Return the interactions of a VCR cassette; `None` if `file_content`, the parsed file, is not a VCR cassette."""
    match file_content:
        case {"http_interactions": list() as interactions}:
            file_format = "a cassette of VCR"
        case {"interactions": list() as interactions}:
            file_format = "a cassette of vcrpy"
        case [_, *_] as interactions if all(isinstance(item, dict) and "request" in item for item in interactions):
            file_format = "a cassette of an old VCR"
        case _:
            return None
    return InteractionFile(file_format, _iterate_vcr_interactions(interactions))


def _iterate_vcr_interactions(raw_interactions: list[Any]) -> Iterator[UnparsedInteraction]:
    for item in raw_interactions:
        request = _get_unchecked_request(item)
        method = str(request.get("method", "?")).lstrip(":").upper()  # a Ruby symbol begins with a colon
        yield UnparsedInteraction(method, _describe_vcr_url(request), functools.partial(_parse_vcr_interaction, item))


def _describe_vcr_url(request: Mapping[str, Any]) -> str:
    try:
        return _build_vcr_url(request)
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
            url=_build_vcr_url(request),
            headers=_parse_vcr_headers(request.get("headers")),
            body=_decode_vcr_body(request.get("body"), "request body"),
        ),
        response=Response(
            status=parse_status_code(status),
            headers=_parse_vcr_headers(response.get("headers")),
            body=_decode_vcr_body(response.get("body", response.get("content")), "response body"),
        ),
        recorded_at=parse_time(item.get("recorded_at")),
    )


def _build_vcr_url(request: Mapping[str, Any]) -> str:
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
        elif isinstance(item, list) and depth < _MAX_HEADER_LIST_DEPTH:
            yield from _parse_vcrpy_0_headers(item, depth + 1)
        else:
            raise NotImportedError("its headers cannot be read")


def _decode_vcr_body(body_value: Any, body_name: str) -> bytes:
    match body_value:
        case None | bytes():
            return body_value or b""
        case str():
            return encode_text(body_value)
        case {"base64_string": text}:
            return parse_base64(text, body_name)
        case {"string": str() as text, "encoding": str() as encoding} if encoding != "ASCII-8BIT":
            return encode_text(text, encoding)  # ASCII-8BIT is Ruby's name for bytes of unknown encoding
        # A pickled io.BytesIO (bytes, position, attributes), a Ruby string with instance variables, or plain text.
        case {"state": [inner, *_]} | {"str": inner} | {"string": inner}:
            return _decode_vcr_body(inner, body_name)
        case dict():
            raise NotImportedError(f"its {body_name} has neither string nor base64_string")
    raise NotImportedError(f"its {body_name} is neither text nor bytes")
