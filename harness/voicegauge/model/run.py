"""Records of a saved benchmark run: its manifest, samples and score sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from voicegauge.model.base import Count, NonNegativeNumber, Provenance, Record, SignedCount
from voicegauge.model.billing import AmbiguousRequest, OpenJob
from voicegauge.model.data_frame import build_data_frame
from voicegauge.model.early_stop import EarlyStop
from voicegauge.model.ramp import RampResult, format_load
from voicegauge.model.sample import Sample, Score
from voicegauge.model.sample_table import SampleRow

if TYPE_CHECKING:
    import pandas as pd

RUN_SCHEMA_VERSION = 4
"""Version of the format of run.json; it is increased when a key is renamed or its meaning changes."""

RunKind = Literal["speech", "transcription", "conversion"]
"""What the targets of a run do: synthesize texts, transcribe audio, or convert audio into other audio."""


class SuiteRef(Record, frozen=True, kw_only=True):
    """The suite that a run measured."""

    id: str
    version: Count
    sha256: str
    """SHA-256 of the suite file; runs with different digests are not comparable."""
    text_count: Count = msgspec.field(name="texts")
    """Number of texts that were selected with --language, --category and --limit."""


class AmountPerUnit(Record, frozen=True, kw_only=True):
    """A price for one unit of a request, in dollars or in the provider's credits."""

    amount: NonNegativeNumber
    unit: Literal["request", "character", "minute", "estimated_character"]
    """What the amount is charged for: a request, a character of text, or a minute of audio. `estimated_character`: the
    price depends on tokens, computing time or the kind of characters; the amount is the most that one character can
    cost."""


class TargetAccountPlan(Record, frozen=True, kw_only=True):
    """The price of a target with one account plan, as its contract documented it."""

    name: str
    monthly_fee_usd: NonNegativeNumber | None = None
    """Fee of the plan per month in dollars; `None` if no document states it."""
    included_units_per_month: NonNegativeNumber | None = msgspec.field(default=None, name="included")
    """Number of units per month that the fee pays for, in the unit of the target's price."""
    usd_per_extra_unit: NonNegativeNumber = msgspec.field(name="usd")
    """Price in US dollars of a unit beyond the included ones."""
    allows_extra_units: bool = msgspec.field(default=True, name="overage")
    """Whether units beyond the included ones can be bought."""


class TargetPrice(Record, frozen=True, kw_only=True):
    """The price of a target as its contract documented it, or as the user gave it with --price."""

    description: str
    """The price as text for people, such as "$0.015 / request"."""
    usd: AmountPerUnit | None = None
    """The price in US dollars; `None` if no document states one."""
    credits: AmountPerUnit | None = None
    """The price in credits; `None` if no document states one."""
    account_plans: tuple[TargetAccountPlan, ...] = msgspec.field(default=(), name="plans")
    """The account plans that the price in dollars depends on."""
    is_disputed: bool = msgspec.field(default=False, name="disputed")
    """Whether the documents contradict each other about the price."""
    is_stated_by_provider: bool = msgspec.field(default=True, name="stated_by_provider")
    """Whether the price is stated by a document that binds the provider, or by the user; `False` if only others state
    it, such as third parties or client libraries."""
    sources: tuple[str, ...] = ()
    """Titles and dates of the documents that state the price."""


class TargetRef(Record, frozen=True, kw_only=True):
    """A measured target, with what its contract stated at the time of the run."""

    id: str
    title: str
    contract_version: str
    contract_sha256: str
    price: TargetPrice
    max_characters: Count | None = None
    """Maximum number of characters in the text of one request; `None` if no document states a limit."""
    languages: tuple[str, ...] = ()
    """Languages that the target supports; empty if no document lists them."""


class TimingError(Record, frozen=True, kw_only=True):
    """The error of the times to first byte of a run, which is not due to the provider or the network.

    It is measured at the start of the run with requests to a server on this machine that states its own delays.
    """

    concurrency: Count
    """Number of requests in flight."""
    request_count: Count = msgspec.field(name="requests")
    median_error_ms: NonNegativeNumber = msgspec.field(name="p50_ms")
    """Median of the absolute errors in milliseconds."""
    p99_error_ms: NonNegativeNumber = msgspec.field(name="p99_ms")
    """99th percentile of the absolute errors, in milliseconds."""


