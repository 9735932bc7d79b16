"""Options that say how much load a benchmark puts on its targets."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from voicegauge.bench.load import DEFAULT_GOAL, parse_goal
from voicegauge.bench.planning import BenchPlanSettings
from voicegauge.bench.running import ArrivalRate, RampSettings, RunConfig, open_spaced_transport
from voicegauge.errors import UsageError
from voicegauge.transport import Transport, require_http2

MAX_RAMP_CONCURRENCY = 64.0
"""The highest concurrency that a ramp tries; times are precise up to it."""
MAX_RAMP_RATE = 300.0
"""The highest rate that a ramp tries, in requests per second."""
MAX_RAMP_REQUESTS = 4000
"""Number of requests that a ramp may send, which is enough for its search."""


@dataclass(frozen=True)
class LoadOptions:
    """How requests are sent."""

    rate: float | None = None
    """Requests per second to each target; `None` to send one when an earlier one ends."""
    arrivals: Literal["constant", "poisson"] = "constant"
    ramp: Literal["concurrency", "rate"] | None = None
    """What is raised as long as `goal` is met; `None` without a ramp."""
    goal: str = DEFAULT_GOAL
    http2: bool = False

    def validate(self) -> None:
        """Reject options that contradict each other.

        Raises:
            UsageError: options contradict each other, or the goal cannot be read.
            MissingExtraError: HTTP/2 is requested and not installed.
        """
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"a rate of {self.rate:g} requests per second cannot be sent: give a positive number")
        if self.ramp is not None and self.rate is not None:
            raise UsageError("--ramp chooses the load itself: leave out --rate")
        if self.ramp is None and self.goal != DEFAULT_GOAL:
            raise UsageError("--goal is for --ramp: add --ramp concurrency or --ramp rate")
        parse_goal(self.goal)
        if self.http2:
            require_http2()

    def plan(self, settings: BenchPlanSettings, text_count: int) -> BenchPlanSettings:
        """Return the settings of the plan; that of a ramp repeats the texts as often as the ramp may need.

        Raises:
            UsageError: a ramp cannot have several sessions.
        """
        if self.ramp is None:
            return settings
        if settings.sessions > 1:
            raise UsageError("--ramp takes one session: leave out --sessions")
        repetitions = -(-MAX_RAMP_REQUESTS // max(text_count, 1))
        return BenchPlanSettings(sessions=1, repetitions=repetitions, warmup=settings.warmup, seed=settings.seed)

    def check_target_count(self, target_count: int) -> None:
        """Reject a ramp of several targets.

        Raises:
            UsageError: there are several targets to ramp.
        """
        if self.ramp is not None and target_count > 1:
            raise UsageError(f"--ramp takes one target, not {target_count}: name one")

    def apply(self, config: RunConfig) -> RunConfig:
        """Return `config` with these options.

        Raises:
            UsageError: the rate is higher than the plan of the account with a provider allows.
        """
        if self.http2:
            config = dataclasses.replace(config, open_transport=_open_http2_transport)
        if self.ramp is not None:
            settings = RampSettings(self.ramp, parse_goal(self.goal), find_max_level(config, self.ramp), self.arrivals)
            return dataclasses.replace(config, ramp=settings)
        return config if self.rate is None else use_rate(config, ArrivalRate(self.rate, self.arrivals))


def _open_http2_transport() -> Transport:
    return open_spaced_transport(http2=True)


def find_max_level(config: RunConfig, by: Literal["concurrency", "rate"]) -> float:
    """Return the highest level that a ramp tries: within what the plan of the account allows."""
    (access,) = config.access_by_provider.values()
    if by == "concurrency":
        return min(float(access.max_concurrency or MAX_RAMP_CONCURRENCY), MAX_RAMP_CONCURRENCY)
    limiter = access.rate_limiter
    return min(limiter.requests_per_minute / 60 if limiter is not None else MAX_RAMP_RATE, MAX_RAMP_RATE)


def use_rate(config: RunConfig, rate: ArrivalRate) -> RunConfig:
    """Return `config` with requests sent at `rate`.

    Raises:
        UsageError: the rate is higher than the plan of the account with a provider allows.
    """
    for provider, access in config.access_by_provider.items():
        count = sum(target.contract.id == provider for target in config.targets.values())
        limit = access.rate_limiter.requests_per_minute if access.rate_limiter is not None else None
        if limit is not None and rate.requests_per_s * 60 * count > limit:
            raise UsageError(
                f"--rate {rate.requests_per_s:g} for {count} targets of {provider} is more than the {limit} requests "
                f"per minute of the account's plan: use at most --rate {limit / 60 / count:.3g}, "
                "or name your plan with --plan"
            )
    return dataclasses.replace(config, rate=rate)
