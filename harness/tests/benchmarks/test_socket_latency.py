"""The benchmark of times over WebSockets, whose server and clients share one clock."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch):
    """Return a function that measures ten turns on one connection with one of the clients."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(BENCHMARKS), *sys.path)))
    from server_process import running_server
    from socket_latency.__main__ import measure

    def run(name: str):
        with running_server("socket_latency.server") as port:
            return asyncio.run(measure(name, port, 1, seed=3))[0]

    return run


@pytest.mark.parametrize("name", ["voicegauge", "picows", "websockets"])
def test_ten_turns_of_a_connection_have_ten_times_of_their_own(times, name: str) -> None:
    turns = times(name)
    assert len({round(turn.first_audio_ms, 3) for turn in turns}) == len(turns) == 10
    # What a client measures includes the way of both messages, so it is never less than the truth.
    assert all(turn.first_audio_ms > turn.true_first_audio_ms for turn in turns)
    cancelled = [turn for turn in turns if turn.cancel_to_last_ms is not None]
    assert len(cancelled) == 5
    assert all(turn.true_cancel_to_last_ms is not None for turn in cancelled)
