"""Defines the records of a verdict, and the numbers from which it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.analysis import JointResamples, TargetSummary
from voicegauge.model import Manifest, Record, ScoreSet


class VerdictStatement(Record, frozen=True, kw_only=True):
    """What the verdict of a run says about one topic, such as speed."""

    topic: Literal["speed", "intelligibility", "price", "reliability"]
    summary: str
    """A few words without a full stop, as part of the headline."""
    detail: str
    """One or more sentences with the numbers and their uncertainty."""


class RunVerdict(Record, frozen=True, kw_only=True):
    """The results of one run in words."""

    headline: str
    """The most important results in one sentence."""
    statements: tuple[VerdictStatement, ...]
    cautions: tuple[str, ...]
    """Sentences that say why the verdict may not hold, or what it does not cover."""


class MeasuredRun(NamedTuple):
    """The numbers of one run from which its verdict is computed."""

    manifest: Manifest
    scores: ScoreSet | None
    targets: Sequence[TargetSummary]
    """All targets, in the order of the columns of `resamples`."""
    resamples: JointResamples
    ramp_samples_note: str = ""
    """Says under which loads of a ramp the counted samples were sent; empty for a run without a ramp."""

    @property
    def has_uneven_languages(self) -> bool:
        """Whether the scored targets were measured in different languages and therefore with different texts."""
        languages = (frozenset(rate.language for rate in target.error_rates_by_language) for target in self.targets)
        return len(set(filter(None, languages))) > 1

    @property
    def targets_with_deliveries(self) -> list[TargetSummary]:
        """The targets of which at least one request succeeded."""
        return [target for target in self.targets if target.failure_count < target.sample_count]

    def find_resample_column(self, target: TargetSummary) -> int:
        """Return the number of the column, counted from 0, that a target has in `resamples`."""
        return next(i for i, one in enumerate(self.targets) if one is target)
