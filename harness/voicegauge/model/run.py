"""A saved benchmark run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from voicegauge.hosts import is_loopback
from voicegauge.model.base import (
    Count,
    NonNegativeNumber,
    Number,
    PositiveCount,
    Provenance,
    Record,
    SignedCount,
    TextPacing,
)
from voicegauge.model.exchange import AmbiguousRequest, OpenJob
from voicegauge.model.price import PlanClaim, PriceClaim
from voicegauge.model.ramp import EarlyStop, RampResult, format_load
from voicegauge.model.sample import (
    ListeningVerdict,
    MeasuredVoice,
    QualityPrediction,
    Sample,
    SampleRow,
    Score,
    build_data_frame,
)

if TYPE_CHECKING:
    import pandas as pd


RUN_SCHEMA_VERSION = 5
"""Version of the format of run.json; it is increased when a key is renamed or its meaning changes."""

RunKind = Literal["speech", "transcription", "conversion"]
"""What the targets of a run do: synthesize texts, transcribe audio, or convert audio into other audio."""


class MeasuredSuite(Record, frozen=True, kw_only=True):
    """The suite that a run measured."""

    id: str
    """Id of the suite, such as "smoke"."""
    version: Count
    """Version of the suite, which increases when a text changes."""
    sha256: str
    """SHA-256 of the suite file; runs with different digests are not comparable."""
    text_count: Count
    """Number of texts that were selected with --language, --category and --limit."""


class TargetPrice(Record, frozen=True, kw_only=True):
    """The price of a target as its contract documented it, or as the user gave it with --price."""

    description: str
    """The price as text for people, such as "$0.015 / request"."""
    claims: tuple[PriceClaim, ...] = ()
    """What each document states about the price, in the order of the contract; empty if none states one. Claims of
    resellers and about other models are among them, but do not count."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Titles, dates and addresses of the documents that state the price."""
        return tuple(
            dict.fromkeys(
                ", ".join(filter(None, (claim.title, claim.date, claim.url))) for claim in self.claims if claim.title
            )
        )

    @property
    def free_quotas(self) -> tuple[PlanClaim, ...]:
        """The units that accounts have free each month. They make no price lower."""
        plans = {plan.name: plan for claim in self.claims for plan in claim.plans if plan.is_free_quota}
        return tuple(plans.values())


class MeasuredTarget(Record, frozen=True, kw_only=True):
    """A measured target, with what its contract stated at the time of the run."""

    id: str
    """Id of the target: "<provider>/<name>"."""
    title: str
    """Name of the target for readers."""
    contract_version: str
    """Version of the contract that the requests followed."""
    contract_sha256: str
    """Digest of that contract, which may change without a new version."""
    price: TargetPrice
    max_characters: PositiveCount | None = None
    """Maximum number of characters in the text of one request; `None` if no document states a limit."""
    languages: tuple[str, ...] = ()
    """Languages that the target supports; empty if no document lists them."""
    clones_voice: bool = False
    """Whether the target speaks in the voice of a sample that every request contains."""
    is_self_hosted: bool = False
    """Whether users run the server themselves, so that a server on this machine is the service itself."""


class TimingError(Record, frozen=True, kw_only=True):
    """The error that this machine's clock and client add to the times to first byte of a run.

    It is measured with requests to a server of known delays on this machine, under the load of the run: during the run,
    or after a run that was too short for the measurement.
    """

    concurrency: Count
    """Number of requests in flight. For requests at a fixed rate, the number of connections that had been opened before
    them."""
    requests_per_s: NonNegativeNumber | None = None
    """Rate at which the requests were sent; `None` if each request was sent when an earlier one had ended."""
    request_count: Count
    """Number of requests from which the error was computed."""
    median_error_ms: NonNegativeNumber
    """Median of the absolute errors in milliseconds."""
    p99_error_ms: NonNegativeNumber
    """99th percentile of the absolute errors, in milliseconds."""
    is_measured_during_run: bool = False
    """Whether the requests of this measurement were sent at the same time as those of the run, not after them."""


