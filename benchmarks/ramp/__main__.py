"""Prints how often a ramp finds the capacity of a simulated server within 10%. Fails below 95 of 100 seeds.

The server performs as many requests at a time as its capacity, each for a random time (lognormal, sigma 0.5), and
rejects more with 429 after a random 5 to 50 ms. Time is virtual.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from typing import Any

from voicegauge.bench.load import StepMeasurements, parse_goal, search_highest_load
from voicegauge.model.job import Failure
from voicegauge.model.sample import Latency, Sample
from voicegauge.transport.clock import VirtualClock

GOAL = "success>=0.99,total:p95<=2000ms"
TOO_MANY = Failure(kind="rate_limited", message="429", http_status=429)


def build_sample(duration_s: float | None) -> Sample:
    """Return a sample that took so long, or was rejected."""
    fixed: dict[str, Any] = dict.fromkeys(("id", "target", "text_id", "text", "language", "category", "started_at"), "")
    latency = None if duration_s is None else Latency(submit_latency_ms=0.0, total_latency_ms=duration_s * 1000)
    failure = TOO_MANY if duration_s is None else None
    numbers = {"session": 1, "repetition": 1, "submit_count": 1, "poll_count": 0}
    return Sample(**fixed, **numbers, is_warmup=False, latency=latency, failure=failure)


async def ramp_server(capacity: int, seed: int) -> tuple[float | None, int]:
    """Return the highest concurrency that met the goal, and the number of requests."""
    clock, times, busy = VirtualClock(), random.Random(f"{capacity}/{seed}"), 0  # noqa: S311 - a simulation

    async def send() -> Sample:
        nonlocal busy
        if busy >= capacity:
            await clock.sleep(times.uniform(0.005, 0.05))
            return build_sample(None)
        busy += 1
        duration_s = times.lognormvariate(-1.2, 0.5)
        await clock.sleep(duration_s)
        busy -= 1
        return build_sample(duration_s)

    async def measure(level: float, requests: int) -> StepMeasurements:
        remaining, samples, start_s = iter(range(requests)), list[Sample](), clock.monotonic()

        async def send_in_turn() -> None:
            for _ in remaining:
                samples.append(await send())

        await asyncio.gather(*(send_in_turn() for _ in range(int(level))))
        return StepMeasurements(samples, clock.monotonic() - start_s)

    goal = parse_goal(GOAL)
    found = await search_highest_load(measure, goal, load_type="concurrency", first_load=1.0, max_load=64.0)
    return found.highest_load, sum(step.request_count for step in found.steps)


def main() -> int:
    """Run, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    seeds = parser.parse_args().seeds
    print("| capacity | within 10% | requests, mean |\n|--:|--:|--:|")
    is_good = True
    for capacity in (8, 16, 32):
        found = [asyncio.run(ramp_server(capacity, seed)) for seed in range(seeds)]
        close = sum(level is not None and abs(level / capacity - 1) <= 0.1 for level, _ in found)
        is_good &= close >= 0.95 * seeds
        print(f"| {capacity} | {close} of {seeds} | {sum(count for _, count in found) / seeds:.0f} |", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
