"""Limits the size of requests, so that no client can exhaust the memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from voicegauge.emulator.server.body_memory import BodyShare

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

MAX_UPLOAD_BYTES = 104 * 1024 * 1024
"""Maximum size of an upload. It exceeds every documented upload limit, the highest of which is 100 MiB, so that checks
can test those limits."""
MAX_TEXT_BYTES = 16 * 1024 * 1024
"""Maximum size of JSON and URL-encoded forms. All documented texts are much shorter, and parsed JSON needs many times
its size in memory."""
MAX_CONTROL_BYTES = 1024 * 1024
"""Maximum size of the bodies for control routes, which contain a list of faults or a number of seconds."""

MAX_HEADER_BYTES = 16 * 1024
"""Maximum size of the path, the query and all headers of a request. Few clients send more than two kilobytes."""
MAX_HEADERS = 100
"""Maximum number of headers. Each takes a few hundred bytes of memory, even if it is empty."""


def are_headers_too_large(scope: Scope) -> bool:
    """Whether a request has more than `MAX_HEADERS`, or its path, query and headers exceed `MAX_HEADER_BYTES`."""
    headers = scope["headers"]
    size = len(scope["path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers)
    return len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES


def find_body_limit(scope: Scope) -> int:
    """Return the maximum number of bytes in the body of a request to a provider, which depends on the Content-Type."""
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"").lower()
    is_text = b"json" in content_type or content_type.startswith(b"application/x-www-form-urlencoded")
    return MAX_TEXT_BYTES if is_text else MAX_UPLOAD_BYTES


async def read_body(scope: Scope, receive: Receive, max_bytes: int, share: BodyShare) -> bytes | None:
    """Return the request body; `None` if it has more than `max_bytes` bytes.

    The rest of such a body is not read, so the response must close the connection. While other requests take all
    memory, nothing is read.

    Raises:
        ConnectionError: the client disconnected.
    """
    content_length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if content_length.isdigit() and int(content_length) > max_bytes:
        return None
    body, more = io.BytesIO(), True  # returns its content without a copy
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        part, more = message.get("body", b""), message.get("more_body", False)
        if body.tell() + len(part) > max_bytes:
            return None
        await share.grow_to(body.tell() + len(part))
        body.write(part)
    return body.getvalue()


def replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a function that first returns `body`, which was read before, and then calls `receive`."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_replayed() -> Message:
        return messages.pop() if messages else await receive()

    return receive_replayed
