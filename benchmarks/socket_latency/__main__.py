"""Measures the error of times to first audio and after cancellations: `PYTHONPATH=benchmarks python -m socket_latency`.

It fails if voicegauge is more than 1 ms off at the median or 5 ms at the 99th percentile with 1, 16 or 256 connections,
if cancellations are more than 5 ms off at the 99th percentile, or if two of ten turns of a connection have one value.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
from collections.abc import Sequence

from server_process import running_server

from socket_latency.clients import SPEAKER_BY_NAME, PlannedTurn, TurnTimes
from voicegauge.bench.timing_error import reduce_event_loop_delays

TURNS_PER_CONNECTION = 10
MAX_MEDIAN_ERROR_MS = 1.0
MAX_P99_ERROR_MS = 5.0
MAX_START_S = 0.1
"""Time within which the connections begin to speak."""
CONNECTION_COUNTS = (1, 16, 256)


def plan_turns(seed: int) -> list[PlannedTurn]:
    """Return ten turns with different delays, every second of which is cancelled."""
    generator = random.Random(seed)  # noqa: S311 - delays, not a secret
    delays = [20.0 + 8 * index + generator.random() * 4 for index in range(TURNS_PER_CONNECTION)]
    generator.shuffle(delays)
    return [PlannedTurn(round(delay, 3), is_cancelled=index % 2 == 1) for index, delay in enumerate(delays)]


async def measure(name: str, port: int, connections: int, seed: int) -> list[list[TurnTimes]]:
    """Return the times of all turns of each connection."""
    speak, barrier = SPEAKER_BY_NAME[name], asyncio.Barrier(connections)

    async def speak_turns(index: int) -> list[TurnTimes]:
        async def wait() -> None:
            await barrier.wait()
            # Speakers do not begin together: each connection has a moment of its own.
            await asyncio.sleep(random.Random(seed + index).random() * MAX_START_S)  # noqa: S311

        return await speak(port, plan_turns(seed + index), wait)

    with reduce_event_loop_delays():
        return list(await asyncio.gather(*(speak_turns(index) for index in range(connections))))


def find_percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which a percentage of the values are (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(round(percent / 100 * len(ordered)), len(ordered) - 1)]


def list_errors(measured: Sequence[Sequence[TurnTimes]]) -> tuple[list[float], list[float]]:
    """Return the absolute errors of times to first audio, and of those from cancellation to last audio, in ms."""
    turns = [turn for connection in measured for turn in connection]
    first = [abs(turn.first_audio_ms - turn.true_first_audio_ms) for turn in turns]
    cancel = [
        abs(turn.cancel_to_last_ms - turn.true_cancel_to_last_ms)
        for turn in turns
        if turn.cancel_to_last_ms is not None and turn.true_cancel_to_last_ms is not None
    ]
    return first, cancel


def main() -> int:
    """Print a table, and return 1 if voicegauge exceeds a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of ten turns on each connection")
    parser.add_argument("--real-time", action="store_true", help="run before other work of the machine (Linux, root)")
    arguments = parser.parse_args()
    if arguments.real_time:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))  # the server inherits it
    failures: list[str] = []
    print("connections  client       first audio p50, p99 [ms]   cancel to last p50, p99 [ms]")
    with running_server("socket_latency.server") as port:
        for connections in CONNECTION_COUNTS:
            found: dict[str, list[list[TurnTimes]]] = {name: [] for name in SPEAKER_BY_NAME}
            for number in range(arguments.rounds + 1):
                for name in SPEAKER_BY_NAME:  # in turns, so that whatever else the machine does concerns all
                    measured = asyncio.run(measure(name, port, connections, 100 * number))
                    found[name] += measured if number else []  # the first round warms up
            for name, measured in found.items():
                first, cancel = list_errors(measured)
                values = [statistics.median(first), find_percentile(first, 99)]
                values += [statistics.median(cancel), find_percentile(cancel, 99)]
                print(f"{connections:11d}  {name:11s}" + "".join(f"  {value:10.3f}" for value in values))
                if name == "voicegauge":
                    failures += _list_failures(connections, measured, values)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


def _list_failures(connections: int, measured: Sequence[Sequence[TurnTimes]], values: Sequence[float]) -> list[str]:
    limits = (
        ("first audio, median", values[0], MAX_MEDIAN_ERROR_MS),
        ("first audio, p99", values[1], MAX_P99_ERROR_MS),
        ("cancel to last audio, p99", values[3], MAX_P99_ERROR_MS),
    )
    failures = [
        f"{connections} connections: {what} is {value:.3f} ms off, limit {limit:g}"
        for what, value, limit in limits
        if value > limit
    ]
    for turns in measured:
        if len({round(turn.first_audio_ms, 3) for turn in turns}) < TURNS_PER_CONNECTION:
            failures.append(f"{connections} connections: turns of one connection have the same time to first audio")
            break
    return failures


if __name__ == "__main__":
    sys.exit(main())