def describe_timing_error(error: TimingError) -> str:
    """Return the error of times in words, with the load under which it was measured."""
    load = (
        f"with {format_load('concurrency', error.concurrency)}"
        if error.requests_per_s is None
        else f"at {error.requests_per_s:g} requests/s"
    )
    errors = f"{error.median_error_ms:.2f} ms (median), {error.p99_error_ms:.2f} ms (p99)"
    when = ", measured during the run" if error.is_measured_during_run else ""
    return f"{errors}, {load}{when} at a server on this machine"


class MeasuringWorker(Record, frozen=True, kw_only=True):
    """A worker of a Dask cluster that sent requests of the run, and how its clock compares with this machine's.

    Times of samples are measured with the worker's own monotonic clock, so that no other clock changes them.
    """

    name: str
    """Name of the worker in its cluster."""
    place: str
    """Where the worker is: its name without the number at its end."""
    clock_offset_ms: Number
    """By how much the worker's clock is ahead of the clock of the machine that planned the run, in milliseconds;
    `Sample.started_at` is on the latter."""
    clock_error_ms: NonNegativeNumber
    """Largest error of `clock_offset_ms`, in milliseconds: half of the shortest round trip to the worker."""
    timing_error: TimingError | None = None
    """The error of the times that the worker measured; `None` if it is not known."""


class Manifest(Record, frozen=True, kw_only=True):
    """Everything needed to interpret a run or to repeat it."""

    schema_version: Count
    """Version of the format of saved runs."""
    run_id: str
    """Id of the run: the name of its folder when it was measured."""
    created_at: str
    """Time at which the run was started: UTC, in ISO 8601 format."""
    is_finished: bool
    """Whether the run is complete. If it was interrupted or stopped, the same command continues it."""
    voicegauge_version: str
    """Version of voicegauge that measured the run."""
    provenance: Provenance
    """Where the traffic of the run comes from."""
    suite: MeasuredSuite
    kind: RunKind = "speech"
    targets: tuple[MeasuredTarget, ...]
    sessions: Count
    """Number of sessions, each on new connections."""
    repetitions: Count
    """Number of times that each text is sent in a session."""
    warmup_request_count: Count
    """Number of warm-up requests per target and session; they are excluded from every result."""
    concurrency: Count
    """Maximum number of requests that are in progress at the same time."""
    requests_per_s: float | None = None
    """Rate at which requests were sent to each target; `None` if each request was sent when an earlier one had
    ended."""
    arrival_process: Literal["constant", "poisson"] = "constant"
    """At a fixed rate: whether requests were sent in equal intervals (`constant`) or as a Poisson process."""
    ramp_load_type: Literal["concurrency", "rate"] | None = None
    """The load that `--ramp` raised; `None` for a run without it."""
    text_pacing: TextPacing | None = None
    """How texts were sent over WebSockets; `None` if they were sent whole."""
    uses_http2: bool = False
    """Whether HTTP/2 was used with servers that support it. The version of each request is in the samples."""
    timing_error: TimingError | None = None
    """The error of the run's times; `None` if it could not be measured."""
    seed: SignedCount
    """Seed of the random choices in the plan, such as the arrival times of a Poisson process."""
    base_urls: dict[str, str] = {}
    """Base URLs set by the user. Each key is "<provider>" or "<provider>/<server>"."""
    fault_ids: tuple[str, ...] = ()
    """Ids of the faults that were injected into the emulator, sorted."""
    region: str | None = None
    """Where the run was measured from, as the user named it; `None` if it was not named."""
    places: tuple[str, ...] = ()
    """The places from which workers were to measure the run, sorted; empty if this machine sends the requests."""
    workers: tuple[MeasuringWorker, ...] = ()
    """The workers that sent the requests, sorted by name; empty if this machine sent them."""
    environment: dict[str, str] = {}
    """The platform, the processor, and the versions of Python and of libraries."""
    early_stop: EarlyStop | None = None
    """Result of `--stop-when-decided`; `None` for a run without it."""
    max_cost_usd: float | None = None
    """The budget in US dollars; `None` for an emulated run."""
    spent_usd: NonNegativeNumber = 0.0
    """Sum of everything that was or may have been charged, in US dollars, including open jobs and ambiguous
    requests."""
    voice_sample_path: str | None = None
    """Path of the voice sample that was sent to targets that clone a voice, relative to the folder of the run; `None`
    for none, and for a URL."""
    plan_sha256: str = ""
    """SHA-256 of everything that determines which requests are sent. An interrupted run can be resumed only with an
    equal plan."""

    @property
    def is_rehearsal(self) -> bool:
        """Whether a stand-in answered in place of the named services, so that the run ranks no provider.

        A stand-in is the emulator, or a server on this machine in place of a hosted service (`--base-url`). Its times
        and its speech say nothing about the service.
        """
        # One stand-in is enough: the targets of a run are ranked together.
        return self.provenance is not Provenance.LIVE or any(map(self._is_answered_by_stand_in, self.targets))

    @property
    def rehearsal_mark(self) -> str:
        """The word that marks everything measured in a rehearsal: "EMULATED" or "REHEARSAL"; empty for any other run.

        "REHEARSAL": a server on this machine answered in place of a hosted service.
        """
        if not self.is_rehearsal:
            return ""
        return "REHEARSAL" if self.provenance is Provenance.LIVE else self.provenance.upper()

    @property
    def rehearsal_label(self) -> str:
        """`rehearsal_mark`, and the injected faults in brackets; empty if the run is not a rehearsal."""
        return describe_rehearsal([self])

    @property
    def quality_name(self) -> str:
        """Word for what error rates measure: "accuracy" if the target itself transcribes, else "intelligibility"."""
        return "accuracy" if self.kind == "transcription" else "intelligibility"

    def mark_heading(self, heading: str) -> str:
        """Return the heading of a column of names, with the mark of a rehearsal: "Target (EMULATED)"."""
        return f"{heading} ({self.rehearsal_mark})" if self.is_rehearsal else heading

    def _is_answered_by_stand_in(self, target: MeasuredTarget) -> bool:
        provider = target.id.partition("/")[0]
        urls = [url for server, url in self.base_urls.items() if server.partition("/")[0] == provider]
        return not target.is_self_hosted and any(is_loopback(urlsplit(url).hostname or "") for url in urls)


