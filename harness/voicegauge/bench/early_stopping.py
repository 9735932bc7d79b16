"""Ends sampling as soon as each target is known to be faster, slower or as fast as the one that it is compared with.

It is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences" (Annals of Statistics 52(6), 2024, theorem 2.2): with a probability of 1 -
alpha, the mean lies in every interval that is computed while observations arrive. An ordinary confidence interval is
valid for one number of observations only, which must be chosen before.

Targets are compared by the total latency of the same text in the same round, so that drift that they share cancels out.
Pairs are added in the order of the plan. In the order in which they finish, slow requests would be added last, and the
decision would come without them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from voicegauge.bench.benchmark_plan import SampleRound
from voicegauge.bench.defaults import DEFAULT_EQUIVALENCE_MARGIN
from voicegauge.model.run import EarlyStop, TargetDecision
from voicegauge.model.sample import Sample

# Computes an interval of a mean that is valid after every observation, so that sampling may stop at any time.


MIN_OBSERVATIONS = 20
"""Smallest number of observations for which an interval is computed, because it is an asymptotic one."""


class ConfidenceSequence:
    """A confidence sequence: an interval of the mean of the observations so far."""

    def __init__(self, alpha: float, tightest_observation_count: int) -> None:
        """Create a sequence that has no observations yet.

        Args:
            alpha: probability that the interval ever excludes the true mean.
            tightest_observation_count: number of observations at which the interval is tightest. It is chosen before
                the first observation.
        """
        self._alpha = alpha
        # The parameter of the mixture that is best for one number of observations (the same paper, appendix B.2).
        log_odds = -2 * math.log(alpha)
        self._mixture = (log_odds + math.log(log_odds + 1)) / max(tightest_observation_count, MIN_OBSERVATIONS)
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add_observation(self, observation: float) -> None:
        """Add one observation."""
        self.count += 1
        deviation = observation - self.mean
        self.mean += deviation / self.count
        self._squares += deviation * (observation - self.mean)

    def compute_interval(self) -> tuple[float, float] | None:
        """Return the lower and the upper bound of the confidence interval of the mean.

        The result is `None` with fewer than `MIN_OBSERVATIONS` observations.
        """
        if self.count < MIN_OBSERVATIONS:
            return None
        deviation = math.sqrt(self._squares / (self.count - 1))
        growth = self.count * self._mixture + 1
        # Theorem 2.2. It holds asymptotically, because the standard deviation is estimated. Sequences that hold for any
        # number of observations, such as empirical Bernstein bounds of the clipped ratios, are wider, so that sampling
        # would end later.
        margin = math.sqrt(2 * growth / (self.count**2 * self._mixture) * math.log(math.sqrt(growth) / self._alpha))
        return self.mean - deviation * margin, self.mean + deviation * margin


# Ends sampling as soon as each target is known to be faster, slower or as fast as the one that it is compared with.


STOP_ALPHA = 0.01
"""Probability that the decision about any target is wrong, however often the targets are compared."""
MAX_LOG_RATIO = math.log(2)
"""Largest absolute log ratio of a pair; larger ones are clipped, so that a single outlier does not widen the
interval."""


class StopRule:
    """Compares the targets of a run with its baseline target while samples arrive."""

    def __init__(
        self,
        rounds: Sequence[SampleRound],
        baseline_target: str,
        *,
        equivalence_margin: float = DEFAULT_EQUIVALENCE_MARGIN,
    ) -> None:
        """Create a rule that has no samples yet.

        Args:
            rounds: the plan.
            baseline_target: id of the target that the others are compared with.
            equivalence_margin: relative difference of total latency that does not matter; 0.1 is 10%.
        """
        self._baseline, self._margin = baseline_target, equivalence_margin
        self._planned_requests = sum(map(len, rounds))
        targets = dict.fromkeys(one.target for row in rounds for one in row if one.target != baseline_target)
        self._comparisons = [
            _TargetComparison(
                target, _pair_sample_ids(rounds, baseline_target, target), STOP_ALPHA / len(targets), equivalence_margin
            )
            for target in targets
        ]
        self._log_latency_by_sample: dict[str, float | None] = {}

    @property
    def is_decided(self) -> bool:
        """Whether every comparison is decided, so that nothing more needs to be sent."""
        return all(comparison.decision is not None for comparison in self._comparisons)

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Compare finished samples with those of the baseline target; pairs with a failed sample are left out."""
        for sample in samples:
            total_ms = sample.latency.total_latency_ms if sample.latency and sample.failure is None else None
            self._log_latency_by_sample[sample.id] = math.log(total_ms) if total_ms else None
        for comparison in self._comparisons:
            comparison.add_finished_pairs(self._log_latency_by_sample)

    def build_early_stop(self, request_count: int) -> EarlyStop:
        """Return what is decided after `request_count` requests."""
        return EarlyStop(
            baseline_target=self._baseline,
            equivalence_margin=self._margin,
            false_decision_probability=STOP_ALPHA,
            has_stopped_early=self.is_decided and request_count < self._planned_requests,
            sent_request_count=request_count,
            planned_request_count=self._planned_requests,
            targets=tuple(comparison.build_decision() for comparison in self._comparisons),
        )


def _pair_sample_ids(rounds: Sequence[SampleRound], baseline_target: str, target: str) -> list[tuple[str, str]]:
    """Return, for each round, the ids of the samples of the baseline target and of the target, without warm-up."""
    pairs = []
    for row in rounds:
        ids = {one.target: one.id for one in row if not one.is_warmup}
        if baseline_target in ids and target in ids:
            pairs.append((ids[baseline_target], ids[target]))
    return pairs


class _TargetComparison:
    """Compares one target with the baseline target until there is a decision, which is final."""

    def __init__(
        self, target: str, sample_id_pairs: list[tuple[str, str]], alpha: float, equivalence_margin: float
    ) -> None:
        self._target, self._pairs, self._limit = target, sample_id_pairs, math.log1p(equivalence_margin)
        self._sequence = ConfidenceSequence(alpha, tightest_observation_count=len(sample_id_pairs) // 2)
        self._next_pair = 0
        self.decision: str | None = None

    def add_finished_pairs(self, log_latency_by_sample: dict[str, float | None]) -> None:
        """Add the next pairs of samples, as long as both samples are finished and nothing is decided.

        Args:
            log_latency_by_sample: logarithm of the total latency in milliseconds by sample id; `None` for a failed
                sample.
        """
        while self.decision is None and self._next_pair < len(self._pairs):
            before, after = self._pairs[self._next_pair]
            if before not in log_latency_by_sample or after not in log_latency_by_sample:
                return
            self._next_pair += 1
            old, new = log_latency_by_sample[before], log_latency_by_sample[after]
            if old is not None and new is not None:
                self._sequence.add_observation(min(max(new - old, -MAX_LOG_RATIO), MAX_LOG_RATIO))
                self.decision = self._decide()

    def _decide(self) -> str | None:
        interval = self._sequence.compute_interval()
        if interval is None:
            return None
        low, high = interval
        if low > 0:
            return "slower"
        if high < 0:
            return "faster"
        return "equal" if -self._limit < low and high < self._limit else None

    def build_decision(self) -> TargetDecision:
        interval = self._sequence.compute_interval()
        return TargetDecision(
            target=self._target,
            decision=self.decision,  # type: ignore[arg-type]  # one of the words of `_decide`
            pair_count=self._sequence.count,
            latency_change=math.expm1(self._sequence.mean) if self._sequence.count else None,
            change_lower_bound=math.expm1(interval[0]) if interval else None,
            change_upper_bound=math.expm1(interval[1]) if interval else None,
        )
