"""Records of a saved benchmark run: its manifest, samples and score sets."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Provenance, Record
from voicegauge.model.billing import AmbiguousRequest, OpenJob
from voicegauge.model.sample import Sample, Score

RUN_SCHEMA_VERSION = 3
"""Format of run.json; raised when a key is renamed or its meaning changes."""

RunKind = Literal["speech", "transcription", "conversion"]
"""What the targets of a run do: synthesize texts, transcribe audio, or convert audio into other audio."""


class SuiteRef(Record, frozen=True, kw_only=True):
    """The suite that a run measured."""

    id: str
    version: int
    sha256: str
    """SHA-256 of the suite file; runs with different digests are not comparable."""
    texts: int
    """Number of texts after --language, --category and --limit."""


class AmountPerUnit(Record, frozen=True, kw_only=True):
    """A price for one unit of a request, in dollars or in the provider's credits."""

    amount: float
    unit: Literal["request", "character", "minute"]
    """`minute` is a minute of audio."""


class TargetPrice(Record, frozen=True, kw_only=True):
    """The price of a target as its contract documented it, or as the user gave it with --price."""

    description: str
    """Human-readable, such as "$0.015 / request"."""
    usd: AmountPerUnit | None = None
    """`None` where no document states a price in dollars."""
    credits: AmountPerUnit | None = None
    """`None` where no document states a price in credits."""
    disputed: bool = False
    """The documents contradict each other about the price."""
    sources: tuple[str, ...] = ()
    """Titles and dates of the documents that state the price."""


class TargetRef(Record, frozen=True, kw_only=True):
    """A measured target, with what its contract stated at the time of the run."""

    id: str
    title: str
    contract_version: str
    contract_sha256: str
    price: TargetPrice
    max_characters: int | None = None
    """Longest text of one request; `None` where no document states a limit."""
    languages: tuple[str, ...] = ()
    """Empty where no document lists the languages."""


class Manifest(Record, frozen=True, kw_only=True):
    """Everything needed to interpret a run or to repeat it."""

    schema_version: int
    run_id: str
    created_at: str
    """UTC, ISO 8601."""
    finished: bool
    """`False` for a run that was interrupted or stopped: the same command continues it."""
    voicegauge: str
    """Version of voicegauge that measured the run."""
    provenance: Provenance
    """`emulated` or `recorded`."""
    suite: SuiteRef
    kind: RunKind = "speech"
    targets: tuple[TargetRef, ...]
    sessions: int
    repetitions: int
    warmup: int
    """Warm-up requests per target and session; they are left out of every result."""
    concurrency: int
    """Upper limit of requests in flight."""
    seed: int
    base_urls: dict[str, str] = {}
    """Base URLs set by the user, by "<provider>" or "<provider>/<server>"."""
    environment: dict[str, str] = {}
    """Python, platform, processor and library versions."""
    max_cost_usd: float | None = None
    """The budget; `None` for an emulated run."""
    spent_usd: float = 0.0
    """Everything that was or may have been charged, open jobs and ambiguous requests included."""
    plan_sha256: str = ""
    """SHA-256 over everything that decides what is sent; an interrupted run is resumed by an equal plan only."""


class AsrErrorFloor(Record, frozen=True, kw_only=True):
    """The ASR engine's own errors on clean reference speech of the suite's texts, for one language."""

    language: str
    unit: str
    """`word` or `character`."""
    units: int
    """Units in the reference texts."""
    errors: int
    texts: int


class ScoreSet(Record, frozen=True, kw_only=True):
    """Scores of one run by one ASR engine and normalizer."""

    asr: str
    """Engine, model and hash of its weights, such as "whisper:base.en@ed3a0b6b"."""
    asr_reason: str
    """Why this engine was selected."""
    normalizer: str
    """Name and version, such as "whisper-english/1"."""
    settings: dict[str, str] = {}
    """Engine settings and library versions that can change a transcript or an error count."""
    left_out: tuple[str, ...] = ()
    """Languages that the engine does not support; their samples have no score."""
    closed_vocabulary: bool = False
    """Small-vocabulary ASR made for the bundled suites: its error rates are too low, and useless for other texts."""
    scores: tuple[Score, ...] = ()
    floor: tuple[AsrErrorFloor, ...] = ()


class Run(Record, frozen=True, kw_only=True):
    """A benchmark run: manifest, samples and score sets."""

    manifest: Manifest
    samples: tuple[Sample, ...]
    score_sets: tuple[ScoreSet, ...] = ()
    """Oldest first; the last one is shown."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """The requests that count as spent although nothing is known, or saved, of their result; by sample id."""
    open_jobs: tuple[OpenJob, ...] = ()
    """The jobs that were paid for and may still succeed; by sample id."""