def describe_rehearsal(manifests: Sequence[Manifest]) -> str:
    """Return the marks of the rehearsals among `manifests`, with the faults that were injected into any of them.

    Examples: "EMULATED", "EMULATED (faults injected: slow, wrong-charge)". The text is empty if no run is a rehearsal.
    """
    marks = dict.fromkeys(one.rehearsal_mark for one in manifests if one.is_rehearsal)
    faults = dict.fromkeys(fault for one in manifests if one.is_rehearsal for fault in one.fault_ids)
    return " and ".join(marks) + (f" (faults injected: {', '.join(faults)})" if faults else "")


class ReferenceSpeechErrors(Record, frozen=True, kw_only=True):
    """The ASR engine's own errors on clean reference speech, which speaks the suite's texts in one language."""

    language: str
    unit: str
    """The unit in which errors are counted: `word` or `character`."""
    reference_unit_count: Count
    """Number of units in the reference texts."""
    error_count: Count
    """Number of errors in the engine's transcripts of the reference speech."""
    text_count: Count
    """Number of texts for which there is reference speech."""


MAX_UNKNOWN_WORD_SHARE = 0.05
"""Largest share of unknown words in the texts with which the error rates of an ASR engine still have a meaning."""
_ADVICE_AGAINST_INTERPRETATION = "do not interpret these error rates"
"""What tables and pages say of error rates that tell more about the ASR engine than about the speech."""


class KnownWords(Record, frozen=True, kw_only=True):
    """How many words of the texts an ASR engine with a closed vocabulary knows."""

    word_count: Count
    """Number of words in the texts, each text once."""
    unknown_word_count: Count
    """Number of these words that the engine does not know, and therefore never recognizes."""

    @property
    def has_few_unknown_words(self) -> bool:
        """Whether at most `MAX_UNKNOWN_WORD_SHARE` of the words are unknown."""
        return self.unknown_word_count <= MAX_UNKNOWN_WORD_SHARE * self.word_count

    def __str__(self) -> str:
        """Return the numbers in words, with their consequence for error rates."""
        if not self.word_count:
            return "no words were scored"
        if self.unknown_word_count:
            unknown = f"{self.unknown_word_count} of {self.word_count} words unknown"
            consequence = (
                ", each of which counts as an error"
                if self.has_few_unknown_words
                else f": {_ADVICE_AGAINST_INTERPRETATION}"
            )
            return unknown + consequence
        return f"all {self.word_count} words known: lower error rates than with an ASR engine that knows every word"


