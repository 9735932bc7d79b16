"""Options that say how much load a benchmark puts on its targets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from voicegauge.api.options import LiveOptions
from voicegauge.bench.load import DEFAULT_GOAL, ArrivalRate, RampSettings, parse_goal
from voicegauge.bench.planning import BenchPlanSettings
from voicegauge.bench.running import RunConfig, open_transport_with_spaced_requests
from voicegauge.bench.stopping import DEFAULT_EQUIVALENCE_MARGIN, StopRule
from voicegauge.client import create_rate_limiter, find_account_plan_limits
from voicegauge.contract import BaseTarget
from voicegauge.errors import UsageError
from voicegauge.printable_text import format_count
from voicegauge.transport import Transport, require_http2

MAX_RAMP_CONCURRENCY = 64.0
"""The highest concurrency that a ramp tries. With more requests in flight, times could not be measured precisely."""
MAX_RAMP_RATE = 300.0
"""The highest rate that a ramp tries, in requests per second."""
MAX_RAMP_REQUESTS = 4000
"""Number of requests that a ramp may send, which is enough for its search."""


@dataclass(frozen=True)
class LoadOptions:
    """Options that decide when and how fast the requests of a benchmark are sent."""

    rate: float | None = None
    """Requests per second to each target; `None` to send a request whenever an earlier one has ended."""
    arrivals: Literal["constant", "poisson"] = "constant"
    ramp: Literal["concurrency", "rate"] | None = None
    """What a ramp raises step by step as long as `goal` is met: "concurrency" or "rate"; `None` without a ramp."""
    goal: str = DEFAULT_GOAL
    http2: bool = False
    stop_when_decided: bool = False
    """Whether sampling ends when every target is known to differ from the first one, or to be as fast."""
    equivalence_margin: float = DEFAULT_EQUIVALENCE_MARGIN
    """Relative difference of total latency that does not matter to `stop_when_decided`."""

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
        if self.arrivals != "constant" and self.rate is None and self.ramp != "rate":
            raise UsageError("--arrivals is for requests at a rate: add --rate or --ramp rate")
        if self.ramp is None and self.goal != DEFAULT_GOAL:
            raise UsageError("--goal is for --ramp: add --ramp concurrency or --ramp rate")
        parse_goal(self.goal)
        if self.stop_when_decided and self.ramp is not None:
            raise UsageError("--ramp ends by itself: leave out --stop-when-decided")
        if not (math.isfinite(self.equivalence_margin) and self.equivalence_margin > 0):
            raise UsageError(
                f"a margin of {self.equivalence_margin:g} is not possible: give a share above 0, such as 0.1 for 10%"
            )
        if self.equivalence_margin != DEFAULT_EQUIVALENCE_MARGIN and not self.stop_when_decided:
            raise UsageError("--margin is for --stop-when-decided: add it")
        if self.http2:
            require_http2()

    def adapt_plan_settings_to_ramp(self, settings: BenchPlanSettings, text_count: int) -> BenchPlanSettings:
        """Return the settings of the plan. If there is a ramp, they repeat the texts as often as its search may need.

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
        """Reject a ramp of several targets, and a comparison of a single one.

        Raises:
            UsageError: there are too many or too few targets.
        """
        if self.ramp is not None and target_count > 1:
            raise UsageError(f"--ramp takes one target, not {target_count}: name one")
        if self.stop_when_decided and target_count < 2:
            raise UsageError("--stop-when-decided compares targets: name two or more")

    def check_rate(self, targets: Collection[BaseTarget], live_options: LiveOptions | None) -> None:
        """Reject a rate that is higher than the user's account plan with a provider allows.

        Raises:
            UsageError: the rate is too high.
            UnknownNameError: no provider has an account plan that `live_options` names.
        """
        if self.rate is None or live_options is None:
            return
        plans = find_account_plan_limits({target.contract for target in targets}, live_options.account_plans)
        for provider, plan_limits in plans.items():
            limiter = create_rate_limiter(plan_limits, live_options.base_urls)
            if limiter is not None:
                count = sum(target.contract.id == provider for target in targets)
                _check_provider_rate(self.rate, provider, count, limiter.requests_per_minute)

    def configure_run(self, config: RunConfig) -> RunConfig:
        """Return a copy of `config`, the configuration of a run, in which these options are set."""
        if self.stop_when_decided:
            baseline_target = next(iter(config.targets))
            rule = StopRule(config.plan.rounds, baseline_target, equivalence_margin=self.equivalence_margin)
            config = dataclasses.replace(config, stop_rule=rule)
        if self.http2:
            config = dataclasses.replace(config, uses_http2=True, open_transport=_open_http2_transport)
        if self.ramp is not None:
            settings = RampSettings(
                self.ramp, parse_goal(self.goal), find_max_ramp_load(config, self.ramp), self.arrivals
            )
            return dataclasses.replace(config, ramp_settings=settings)
        return (
            config
            if self.rate is None
            else dataclasses.replace(config, arrival_rate=ArrivalRate(self.rate, self.arrivals))
        )


def _open_http2_transport() -> Transport:
    return open_transport_with_spaced_requests(uses_http2=True)


def find_max_ramp_load(config: RunConfig, load_type: Literal["concurrency", "rate"]) -> float:
    """Return the highest concurrency or rate that a ramp tries; the account plan may allow less than the maximum."""
    (access,) = config.access_by_provider.values()
    if load_type == "concurrency":
        return min(float(access.max_concurrency or MAX_RAMP_CONCURRENCY), MAX_RAMP_CONCURRENCY)
    limiter = access.rate_limiter
    return min(limiter.requests_per_minute / 60 if limiter is not None else MAX_RAMP_RATE, MAX_RAMP_RATE)


def _check_provider_rate(requests_per_s: float, provider: str, target_count: int, max_requests_per_minute: int) -> None:
    if requests_per_s * 60 * target_count > max_requests_per_minute:
        raise UsageError(
            f"--rate {requests_per_s:g} for {format_count(target_count, 'target')} of {provider} is more than the "
            f"{max_requests_per_minute} requests per minute of the account's plan: "
            f"use at most --rate {max_requests_per_minute / 60 / target_count:.3g}, or name your plan with --plan"
        )
