"""Replay of the emulator's responses from memory, so that only voicegauge's own work is timed."""

from __future__ import annotations

from typing import Any

RequestKey = tuple[str, bytes, bytes]
"""Method, path and query."""


class ReplayingApp:
    """An ASGI application that records the responses of another one in the first round, and then replays them.

    Every round must send the same requests in the same order, as equal plans with equal seeds do.
    """

    def __init__(self, app: Any) -> None:
        """Forward requests to `app` until the end of the first round."""
        self._app = app
        self._recorded: list[tuple[RequestKey, list[Any]]] = []
        self._next: int | None = None
        """Index of the next response to replay; `None` in the first round."""

    @property
    def requests(self) -> int:
        """Number of requests per round."""
        return len(self._recorded)

    def end_round(self) -> None:
        """Start over with the first response.

        Raises:
            RuntimeError: this round sent fewer requests than the first one.
        """
        if self._next is not None and self._next < len(self._recorded):
            raise RuntimeError(f"the round ended before the recorded {_describe(self._recorded[self._next][0])}")
        self._next = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to one request.

        Raises:
            RuntimeError: this round sends other requests than the first one.
        """
        key = (scope["method"], scope["raw_path"], scope["query_string"])
        if self._next is None:
            self._recorded.append((key, await self._record(scope, receive)))
            messages = self._recorded[-1][1]
        else:
            if self._next == len(self._recorded):
                raise RuntimeError(f"{_describe(key)} was sent after the {self._next} recorded requests")
            recorded, messages = self._recorded[self._next]
            if recorded != key:
                raise RuntimeError(f"{_describe(key)} was sent instead of the recorded {_describe(recorded)}")
            self._next += 1
        for message in messages:
            await send(message)

    async def _record(self, scope: Any, receive: Any) -> list[Any]:
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        await self._app(scope, receive, send)
        return messages


def _describe(key: RequestKey) -> str:
    method, path, query = key
    return f"{method} {path.decode()}" + (f"?{query.decode()}" if query else "")
