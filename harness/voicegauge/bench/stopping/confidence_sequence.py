"""Computes an interval of a mean that is valid after every observation, so that sampling may stop at any time.

It is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences" (Annals of Statistics 52(6), 2024, theorem 2.2): with a probability of 1 -
alpha, the mean lies in every interval that is computed while observations arrive. An ordinary confidence interval is
valid for one number of observations only, which must be chosen before.
"""

from __future__ import annotations

import math

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
        """Return the interval of the mean; `None` with fewer than `MIN_OBSERVATIONS`."""
        if self.count < MIN_OBSERVATIONS:
            return None
        deviation = math.sqrt(self._squares / (self.count - 1))
        growth = self.count * self._mixture + 1
        margin = math.sqrt(2 * growth / (self.count**2 * self._mixture) * math.log(math.sqrt(growth) / self._alpha))
        return self.mean - deviation * margin, self.mean + deviation * margin
