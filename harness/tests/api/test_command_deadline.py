"""A command that takes longer than the user allows ends with what it has, whatever it waits for."""

from __future__ import annotations

import asyncio

import pytest

from voicegauge.api.command_deadline import CommandDeadline
from voicegauge.errors import EXIT_PARTLY_MEASURED, TimeLimitError


async def test_what_ends_in_time_is_returned() -> None:
    async def answer() -> int:
        return 42

    assert await CommandDeadline(1000.0).run(answer()) == 42
    assert await CommandDeadline(None).run(answer()) == 42
    CommandDeadline(None).require_time()


async def test_what_takes_longer_is_cancelled() -> None:
    steps: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    with pytest.raises(TimeLimitError, match=r"--max-time 0\.01 was over") as caught:
        await CommandDeadline(0.01).run(wait_for_ever())
    assert steps == ["cleaned up"]
    assert caught.value.exit_code == EXIT_PARTLY_MEASURED


async def test_a_cleanup_that_hangs_is_cancelled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.api.command_deadline.CLEANUP_S", 0.01)
    steps: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cleaning up")
            await asyncio.Event().wait()

    with pytest.raises(TimeLimitError):
        await CommandDeadline(0.01).run(hang())
    assert steps == ["cleaning up"]


async def test_a_cancellation_by_the_caller_is_no_time_limit() -> None:
    task = asyncio.create_task(CommandDeadline(1000.0).run(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
