"""The servers, goals and ways to ramp them whose results are compared with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ramp.server import SPREAD
from voicegauge.model.ramp import RampResult

LOOSE, TIGHT = "success>=0.99", "success>=0.99,total:p95<={limit_ms:g}ms"
TIGHT_FACTOR = 6.0
"""The tight goal allows this factor of the median service time at the 95th percentile."""
MAX_RATE = 2000.0
"""Highest rate that the simulation tries, in requests per second, as `bench --ramp rate` does."""


class Case(NamedTuple):
    """One server and one way to ramp it."""

    kind: Literal["rejects", "queues"]
    load_type: Literal["concurrency", "rate"]
    capacity: int
    service_ms: float
    goal: str

    @property
    def true_load(self) -> float:
        """The highest load without a growing queue, in the unit of the ramp."""
        if self.load_type == "concurrency":
            return float(self.capacity)
        # The mean of lognormal times is above their median.
        return self.capacity / (self.service_ms / 1000 * 2.718281828 ** (SPREAD**2 / 2))


def find_load(found: RampResult) -> float | None:
    """Return the load that a ramp states: the capacity, or without saturation the highest that met the goal."""
    return found.capacity.load if found.capacity is not None else found.highest_load


def contains_truth(found: RampResult, true_load: float) -> bool:
    """Return whether the stated interval contains the true load."""
    if found.capacity is not None:
        return found.capacity.low <= true_load <= found.capacity.high
    low, high = found.highest_load or 0.0, found.lowest_missed_load
    return low <= true_load * 1.0001 and (high is None or true_load < high)


def list_cases() -> list[Case]:
    """Return the servers and goals that are simulated."""
    cases = [Case("rejects", "concurrency", capacity, 300.0, LOOSE) for capacity in (8, 16, 32)]
    for service_ms in (16.0, 100.0, 300.0):
        for capacity in (8, 16, 32):
            tight = TIGHT.format(limit_ms=TIGHT_FACTOR * service_ms)
            for goal in (LOOSE, tight):
                cases.append(Case("queues", "concurrency", capacity, service_ms, goal))
                if capacity / service_ms * 1000 < MAX_RATE:
                    cases.append(Case("queues", "rate", capacity, service_ms, goal))
    return cases


REAL_TIME_SERVICES_MS = (16.0, 100.0, 300.0)


def list_real_time_cases(
    load_types: Sequence[Literal["concurrency", "rate"]], services_ms: Sequence[float] = REAL_TIME_SERVICES_MS
) -> list[Case]:
    """Return the servers and goals that are measured in real time, with these ways to ramp them."""
    return [
        Case("queues", load_type, capacity, service_ms, goal)
        for load_type in load_types
        for service_ms in services_ms
        for capacity in (8, 16, 32)
        for goal in (LOOSE, TIGHT.format(limit_ms=TIGHT_FACTOR * service_ms))
    ]
