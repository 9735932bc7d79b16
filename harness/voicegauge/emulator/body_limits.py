"""Limits the bodies that are received and the memory that they occupy."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from voicegauge.formats.bodies import MultipartReader

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope


# Limits the memory that the bodies of all requests in progress take together.


MAX_BODY_MEMORY_BYTES = 32 * 2**20
"""Memory in bytes that the bodies of all requests in progress share. One request at a time may exceed it; the others
wait."""
UNCOUNTED_BYTES_PER_BODY = 16 * 2**10
"""Number of bytes of each body that do not count, so that ordinary requests need not wait for large uploads."""


class BodyMemory:
    """The memory for request bodies. Above its limit, one request continues, and the others wait for its end.

    Without a limit for all of them, clients that send uploads of a permitted size at the same time could take any
    amount of memory.
    """

    def __init__(self) -> None:
        """Create a memory, all of which is free."""
        self._free_bytes = MAX_BODY_MEMORY_BYTES
        self._exempt: BodyMemoryShare | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @contextmanager
    def open_share(self) -> Iterator[BodyMemoryShare]:
        """Yield a share of the memory for one request, which is freed when the context ends."""
        share = BodyMemoryShare(self)
        try:
            yield share
        finally:
            self._free_bytes += share.counted_bytes
            if self._exempt is share:
                self._exempt = None
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    async def reserve(self, memory_share: BodyMemoryShare, size_bytes: int) -> None:
        """Reserve `size_bytes` more for `memory_share`.

        Wait until so much memory is free, or until no other request exceeds the limit.
        """
        while size_bytes > self._free_bytes and self._exempt not in (None, memory_share):
            # Futures belong to the running event loop; a lock would belong to the loop that used it first.
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        if size_bytes > self._free_bytes:
            self._exempt = memory_share
        self._free_bytes -= size_bytes
        memory_share.counted_bytes += size_bytes


class BodyMemoryShare:
    """The memory that the body of one request has reserved."""

    def __init__(self, memory: BodyMemory) -> None:
        """Create a share of 0 bytes."""
        self._memory = memory
        self.counted_bytes = 0

    async def grow_to(self, size_bytes: int) -> None:
        """Wait until the request may store `size_bytes` of its body."""
        missing_bytes = size_bytes - UNCOUNTED_BYTES_PER_BODY - self.counted_bytes
        if missing_bytes > 0:
            await self._memory.reserve(self, missing_bytes)


# Limits the size of requests, so that no client can exhaust the memory.


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
    """Reader that parsed a form while the form arrived; `None` for a body that is not a form."""
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
