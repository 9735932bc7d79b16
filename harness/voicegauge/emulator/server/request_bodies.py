"""Reading of request bodies with a limit, so that no client can fill the memory."""

from __future__ import annotations

from starlette.types import Message, Receive, Scope

MAX_UPLOAD_BYTES = 128 * 1024 * 1024
"""Higher than every documented upload limit, so that these are tested."""
MAX_TEXT_BYTES = 16 * 1024 * 1024
"""JSON and URL-encoded forms: no documented text comes near, and parsed JSON takes many times its size in memory."""
MAX_CONTROL_BYTES = 1024 * 1024
"""Bodies of control routes: a list of faults, or a number of seconds."""


def body_limit(scope: Scope) -> int:
    """Return the most bytes that the body of a request to a provider may have, by its Content-Type."""
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"").lower()
    is_text = b"json" in content_type or content_type.startswith(b"application/x-www-form-urlencoded")
    return MAX_TEXT_BYTES if is_text else MAX_UPLOAD_BYTES


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """Return the request body; `None` if it has more than `limit` bytes.

    The rest of such a body is not read, so the response must close the connection.

    Raises:
        ConnectionError: the client disconnected.
    """
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if declared.isdigit() and int(declared) > limit:
        return None
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            return None
    return bytes(body)


def replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields a body that was read before, then what `receive` yields."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