class ScoringMethod(Record, frozen=True, kw_only=True):
    """How the errors of a run were counted; an error rate is meaningless without it."""

    asr: str
    """The ASR engine, its model and the hash of the model's weights, such as "whisper:base.en@ed3a0b6b"."""
    asr_reason: str
    """Why this ASR engine was selected, in words."""
    normalizer: str
    """Name and version of the normalizer, such as "whisper-english/1"."""
    settings: dict[str, str] = {}
    """Engine settings and library versions that can change a transcript or an error count."""
    unsupported_languages: tuple[str, ...] = ()
    """Languages that the engine does not support; their samples have no score."""
    has_closed_vocabulary: bool = False
    """Whether the ASR engine knows only a list of words. Its error rates are then too low for texts that consist of
    these, and meaningless for texts with many others."""
    known_words: KnownWords | None = None
    """For a closed vocabulary: how many words of the texts the engine knows; `None` for other engines."""
    reference_speech_errors: tuple[ReferenceSpeechErrors, ...] = ()
    """The ASR engine's own errors on clean reference speech, for each language that was measured."""

    @property
    def is_interpretable(self) -> bool:
        """Whether error rates say something about targets. They do not if the engine lacks many words of the texts."""
        return self.known_words is None or self.known_words.has_few_unknown_words


class ListeningSet(Record, frozen=True, kw_only=True):
    """What listening to the audio of a run has shown, by one method."""

    method: str
    """The method with its version and the hash of its weights, such as "listening/1 phonemes@1a2b3c4d". Verdicts of
    different methods are not compared."""
    verdicts: tuple[ListeningVerdict, ...] = ()
    """One verdict for each sample with audio, except warm-up samples and failed samples."""


class QualitySet(Record, frozen=True, kw_only=True):
    """Predicted ratings of the samples of a run, by one method."""

    method: str
    """The method with its version and the start of the hash of its models, such as "dnsmos/1@40e47248"."""
    predictions: tuple[QualityPrediction, ...] = ()
    """One prediction for each sample with audio that can be decoded, except warm-up samples and failed samples."""


class OtherSpeaker(Record, frozen=True, kw_only=True):
    """A speaker of the same texts, other than that of the voice sample: the lower end of the similarity scale."""

    name: str
    """A target that does not clone a voice, or a voice of espeak-ng, such as "espeak-ng f4"."""
    cosine: Number
    """Mean cosine of the speaker's clips and the voice sample."""


class VoiceSet(Record, frozen=True, kw_only=True):
    """The voices of the samples of a run, as one encoder describes them."""

    method: str
    """The encoder with its version and the start of the hash of its weights, such as "ge2e/1@1a2b3c4d"."""
    voices: tuple[MeasuredVoice, ...] = ()
    """One voice for each sample with enough speech, except warm-up samples and failed samples."""
    sample_cosines: tuple[Number, ...] = ()
    """Cosine between each part of the voice sample and the rest of the sample. The mean of these is 1 on the similarity
    scale."""
    other_speakers: tuple[OtherSpeaker, ...] = ()
    """Other speakers of the same texts. The mean of their cosines is 0 on the similarity scale."""
    note: str = ""
    """Why there is no similarity scale, so that no similarity is stated; empty if there is a scale."""


class ScoreSet(ScoringMethod, frozen=True, kw_only=True):
    """Scores of one run that were computed with one ASR engine and one normalizer."""

    scores: tuple[Score, ...] = ()


