"""A command that takes longer than the user allows ends with what it has, whatever it waits for."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest

from voicegauge.api.calls import CommandDeadline
from voicegauge.errors import EXIT_PARTLY_MEASURED, TimeLimitError


async def test_what_ends_in_time_is_returned() -> None:
    async def answer() -> int:
        return 42

    for limit_s in (1000.0, None):
        with CommandDeadline(limit_s).cancel_task_when_time_is_over():
            assert await answer() == 42
    CommandDeadline(None).require_time()


async def test_what_takes_longer_is_cancelled() -> None:
    steps: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    deadline = CommandDeadline(0.01)
    with (
        pytest.raises(TimeLimitError, match=r"--max-time 0\.01 was over") as caught,
        deadline.cancel_task_when_time_is_over(),
    ):
        await wait_for_ever()
    assert steps == ["cleaned up"]
    assert caught.value.exit_code == EXIT_PARTLY_MEASURED


async def test_a_cleanup_that_hangs_is_cancelled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.api.calls.MAX_CLEANUP_S", 0.01)
    steps: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cleaning up")
            await asyncio.Event().wait()

    with pytest.raises(TimeLimitError), CommandDeadline(0.01).cancel_task_when_time_is_over():
        await hang()
    assert steps == ["cleaning up"]


async def test_a_cancellation_by_the_caller_is_no_time_limit() -> None:
    async def wait() -> None:
        with CommandDeadline(1000.0).cancel_task_when_time_is_over():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_what_blocks_the_main_thread_is_interrupted(handler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.api.calls.MAX_CLEANUP_S", 0.01)
    before, alarm = signal.signal(signal.SIGINT, handler), signal.getsignal(signal.SIGALRM)
    steps: list[str] = []

    def hang() -> None:
        try:
            time.sleep(3600)
        finally:
            steps.append("cleaning up")
            time.sleep(3600)  # what hangs in the cleanup is interrupted too

    try:
        with (
            pytest.raises(TimeLimitError, match=r"--max-time 0\.01 was over"),
            CommandDeadline(0.01).interrupt_when_time_is_over(),
        ):
            hang()
        assert steps == ["cleaning up"]
        assert signal.getsignal(signal.SIGINT) is handler
        assert signal.getsignal(signal.SIGALRM) is alarm
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_event_loop_is_interrupted_as_by_ctrl_c() -> None:
    steps: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cleaned up")

    with pytest.raises(TimeLimitError), CommandDeadline(0.05).interrupt_when_time_is_over():
        asyncio.run(wait_for_ever())
    assert steps == ["cleaned up"]


def test_ctrl_c_and_what_ends_in_time_are_not_changed() -> None:
    with pytest.raises(KeyboardInterrupt), CommandDeadline(1000.0).interrupt_when_time_is_over():
        signal.raise_signal(signal.SIGINT)
    with CommandDeadline(None).interrupt_when_time_is_over(), CommandDeadline(1000.0).interrupt_when_time_is_over():
        pass


def test_another_thread_is_not_interrupted() -> None:
    done: list[str] = []

    def work() -> None:
        with CommandDeadline(1e-6).interrupt_when_time_is_over():
            done.append("all")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["all"]
