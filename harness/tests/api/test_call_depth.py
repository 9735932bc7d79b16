"""A request of a check is a few functions away from `check`: what lies between is what a newcomer has to read."""

from __future__ import annotations

import asyncio
import traceback
import weakref
from typing import Any

import pytest

import voicegauge
from voicegauge.transport.http import Transport

MAX_FUNCTIONS_BETWEEN_FOR_CALLS = 10
"""Largest number of functions of the library between `check` and `Transport.send`, for a case that is a single call."""
MAX_FUNCTIONS_BETWEEN_FOR_SUBMITS = 12
"""The same number for the submit of a delivery, which the client follows to its audio."""


def test_few_functions_lie_between_a_check_and_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    callers: weakref.WeakKeyDictionary[asyncio.Task[Any], list[str]] = weakref.WeakKeyDictionary()
    chains: list[list[str]] = []
    create_task, send = asyncio.BaseEventLoop.create_task, Transport.send

    def list_own_functions() -> list[str]:
        """Return the library's functions in progress, with those that started the present task."""
        frames = [
            f"{frame.filename.rpartition('voicegauge/')[2]}:{frame.name}"
            for frame in traceback.extract_stack()
            if "/voicegauge/" in frame.filename and "/tests/" not in frame.filename
        ]
        try:
            earlier = callers.get(asyncio.current_task(), []) if asyncio.current_task() else []  # type: ignore[arg-type]
        except RuntimeError:  # no event loop runs
            earlier = []
        return [*earlier, *(one for one in frames if one not in earlier)]

    def create_noted_task(loop: asyncio.BaseEventLoop, *arguments: Any, **options: Any) -> asyncio.Task[Any]:
        task = create_task(loop, *arguments, **options)
        callers[task] = list_own_functions()
        return task

    async def send_and_note(self: Transport, *arguments: Any, **options: Any) -> Any:
        chains.append(list_own_functions())
        return await send(self, *arguments, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_task", create_noted_task)
    monkeypatch.setattr(Transport, "send", send_and_note)
    voicegauge.check("pixelapi/voice-design", emulated=True, max_calls=1)
    for function, limit in (
        ("_case_sender.py:_send_call", MAX_FUNCTIONS_BETWEEN_FOR_CALLS),
        ("client.py:_submit", MAX_FUNCTIONS_BETWEEN_FOR_SUBMITS),
    ):
        between = [chain[1:] for chain in chains if any(one.endswith(function) for one in chain)]
        assert between  # the first, left out, is `check` itself
        assert max(map(len, between)) <= limit, max(between, key=len)
