"""Ctrl-C while audio is decoded and encoded."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from voicegauge.api.calls import CommandDeadline, interrupt_on_termination
from voicegauge.speech import encoding
from voicegauge.speech.containers import defer_keyboard_interrupt


@pytest.fixture(autouse=True)
def pythons_own_handler() -> Iterator[None]:
    """Whatever ran before in this process, Ctrl-C raises KeyboardInterrupt."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    reached: list[bool] = []

    @defer_keyboard_interrupt()
    def work() -> None:
        press_ctrl_c()
        reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_interrupt_raises_nothing() -> None:
    with defer_keyboard_interrupt():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_not_lost_in_an_error() -> None:
    @defer_keyboard_interrupt()
    def work() -> None:
        press_ctrl_c()
        raise ValueError("torn")

    with pytest.raises(KeyboardInterrupt):
        work()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGALRM])
def test_a_command_that_ignores_ctrl_c_is_stopped_after_a_file_is_written(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a background job of a shell, which ignores SIGINT, when it is terminated or its time is over."""

    class StoppedFile(io.BytesIO):
        def write(self, data: Any) -> int:
            os.kill(os.getpid(), number)
            return super().write(data)

    monkeypatch.setattr(encoding, "io", SimpleNamespace(BytesIO=StoppedFile))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (
        pytest.raises(KeyboardInterrupt),
        interrupt_on_termination(),
        CommandDeadline(3600).interrupt_when_time_is_over(),
    ):
        encoding.encode(np.zeros(24_000, np.float32), 24_000, "wav")


def test_another_handler_of_ctrl_c_is_not_replaced() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: seen.append(number))
    try:
        with defer_keyboard_interrupt():
            press_ctrl_c()
            assert seen == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_not_affected() -> None:
    done: list[bool] = []

    def work() -> None:
        with defer_keyboard_interrupt():
            done.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert done == [True]
