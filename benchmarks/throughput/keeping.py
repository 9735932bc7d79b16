"""Answers kept in memory: what is left of a case is voicegauge's own work."""

from __future__ import annotations

from typing import Any

Asked = tuple[str, bytes, bytes]
"""Method, path and query."""


class Keeper:
    """An application that asks another one while it learns, and afterwards answers as that one did.

    Every round must ask the same in the same order, as equal plans with equal dice do.
    """

    def __init__(self, app: Any) -> None:
        """`app` is asked until the first round has ended."""
        self._app = app
        self._kept: list[tuple[Asked, list[Any]]] = []
        self._at: int | None = None

    @property
    def requests(self) -> int:
        """How many a round has."""
        return len(self._kept)

    def end_round(self) -> None:
        """Begin again with the first answer.

        Raises:
            RuntimeError: this round asked less than the first one.
        """
        if self._at is not None and self._at < len(self._kept):
            raise RuntimeError(f"a round ended where {_told(self._kept[self._at][0])} was asked before")
        self._at = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request.

        Raises:
            RuntimeError: this round asks otherwise than the first one.
        """
        asked = (scope["method"], scope["raw_path"], scope["query_string"])
        if self._at is None:
            self._kept.append((asked, await self._learn(scope, receive)))
            messages = self._kept[-1][1]
        else:
            if self._at == len(self._kept):
                raise RuntimeError(f"{_told(asked)} was asked after the {self._at} requests that were asked before")
            then, messages = self._kept[self._at]
            if then != asked:
                raise RuntimeError(f"{_told(asked)} was asked where {_told(then)} was asked before")
            self._at += 1
        for message in messages:
            await send(message)

    async def _learn(self, scope: Any, receive: Any) -> list[Any]:
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        await self._app(scope, receive, send)
        return messages


def _told(asked: Asked) -> str:
    method, path, query = asked
    return f"{method} {path.decode()}" + (f"?{query.decode()}" if query else "")