class Manifest(Record, frozen=True, kw_only=True):
    """Everything needed to interpret a run or to repeat it."""

    schema_version: Count
    run_id: str
    created_at: str
    """Time at which the run was started: UTC, in ISO 8601 format."""
    is_finished: bool = msgspec.field(name="finished")
    """Whether the run is complete. If it was interrupted or stopped, the same command continues it."""
    voicegauge_version: str = msgspec.field(name="voicegauge")
    """Version of voicegauge that measured the run."""
    provenance: Provenance
    """Where the traffic of the run comes from."""
    suite: SuiteRef
    kind: RunKind = "speech"
    targets: tuple[TargetRef, ...]
    sessions: Count
    repetitions: Count
    warmup_request_count: Count = msgspec.field(name="warmup")
    """Number of warm-up requests per target and session; they are excluded from every result."""
    concurrency: Count
    """Maximum number of requests that are in progress at the same time."""
    requests_per_s: float | None = None
    """Rate at which requests were sent to each target; `None` if a request was sent when an earlier one had ended."""
    arrival_process: Literal["constant", "poisson"] = msgspec.field(default="constant", name="arrivals")
    """At a fixed rate: whether requests were sent in equal intervals (`constant`) or as a Poisson process."""
    ramp_load_type: Literal["concurrency", "rate"] | None = msgspec.field(default=None, name="ramp_by")
    """The load that `--ramp` raised; `None` for a run without it."""
    uses_http2: bool = msgspec.field(default=False, name="http2")
    """Whether HTTP/2 was used with servers that support it. The version of each request is in the samples."""
    timing_error: TimingError | None = None
    """The error of the run's times; `None` if it could not be measured."""
    seed: SignedCount
    """Seed of the random choices in the plan, such as the arrival times of a Poisson process."""
    base_urls: dict[str, str] = {}
    """Base URLs set by the user. Each key is "<provider>" or "<provider>/<server>"."""
    fault_ids: tuple[str, ...] = msgspec.field(default=(), name="faults")
    """Ids of the faults that were injected into the emulator, sorted."""
    region: str | None = None
    """Where the run was measured from, as the user named it; `None` if it was not named."""
    environment: dict[str, str] = {}
    """The platform, the processor, and the versions of Python and of libraries."""
    early_stop: EarlyStop | None = None
    """Result of `--stop-when-decided`; `None` for a run without it."""
    max_cost_usd: float | None = None
    """The budget in US dollars; `None` for an emulated run."""
    spent_usd: NonNegativeNumber = 0.0
    """Sum of everything that was or may have been charged, in US dollars, including open jobs and ambiguous
    requests."""
    plan_sha256: str = ""
    """SHA-256 of everything that determines which requests are sent. An interrupted run can be resumed only with an
    equal plan."""


class AsrErrorFloor(Record, frozen=True, kw_only=True):
    """The ASR engine's own errors on clean reference speech of the suite's texts in one language."""

    language: str
    unit: str
    """The unit in which errors are counted: `word` or `character`."""
    reference_unit_count: Count = msgspec.field(name="units")
    """Number of units in the reference texts."""
    error_count: Count = msgspec.field(name="errors")
    """Number of errors in the engine's transcripts of the reference speech."""
    text_count: Count = msgspec.field(name="texts")
    """Number of texts for which there is reference speech."""


class KnownWords(Record, frozen=True, kw_only=True):
    """The number of words of the texts that an ASR engine with a closed vocabulary can recognize."""

    word_count: Count = msgspec.field(name="words")
    """Number of words in the texts, each text once."""
    unknown_word_count: Count = msgspec.field(name="unknown")
    """Number of these words that the engine does not know, and therefore never recognizes."""

    def __str__(self) -> str:
        """Return the numbers in words, with their consequence for error rates."""
        if self.unknown_word_count:
            return f"{self.unknown_word_count} of {self.word_count} words unknown: do not interpret these error rates"
        return f"all {self.word_count} words known: lower error rates than with an ASR engine that knows every word"


class ScoreSet(Record, frozen=True, kw_only=True):
    """Scores of one run that were computed with one ASR engine and one normalizer."""

    asr: str
    """The ASR engine, its model and the hash of the model's weights, such as "whisper:base.en@ed3a0b6b"."""
    asr_reason: str
    """Why this engine was selected."""
    normalizer: str
    """Name and version of the normalizer, such as "whisper-english/1"."""
    settings: dict[str, str] = {}
    """Engine settings and library versions that can change a transcript or an error count."""
    unsupported_languages: tuple[str, ...] = msgspec.field(default=(), name="left_out")
    """Languages that the engine does not support; their samples have no score."""
    has_closed_vocabulary: bool = msgspec.field(default=False, name="closed_vocabulary")
    """Whether the ASR engine knows only the small vocabulary of the bundled suites. Its error rates are then too low,
    and meaningless for other texts."""
    known_words: KnownWords | None = None
    """For a closed vocabulary: how many words of the texts the engine knows. `None` for other engines, and in runs of
    older versions."""
    scores: tuple[Score, ...] = ()
    error_floors: tuple[AsrErrorFloor, ...] = msgspec.field(default=(), name="floor")
    """The ASR engine's own errors on clean reference speech, for each language that was measured."""


