"""Prints how often a ramp finds the capacity of a server within 10%, and how often its interval contains it.

Two kinds of servers, in virtual time: one that rejects what is beyond its capacity with 429, and one that queues it.
With `--real-time`, servers on sockets, with the command. Fails if fewer than 19 of 20 are within 10%.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import selectors
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from ramp.cases import (
    MAX_RATE,
    REAL_TIME_SERVICES_MS,
    Case,
    contains_truth,
    find_load,
    list_cases,
    list_real_time_cases,
)
from ramp.real_time import measure_in_real_time
from ramp.server import SPREAD
from voicegauge.bench.benchmark_plan import PlannedSample
from voicegauge.bench.load import compute_sent_share_of_requests_in_flight, send_closed_loop, send_open_loop
from voicegauge.bench.ramp import StepMeasurements, parse_goal, search_highest_load
from voicegauge.bench.run_config import ArrivalRate
from voicegauge.model.exchange import Failure
from voicegauge.model.ramp import RampResult
from voicegauge.model.sample import Latency, Sample
from voicegauge.transport.timing import RealClock

TOO_MANY = Failure(kind="rate_limited", message="429", http_status=429)
MIN_SHARE_WITHIN = 0.95


class _LoopClock(RealClock):
    """The time of the running event loop."""

    def monotonic(self) -> float:
        """Return the time of the loop, in seconds."""
        return asyncio.get_running_loop().time()


class _Selector(selectors.DefaultSelector):
    """Moves the time of its loop forward instead of waiting."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now."""
        self.now_s += timeout or 0.0
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._virtual.now_s


def run_in_virtual_time(coroutine: Coroutine[Any, Any, RampResult]) -> RampResult:
    """Run a ramp in an event loop in which waiting takes no time."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(coroutine)


class Server:
    """A server that performs `capacity` requests at a time; further ones wait, or are rejected after 5 to 50 ms."""

    def __init__(self, capacity: int, service_s: float, seed: int, *, rejects: bool) -> None:
        """Start without any request."""
        self._random = random.Random(f"{capacity}/{service_s}/{seed}")  # noqa: S311 - a simulation
        self._free, self._rejects = asyncio.Semaphore(capacity), rejects
        self._service_s = service_s

    async def respond(self) -> bool:
        """Perform one request; return whether it was accepted."""
        if self._rejects and self._free.locked():
            await asyncio.sleep(self._random.uniform(0.005, 0.05))
            return False
        async with self._free:
            await asyncio.sleep(self._service_s * self._random.lognormvariate(0, SPREAD))
        return True


def build_sample(duration_s: float, *, is_accepted: bool) -> Sample:
    """Return a sample that took `duration_s`, or that was rejected after this time."""
    fixed: dict[str, Any] = dict.fromkeys(("id", "target", "text_id", "text", "language", "category", "started_at"), "")
    latency = Latency(submit_latency_ms=duration_s * 1000, total_latency_ms=duration_s * 1000)
    numbers = {"session": 1, "repetition": 1, "submit_count": 1, "poll_count": 0}
    return Sample(**fixed, **numbers, is_warmup=False, latency=latency, failure=None if is_accepted else TOO_MANY)


async def ramp(case: Case, seed: int) -> RampResult:
    """Ramp one simulated server in virtual time."""
    clock = _LoopClock()
    server = Server(case.capacity, case.service_ms / 1000, seed, rejects=case.kind == "rejects")

    async def measure(load: float, request_count: int) -> StepMeasurements:
        samples: list[tuple[float, Sample]] = []

        async def send(_planned: PlannedSample, _due_s: float | None) -> None:
            start_s = clock.monotonic()
            is_accepted = await server.respond()
            samples.append((start_s, build_sample(clock.monotonic() - start_s, is_accepted=is_accepted)))

        rounds: Any = [(_Planned(),) for _ in range(request_count)]
        start_s = clock.monotonic()
        if case.load_type == "concurrency":
            await send_closed_loop(rounds, int(load), send)
        else:
            await send_open_loop(rounds, ArrivalRate(load), send, clock=clock, seed=seed)
        samples.sort(key=lambda one: one[0])
        starts_s, taken = [start for start, _ in samples], [sample for _, sample in samples]
        share = (
            compute_sent_share_of_requests_in_flight(taken, starts_s, int(load))
            if case.load_type == "concurrency"
            else None
        )
        return StepMeasurements(taken, clock.monotonic() - start_s, share, starts_s)

    max_load = 64.0 if case.load_type == "concurrency" else MAX_RATE
    return await search_highest_load(
        measure, parse_goal(case.goal), load_type=case.load_type, first_load=1.0, max_load=max_load
    )


class _Planned(NamedTuple):
    target: str = "acme/voice"


def measure_case(case: Case, seeds: int, run: Callable[[Case, int], RampResult]) -> tuple[int, int, float]:
    """Return how many ramps were within 10%, how many intervals hold, and the mean number of requests."""
    found = [run(case, seed) for seed in range(seeds)]
    loads = [find_load(one) for one in found]
    within = sum(load is not None and abs(load / case.true_load - 1) <= 0.1 for load in loads)
    contained = sum(contains_truth(one, case.true_load) for one in found)
    requests = sum(step.request_count for one in found for step in one.steps) / seeds
    return within, contained, requests


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ramp", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--real-time",
        action="append",
        choices=("concurrency", "rate"),
        help="ramp servers on sockets with the command: five minutes by concurrency, half an hour by rate",
    )
    parser.add_argument("--service-ms", type=float, action="append", help="with --real-time: these servers only")
    parser.add_argument(
        "--priority", action="store_true", help="with --real-time: run before other work of the machine (Linux, root)"
    )
    parsed = parser.parse_args(arguments)
    if parsed.priority:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))  # servers and commands inherit it
    if parsed.real_time:
        return measure_in_real_time(list_real_time_cases(parsed.real_time, parsed.service_ms or REAL_TIME_SERVICES_MS))
    seeds = parsed.seeds
    print(
        "| server | load | goal | capacity | within 10% | interval contains it | requests, mean |\n"
        "|---|---|---|--:|--:|--:|--:|"
    )
    is_good = True
    for case in list_cases():
        within, contained, requests = measure_case(case, seeds, lambda one, seed: run_in_virtual_time(ramp(one, seed)))
        is_good &= within >= MIN_SHARE_WITHIN * seeds
        server = f"{case.kind}, {case.service_ms:g} ms, {case.capacity} at a time"
        print(
            f"| {server} | {case.load_type} | {case.goal} | {case.true_load:.3g} | {within} of {seeds} "
            f"| {contained} of {seeds} | {requests:.0f} |",
            flush=True,
        )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
