"""What a run says of each target: latency, intelligibility and cost, with intervals.

Warm-up samples are left out. Failures are counted: a failed sample has no times,
so every time says how many samples it was computed from, and its words count as
deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from voicegauge.bench.statistics import Estimate, IntervalEstimate, mean, median, quantile, ratio_of_sums
from voicegauge.errors import DataError
from voicegauge.model import Interval, Latency, Provenance, Record, Run, Sample, Score, ScoreSet, TargetRef

TEXT_LENGTH = 200
"""Characters of the text at which a price for a million characters is stated."""


class ErrorRate(Record, kw_only=True):
    """Word (or character) error rate of a set of samples; missing audio counts as all words deleted."""

    unit: Literal["word", "character"]
    corpus: Estimate
    """All errors over all reference units: the WER that papers state. Its `n` counts samples."""
    mean: Estimate
    """Mean of the samples' own rates."""
    median: Estimate
    """Median of the samples' own rates."""
    units: int
    """Reference words (or characters)."""
    substitutions: int
    deletions: int
    insertions: int
    texts: int
    """Different texts: what the intervals are drawn from."""
    heard: dict[str, int]
    """Samples by what was heard: speech, silence, missing, undecodable."""


class StratumWer(Record, kw_only=True):
    """The error rate of one stratum in one language."""

    language: str
    stratum: str
    rate: ErrorRate


class TargetCost(Record, kw_only=True):
    """What a request cost, by the contract's price and by what the provider said it charged."""

    usd_per_request: float | None
    """Mean price of the samples' texts; `None` where no document says."""
    credits_per_request: float | None
    """Mean price in the provider's own credits."""
    charged_usd_per_request: float | None
    """Mean of what was said to be charged; `None` where the provider never said."""
    charged_credits_per_request: float | None
    charged_samples: int
    """Samples whose answer said what was charged."""
    charge_differs: bool
    """What was charged is not the contract's price for at least one sample."""
    usd_per_1m_characters: float | None
    """Price of a million characters sent as texts of `characters` characters."""
    characters: int
    """The text length at which `usd_per_1m_characters` is stated."""
    disputed: bool
    """The documents disagree about the price; the dearest reading is shown."""
    price: str
    """In words, as the contract has it."""


class TargetSummary(Record, kw_only=True):
    """One row of the comparison: medians with 95% intervals unless the name says otherwise.

    Times are milliseconds from the start of the (last) submit; `None` where no sample has one.
    """

    target: str
    title: str
    provenance: Provenance
    samples: int
    """Asked for, without warm-up; failures included."""
    failures: int
    failure_kinds: dict[str, int]
    """Failures by kind, the most frequent first."""
    attempts: float | None
    """Mean submits a sample, retries included; 1 where nothing was retried."""
    accept_ms: Estimate | None
    """Until the submit's answer was complete."""
    queue_ms: IntervalEstimate | None
    """Waiting before work began, for a job."""
    processing_ms: IntervalEstimate | None
    """Being worked on, for a job."""
    done_ms: IntervalEstimate | None
    """Until the job was done: bounds that the polling leaves."""
    download_ms: Estimate | None
    ttfb_ms: Estimate | None
    """Until the first byte of the answer that carries the audio."""
    ttfa_ms: Estimate | None
    """Until the first byte of audio."""
    ttfs_ms: Estimate | None
    """Until the first audible speech."""
    file_ms: Estimate | None
    """Time to file: until the last byte of audio, polling included."""
    file_p95_ms: Estimate | None
    audio_s: Estimate | None
    """Length of the audio."""
    rtf: Estimate | None
    """Real-time factor: time to file over the audio's length; below 1 is faster than speech."""
    characters_per_s: Estimate | None
    """Characters of text a second of time to file."""
    wer: ErrorRate | None
    """Of the languages counted in words; `None` where nothing was scored."""
    cer: ErrorRate | None
    """Of the languages counted in characters."""
    strata: tuple[StratumWer, ...]
    cost: TargetCost
    pareto: bool
    """No other target of the run is both faster (`file_ms`) and more intelligible (`wer`, else `cer`)."""