class Run(Record, frozen=True, kw_only=True):
    """A benchmark run: manifest, samples and score sets."""

    manifest: Manifest
    samples: tuple[Sample, ...]
    score_sets: tuple[ScoreSet, ...] = ()
    """The score sets, oldest first; reports show the last one."""
    listening: ListeningSet | None = None
    """Whether the audio says its texts; `None` if that was not judged."""
    predicted_quality: QualitySet | None = None
    """How listeners would rate the audio; `None` if it was not predicted."""
    voices: VoiceSet | None = None
    """The voices of the samples, and how similar they are to the voice sample; `None` if they were not compared."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """The requests whose price counts as spent although their result is unknown or was not saved, oldest first."""
    open_jobs: tuple[OpenJob, ...] = ()
    """The jobs that were paid for and may still succeed."""
    ramp: RampResult | None = None
    """Result of `--ramp`; `None` for a run without it."""

    def __repr__(self) -> str:
        # A notebook would show each of thousands of samples with all of its fields.
        targets = len({sample.target for sample in self.samples})
        return f"<Run {self.manifest.run_id!r}: {len(self.samples)} samples of {targets} targets>"

    def select_counted_samples(self) -> tuple[Sample, ...]:
        """Return the samples that results are computed from: all but warm-up and lost ones, failed ones included.

        For a ramp, only samples at the highest load that met the goal are returned. If no load met the goal, or if no
        sample is known to be from that load, the samples of all loads are returned.
        """
        measured = tuple(sample for sample in self.samples if sample.is_counted)
        best_steps = self.ramp.best_step_numbers if self.ramp is not None else frozenset[int]()
        return tuple(sample for sample in measured if sample.ramp_step in best_steps) or measured

    def select_lost_samples(self) -> tuple[Sample, ...]:
        """Return the samples that were sent, but have no saved result, except warm-up samples.

        For a ramp, only those at the loads of `select_counted_samples` are returned.
        """
        lost = tuple(sample for sample in self.samples if not sample.is_warmup and not sample.is_counted)
        if self.ramp is None:
            return lost
        # As many of the lost samples as belong to the counted ones: a lost sample of another load says nothing about
        # these.
        steps = {sample.ramp_step for sample in self.select_counted_samples()}
        return tuple(sample for sample in lost if sample.ramp_step in steps)

    def measure_duration_s(self) -> float | None:
        """Return the time from the first counted request to the end of the last one, in seconds; `None` without any."""
        starts_s, ends_s = [], []
        for one in self.select_counted_samples():
            starts_s.append(datetime.fromisoformat(one.started_at).timestamp())
            # A failed request without times counts with its start.
            latency_ms = one.latency.total_latency_ms if one.latency is not None else None
            ends_s.append(starts_s[-1] + (latency_ms or 0.0) / 1000)
        return max(ends_s) - min(starts_s) if starts_s else None

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
        loads = sorted({step.load for step in ramp.steps})
        return f"{format_load(ramp.load_type, *loads)}{', mixed' if len(loads) > 1 else ''}"

    def describe_counted_ramp_samples(self) -> str:
        """Return a sentence that says which requests of a ramp the results are computed from; empty without a ramp."""
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
        verdict_by_id = {one.sample_id: one for one in self.listening.verdicts} if self.listening is not None else {}
        voice_by_id = {one.sample_id: one for one in self.voices.voices} if self.voices is not None else {}
        rated = self.predicted_quality.predictions if self.predicted_quality is not None else ()
        rating_by_id = {one.sample_id: one for one in rated}
        score_by_id = {score.sample_id: score for score in scores.scores} if scores is not None else {}
        for sample in self.samples:
            yield SampleRow(
                run_id=manifest.run_id,
                provenance=manifest.provenance.value,
                is_rehearsal=manifest.is_rehearsal,
                fault_ids=" ".join(manifest.fault_ids),
                region=manifest.region,
                suite=f"{manifest.suite.id}@{manifest.suite.version}",
                sample=sample,
                asr=scores.asr if scores is not None else None,
                score=score_by_id.get(sample.id),
                listening=verdict_by_id.get(sample.id),
                predicted_quality=rating_by_id.get(sample.id),
                voice=voice_by_id.get(sample.id),
            )

    def to_data_frame(self) -> pd.DataFrame:
        """Return a pandas data frame with one row per sample, also for failed ones.

        The columns are those of CSV and Parquet files (docs/samples.md). Types are nullable and do not depend on the
        values: Int64, Float64, boolean, string, and times in UTC.

        Raises:
            MissingExtraError: the extra `data` is not installed.
        """
        return build_data_frame(self.iterate_sample_rows())
