"""Limits the size of requests, so that no client can exhaust the memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from voicegauge.emulator.server.body_memory import BodyMemoryShare
from voicegauge.formats import MultipartReader

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

MAX_UPLOAD_BYTES = 104 * 1024 * 1024
"""Maximum size of an upload. It exceeds every documented upload limit, the highest of which is 100 MiB, so that checks
can test those limits."""
MAX_UPLOAD_BYTES_IN_MEMORY = 4 * 1024 * 1024
"""Maximum size of an upload that is kept in memory. A larger one is kept in a temporary file without a name."""
MAX_TEXT_BODY_BYTES = 16 * 1024 * 1024
"""Maximum size of JSON and URL-encoded forms. All documented texts are much shorter, and parsed JSON needs many times
its size in memory."""
MAX_CONTROL_BODY_BYTES = 1024 * 1024
"""Maximum size of the bodies for control routes, which contain a list of faults or a number of seconds."""

MAX_HEADER_BYTES = 16 * 1024
"""Maximum size of the path, the query and all headers of a request. Few clients send more than two kilobytes."""
MAX_HEADER_COUNT = 100
"""Maximum number of headers. Each takes a few hundred bytes of memory, even if it is empty."""


def are_headers_too_large(scope: Scope) -> bool:
    """Whether a request has too many headers, or its path, query and headers are too large together.

    The limits are `MAX_HEADER_COUNT` and `MAX_HEADER_BYTES`.
    """
    headers = scope["headers"]
    size = len(scope["path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers)
    return len(headers) > MAX_HEADER_COUNT or size > MAX_HEADER_BYTES


def find_max_body_bytes(scope: Scope) -> int:
    """Return the maximum size of the body of a request to a provider. It depends on the Content-Type."""
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"").lower()
    is_text = b"json" in content_type or content_type.startswith(b"application/x-www-form-urlencoded")
    return MAX_TEXT_BODY_BYTES if is_text else MAX_UPLOAD_BYTES


class ReceivedBody(NamedTuple):
    """The body of a request to a provider."""

    content: bytes
    """The body; empty if it was parsed while it arrived."""
    form_reader: MultipartReader | None
    """Reader that parsed a form while the form arrived; `None` for any other body."""
    size_bytes: int


async def receive_provider_request_body(
    scope: Scope, receive: Receive, memory_share: BodyMemoryShare
) -> ReceivedBody | None:
    """Return the body of a request to a provider; `None` if it exceeds the limit. See `receive_body_in_pieces`."""
    content, form_reader = io.BytesIO(), _create_form_reader(scope)
    store_piece = content.write if form_reader is None else form_reader.write
    try:
        size_bytes = await receive_body_in_pieces(scope, receive, find_max_body_bytes(scope), memory_share, store_piece)
    finally:
        if form_reader is not None:
            form_reader.close()
    return None if size_bytes is None else ReceivedBody(content.getvalue(), form_reader, size_bytes)


def _create_form_reader(scope: Scope) -> MultipartReader | None:
    """Return a reader that parses a multipart form while it arrives.

    Return `None` if the body must be read as a whole, because it is not a multipart form, or is signed as a whole.
    """
    headers = dict(scope["headers"])
    content_type, authorization = headers.get(b"content-type", b""), headers.get(b"authorization", b"")
    is_form = content_type.partition(b";")[0].strip().lower() == b"multipart/form-data"
    if not is_form or authorization.startswith(b"AWS4-"):
        return None
    return MultipartReader(content_type.decode("latin-1"), max_memory_bytes=MAX_UPLOAD_BYTES_IN_MEMORY)


async def receive_whole_body(
    scope: Scope, receive: Receive, max_bytes: int, memory_share: BodyMemoryShare
) -> bytes | None:
    """Return the request body; `None` if it has more than `max_bytes` bytes. See `receive_body_in_pieces`."""
    body = io.BytesIO()  # returns its content without a copy
    size = await receive_body_in_pieces(scope, receive, max_bytes, memory_share, body.write)
    return None if size is None else body.getvalue()


async def receive_body_in_pieces(
    scope: Scope,
    receive: Receive,
    max_bytes: int,
    memory_share: BodyMemoryShare,
    store_piece: Callable[[bytes], object],
) -> int | None:
    """Pass each piece of the request body to `store_piece`, and return the size of the body.

    Return `None` if the body exceeds `max_bytes` bytes. The rest of it is not read, so the response must close the
    connection. While the bodies of other requests take all memory, nothing is read.

    Raises:
        ConnectionError: the client disconnected.
    """
    content_length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if content_length.isdigit() and int(content_length) > max_bytes:
        return None
    size_bytes, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        part, more = message.get("body", b""), message.get("more_body", False)
        size_bytes += len(part)
        if size_bytes > max_bytes:
            return None
        await memory_share.grow_to(size_bytes)
        store_piece(part)
    return size_bytes


def create_receive_replaying_body(body: bytes, receive: Receive) -> Receive:
    """Return a function that first returns `body`, which was read before, and then calls `receive`."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_replayed_body() -> Message:
        return messages.pop() if messages else await receive()

    return receive_replayed_body
