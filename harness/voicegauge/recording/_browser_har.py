"""Reads HAR files of browsers and proxies, which are less complete than HAR 1.2 requires."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from voicegauge.errors import UsageError
from voicegauge.formats.bodies import group_by_field
from voicegauge.hosts import to_http_url
from voicegauge.model.exchange import (
    Headers,
    Request,
    Response,
    Timing,
    UploadedFile,
    find_header,
)
from voicegauge.recording._har_format import UNKNOWN_CLOSE_REMARK, parse_browser_messages
from voicegauge.recording.body_masking import get_bare_media_type
from voicegauge.recording.conversations import (
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
MAX_PHASE_MS = 86_400_000
"""One day in milliseconds. A longer phase cannot be a real measurement, so it is ignored."""
_TEXT_MEDIA_TYPES = ("json", "text/", "xml", "javascript", "urlencoded")


def parse_har(file_content: Any) -> InteractionFile | None:
    """Return the interactions of a HAR file in the order in which they started; `None` if the file is not a HAR file.

    `file_content` is the parsed JSON of the file.
    """
    log = file_content.get("log") if isinstance(file_content, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        return None
    creator = log.get("creator") if isinstance(log, dict) else None
    name = creator.get("name") if isinstance(creator, dict) else None
    label = f"a HAR file of {name}" if isinstance(name, str) else "a HAR file"
    return InteractionFile(label, _iterate_interactions(_sort_by_start_time(entries)))


def _sort_by_start_time(entries: list[Any]) -> list[Any]:
    # Some proxies write entries in the order in which they ended.
    times = [parse_time(entry.get("startedDateTime")) if isinstance(entry, dict) else None for entry in entries]
    if any(time is None for time in times):
        return entries
    return [entry for _, entry in sorted(zip(times, entries, strict=True), key=lambda pair: pair[0] or 0)]


def _iterate_interactions(entries: list[Any]) -> Iterator[UnparsedInteraction]:
    for entry in entries:
        request = entry.get("request") if isinstance(entry, dict) else None
        request = request if isinstance(request, dict) else {}
        method, url = str(request.get("method", "?")).upper(), str(request.get("url", "?"))
        yield UnparsedInteraction(method, url, functools.partial(_parse_interaction, entry))


def _parse_interaction(har_entry: Any) -> ParsedInteraction:
    entry = require_mapping(har_entry, "request and response")
    request, response = (
        require_mapping(entry.get("request"), "request"),
        require_mapping(entry.get("response"), "response"),
    )
    if "_webSocketMessages" in entry:
        return _parse_socket(entry, request, response)
    status = parse_status_code(response.get("status"))
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        raise NotImportedError("is a WebSocket whose messages are not in the file")
    content = require_mapping(response.get("content") or {}, "content")
    response_headers = _add_content_type(_parse_headers(response.get("headers")), content.get("mimeType"))
    post = require_mapping(request.get("postData") or {}, "postData")
    request_headers = _add_content_type(_parse_headers(request.get("headers")), post.get("mimeType"))
    content_type, body, notes = _decode_request_body(post, find_header(request_headers, "content-type") or "", request)
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
            body=_decode_response_body(content, response, status, find_header(response_headers, "content-type") or ""),
        ),
        recorded_at=parse_time(entry.get("startedDateTime")),
        timing=_parse_timing(parse_time(entry.get("startedDateTime")), entry.get("timings")),
        notes=notes,
    )


def _parse_socket(
    entry: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any]
) -> ParsedInteraction:
    """Return the handshake of a WebSocket with the messages that followed."""
    started_at = parse_time(entry.get("startedDateTime"))
    timing = _parse_timing(started_at, entry.get("timings"))
    return ParsedInteraction(
        request=Request(
            method=require_text(request.get("method"), "method").upper(),
            url=to_http_url(require_text(request.get("url"), "URL").partition("#")[0]),
            headers=_parse_headers(request.get("headers")),
        ),
        response=Response(
            # A connection with messages was opened; some tools write 0 for it.
            status=parse_status_code(response.get("status") or HTTPStatus.SWITCHING_PROTOCOLS),
            headers=_parse_headers(response.get("headers")),
        ),
        recorded_at=started_at,
        socket=parse_browser_messages(
            entry["_webSocketMessages"], started_at, timing.delay_before_send_ms + timing.ttfb_ms if timing else 0.0
        ),
        notes=(UNKNOWN_CLOSE_REMARK,),
    )


def _parse_timing(started_at: dt.datetime | None, har_timings: Any) -> Timing | None:
    """Convert the timings of a HAR entry; `None` if the start time or the measurement is missing.

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


def _parse_headers(header_list: Any) -> Headers:
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


def _decode_response_body(
    har_content: Mapping[str, Any], har_response: Mapping[str, Any], status: int, content_type: str
) -> bytes:
    """Return the complete response body.

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


def _decode_request_body(
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
    """Encode the fields of a form, because HAR does not store the bytes. A multipart body gets a new boundary."""
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
        return *encode_body(media_type, group_by_field(parts)), tuple(notes)
    except UsageError as error:
        raise NotImportedError(f"its form cannot be encoded: {error}") from error
