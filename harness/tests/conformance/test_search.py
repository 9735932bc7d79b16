"""A search in its thread, next to the event loop that sends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import SimpleNamespace
from typing import Any

from voicegauge.conformance._fuzzing_requests import FuzzSettings, ViolationSearch


def test_a_search_that_is_stopped_sends_nothing_more() -> None:
    drawing, go_on = threading.Event(), threading.Event()
    sent: list[int] = []
    runner: Any = SimpleNamespace(keep=lambda _: None)

    async def question() -> None:
        sent.append(1)

    async def search() -> None:
        search = ViolationSearch(runner, FuzzSettings(example_count=1, seed=0))

        def draw() -> None:
            drawing.set()
            assert go_on.wait(60)
            search.run_in_event_loop(question())

        running = asyncio.create_task(search.search_violations(lambda *_: draw))
        assert await asyncio.to_thread(drawing.wait, 10)
        running.cancel()
        threading.Timer(0.2, go_on.set).start()  # the end of the search waits for the thread
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(search())
    assert sent == []
