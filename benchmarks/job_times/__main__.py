"""Prints how far the stated median completion time of jobs is from the truth.

A client polls jobs of about a minute every 5 s, as their contract demands, at a server in this process that knows when
each job ends. Time is virtual. Fails if the median is more than 1% off with any seed for jobs that all take 60 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
from pathlib import Path
from typing import Any

from voicegauge.bench.estimates import CensoredTime, estimate_censored_quantile
from voicegauge.client.client import Client
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Delivery
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

CONTRACT = Path(__file__).parent / "contracts" / "acme" / "openapi.yaml"
JOB_S = 60.0
MAX_ERROR = 0.01


class JobServer:
    """An ASGI application whose jobs last as long as planned."""

    def __init__(self, durations_s: list[float], clock: VirtualClock) -> None:
        """Plan the durations of the jobs, in the order of their submits."""
        self.durations_s, self._clock = durations_s, clock
        self._started_s: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to a submit, a poll or a download."""
        await receive()
        path, media_type, body = scope["path"], b"application/json", b""
        if scope["method"] == "POST":
            self._started_s.append(self._clock.monotonic())
            body = json.dumps({"id": str(len(self._started_s) - 1), "state": "working"}).encode()
        elif path.startswith("/jobs/"):
            body = json.dumps(self._report(path.rpartition("/")[2])).encode()
        else:
            media_type, body = b"audio/wav", b"RIFF\0\0\0\0WAVE"
        status = 202 if scope["method"] == "POST" else 200
        headers = [(b"content-type", media_type)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _report(self, job: str) -> dict[str, str]:
        number = int(job)
        if self._clock.monotonic() - self._started_s[number] < self.durations_s[number]:
            return {"id": job, "state": "working"}
        return {"id": job, "state": "done", "audio": f"https://api.acme.test/audio/{job}"}


async def measure_jobs(contract: Contract, count: int, spread: float, seed: int) -> float:
    """Return the relative error of the stated median of so many jobs.

    Args:
        contract: the contract of the server.
        count: number of jobs, one after the other.
        spread: standard deviation of the logarithm of their duration.
        seed: seed of durations and polls.
    """
    dice, clock = random.Random(seed), VirtualClock()  # noqa: S311 - a simulation
    server = JobServer([JOB_S * dice.lognormvariate(0, spread) for _ in range(count)], clock)
    async with Transport(app=server) as transport:
        client = Client(contract, transport, key="key", clock=clock, seed=seed, staggers_polls=True)
        target = contract.targets["queued"]
        times = [
            read_bounds(await client.speak(target, SpeechRequest(text="The kettle is on the stove.")), text)
            for text in range(count)
        ]
    stated = estimate_censored_quantile(times, 0.5)
    assert stated is not None
    return stated.value / (statistics.median(server.durations_s) * 1000) - 1


def read_bounds(delivery: Delivery, text_id: int) -> CensoredTime:
    """Return the last time at which the job was not done, and the first at which it was."""
    assert delivery.job is not None, delivery.failure
    *_, before, done = delivery.job.observations
    return CensoredTime(text_id, before.requested_ms, done.response_began_ms)


def main() -> int:
    """Simulate, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m job_times", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="simulations of each kind (default: 100)")
    seeds = parser.parse_args().seeds
    contract, is_within = load_contract(CONTRACT), True
    print("| jobs | spread of their times | within 1% | median error | worst error |\n|--:|--:|--:|--:|--:|")
    for spread in (0.0, 0.02, 0.05, 0.1):
        for count in (20, 40, 100):
            errors = [abs(asyncio.run(measure_jobs(contract, count, spread, seed))) for seed in range(seeds)]
            within = sum(error <= MAX_ERROR for error in errors)
            cells = (count, f"{spread:.0%}", f"{within} of {seeds}", f"{statistics.median(errors):.2%}")
            print(f"| {' | '.join(map(str, cells))} | {max(errors):.2%} |", flush=True)
            is_within &= spread > 0 or within == seeds
    return 0 if is_within else 1


if __name__ == "__main__":
    raise SystemExit(main())
