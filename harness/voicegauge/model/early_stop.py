"""Records of a benchmark that stops when its targets are known to differ or to be equally fast."""

from __future__ import annotations

from typing import Literal

import msgspec

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record


class TargetDecision(Record, frozen=True, kw_only=True):
    """What the samples so far show about the total latency of one target compared with the baseline target."""

    target: str
    decision: Literal["slower", "faster", "equal"] | None
    """Whether the target is faster or slower than the baseline target, or `equal`: any difference is smaller than
    `EarlyStop.equivalence_margin`. `None` if this is not decided yet."""
    pair_count: Count = msgspec.field(name="pairs")
    """Number of compared pairs of samples; both samples of a pair are of the same round."""
    latency_change: Number | None = msgspec.field(name="change")
    """Relative difference of total latency from the baseline target: the geometric mean of the latency ratios of the
    pairs, minus 1. A ratio above 2 counts as 2, one below 1/2 as 1/2. `None` without a pair."""
    change_lower_bound: Number | None = msgspec.field(name="low")
    """Lower end of the confidence interval of `latency_change`. The interval is valid however often it is computed.
    `None` with too few pairs."""
    change_upper_bound: Number | None = msgspec.field(name="high")
    """Upper end of the same confidence interval; `None` with too few pairs."""


class EarlyStop(Record, frozen=True, kw_only=True):
    """Whether and why sampling ended before the end of the plan."""

    baseline_target: str
    """Target that the others are compared with."""
    equivalence_margin: float = msgspec.field(name="margin")
    """Relative difference of total latency below which two targets count as equally fast, such as 0.05 for 5%."""
    false_decision_probability: NonNegativeNumber = msgspec.field(name="alpha")
    """Highest probability that any decision is wrong, however often the samples are evaluated."""
    has_stopped_early: bool = msgspec.field(name="is_stopped")
    """Whether planned samples were not sent because there is a decision about every target."""
    sent_request_count: Count = msgspec.field(name="requests")
    """Number of requests that were sent, including warm-up and excluding retries."""
    planned_request_count: Count = msgspec.field(name="planned_requests")
    """Number of requests in the whole plan, including warm-up and excluding retries."""
    targets: tuple[TargetDecision, ...]
    """The decision about each target other than the baseline target."""

    def describe(self) -> str:
        """Return in one sentence what was decided, and how many requests that took."""
        decisions = "; ".join(self._describe_target(one) for one in self.targets)
        sent = f"after {self.sent_request_count:,} of {self.planned_request_count:,} requests"
        state = f"sampling stopped {sent}" if self.has_stopped_early else f"sampling did not stop early ({sent})"
        return f"{state}: {decisions} (looked at after every request, {self.false_decision_probability:.0%} error)"

    def _describe_target(self, target_decision: TargetDecision) -> str:
        if target_decision.decision is None:
            return f"{target_decision.target} is not decided"
        if target_decision.decision == "equal":
            margin = f"{self.equivalence_margin:.0%}"
            return f"{target_decision.target} takes as long as {self.baseline_target}, within {margin}"
        return f"{target_decision.target} is {target_decision.decision} than {self.baseline_target}"
