"""Records of a benchmark that stops when its targets are known to differ or to be equally fast."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record


class TargetDecision(Record, frozen=True, kw_only=True):
    """What the samples so far show about the total latency of one target compared with the baseline target."""

    target: str
    decision: Literal["slower", "faster", "equal"] | None
    """`faster`, `slower`, or `equal` if any difference is smaller than the margin; `None` if the samples did not decide
    it."""
    pairs: Count
    """Number of compared pairs of samples; both samples of a pair are of the same round."""
    change: Number | None
    """Geometric mean of the ratios of the pairs, less one; each ratio counts as a factor of two at most; `None` without
    a pair."""
    low: Number | None
    """Lower end of the interval of `change`, which is valid however often it is looked at; `None` with too few
    pairs."""
    high: Number | None


class EarlyStop(Record, frozen=True, kw_only=True):
    """Whether and why sampling ended before the end of the plan."""

    baseline_target: str
    """Target that the others are compared with."""
    margin: float
    """Relative difference of total latency that does not matter."""
    alpha: NonNegativeNumber
    """Probability that any decision is false, however often it is looked at."""
    is_stopped: bool
    """Whether samples of the plan were not sent because everything was decided."""
    requests: Count
    """Number of requests that were sent, including warm-up and excluding retries."""
    planned_requests: Count
    targets: tuple[TargetDecision, ...]

    def describe(self) -> str:
        """Return in one sentence what was decided, and how many requests that took."""
        decisions = "; ".join(self._describe_target(one) for one in self.targets)
        sent = f"after {self.requests:,} of {self.planned_requests:,} requests"
        state = f"sampling stopped {sent}" if self.is_stopped else f"sampling did not stop early ({sent})"
        return f"{state}: {decisions} (looked at after every request, {self.alpha:.0%} error)"

    def _describe_target(self, target_decision: TargetDecision) -> str:
        if target_decision.decision is None:
            return f"{target_decision.target} is not decided"
        if target_decision.decision == "equal":
            return f"{target_decision.target} takes as long as {self.baseline_target}, within {self.margin:.0%}"
        return f"{target_decision.target} is {target_decision.decision} than {self.baseline_target}"