class Run(Record, frozen=True, kw_only=True):
    """A benchmark run: manifest, samples and score sets."""

    manifest: Manifest
    samples: tuple[Sample, ...]
    score_sets: tuple[ScoreSet, ...] = ()
    """The score sets, oldest first; reports show the last one."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """The requests whose price counts as spent although their result is unknown or was not saved, oldest first."""
    open_jobs: tuple[OpenJob, ...] = ()
    """The jobs that were paid for and may still succeed."""
    ramp: RampResult | None = None
    """Result of `--ramp`; `None` for a run without it."""

    def select_counted_samples(self) -> tuple[Sample, ...]:
        """Return the samples that results are computed from: all except warm-up samples and lost ones.

        For a ramp, only samples at the highest load that met the goal are returned. If no load met the goal, or if no
        sample is known to be from that load, the samples of all loads are returned.
        """
        measured = tuple(sample for sample in self.samples if sample.is_counted)
        best_steps = self.ramp.best_step_numbers if self.ramp is not None else frozenset[int]()
        return tuple(sample for sample in measured if sample.ramp_step in best_steps) or measured

    def describe_load(self) -> str:
        """Return the load under which the counted samples were sent, such as "16 requests in flight"."""
        manifest, ramp = self.manifest, self.ramp
        if manifest.ramp_load_type is None and ramp is None:
            if manifest.requests_per_s is None:
                return format_load("concurrency", manifest.concurrency)
            return f"{format_load('rate', manifest.requests_per_s)}, {manifest.arrival_process} arrivals"
        if ramp is None or not ramp.steps:
            return "loads of an unfinished ramp, mixed"
        if ramp.highest_load is not None and self._has_best_load():
            return format_load(ramp.load_type, ramp.highest_load)
        return f"{format_load(ramp.load_type, *sorted({step.load for step in ramp.steps}))}, mixed"

    def describe_ramp_numbers(self) -> str:
        """Say in words which requests of a ramp the results are computed from; empty for a run without a ramp."""
        if self.manifest.ramp_load_type is None and self.ramp is None:
            return ""
        load = self.describe_load()
        if self._has_best_load():
            count = len(self.select_counted_samples())
            return f"the numbers are of the {count} requests at {load}, the highest load that met the goal"
        if self.ramp is None or not self.ramp.steps:
            return f"the numbers are of {load}"
        reason = "no load met the goal" if self.ramp.highest_load is None else "the run does not tell them apart"
        return f"the numbers are of {load}: {reason}"

    def _has_best_load(self) -> bool:
        """Whether a load met the goal of the ramp, and at least one counted sample is known to be from that load."""
        steps = self.ramp.best_step_numbers if self.ramp is not None else ()
        return any(sample.ramp_step in steps for sample in self.samples if sample.is_counted)

    def iterate_sample_rows(self) -> Iterator[SampleRow]:
        """Iterate over the samples, in the order in which they were measured, with the scores of the last score set."""
        manifest = self.manifest
        scores = self.score_sets[-1] if self.score_sets else None
        score_by_id = {score.sample_id: score for score in scores.scores} if scores is not None else {}
        for sample in self.samples:
            yield SampleRow(
                run_id=manifest.run_id,
                provenance=manifest.provenance.value,
                region=manifest.region,
                suite=f"{manifest.suite.id}@{manifest.suite.version}",
                sample=sample,
                asr=scores.asr if scores is not None else None,
                score=score_by_id.get(sample.id),
            )

    def to_data_frame(self) -> pd.DataFrame:
        """Return a pandas data frame with one row per sample, also for failed ones.

        The columns are those of CSV and Parquet files (docs/samples.md). Types are nullable and do not depend on the
        values: Int64, Float64, boolean, string, and times in UTC.

        Raises:
            MissingExtraError: the extra `data` is not installed.
        """
        return build_data_frame(self.iterate_sample_rows())
