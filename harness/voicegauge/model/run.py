"""A finished (or interrupted) benchmark: what was planned, where it ran, what came out."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Provenance, Record
from voicegauge.model.sample import Sample, Score

RUN_SCHEMA_VERSION = 2
"""Raised when the meaning or the shape of a saved run changes."""


class SuiteRef(Record, frozen=True, kw_only=True):
    """Which texts were spoken."""

    id: str
    version: int
    sha256: str
    """Over the suite file's content: another digest is not comparable."""
    texts: int


RunKind = Literal["speech", "transcription", "conversion"]
"""What the targets of a run do: speak texts, write down speech of them, or make other audio of it."""


class TargetRef(Record, frozen=True, kw_only=True):
    """Which target was measured, as the contract had it on that day."""

    id: str
    title: str
    contract_version: str
    contract_sha256: str
    price: str
    """In words, such as "$0.015 / request (pixazo-xtts-v2.txt)"."""
    usd_per_request: float | None = None
    usd_per_character: float | None = None
    usd_per_minute: float | None = None
    credits_per_request: float | None = None
    credits_per_character: float | None = None
    credits_per_minute: float | None = None
    price_disputed: bool = False
    price_sources: tuple[str, ...] = ()
    """Titles and dates of the documents that state the price; empty where none does."""
    max_characters: int | None = None
    """The longest text of one request; `None` where no document says."""
    languages: tuple[str, ...] = ()
    """Empty where the document names none."""


class Manifest(Record, frozen=True, kw_only=True):
    """All that a reader needs to judge a run or to repeat it."""

    schema_version: int
    run_id: str
    created_at: str
    """UTC, ISO 8601."""
    finished: bool
    voicegauge: str
    provenance: Provenance
    """`emulated` or `recorded`."""
    suite: SuiteRef
    kind: RunKind = "speech"
    targets: tuple[TargetRef, ...]
    sessions: int
    repetitions: int
    warmup: int
    concurrency: int
    seed: int
    base_urls: dict[str, str] = {}
    """By "<provider>" or "<provider>/<server>", where the user pointed elsewhere."""
    environment: dict[str, str] = {}
    """Python, platform, processor, versions of the libraries that matter."""
    max_cost_usd: float | None = None
    spent_usd: float = 0.0
    plan_sha256: str = ""
    """Over everything that decides what is sent: an equal digest may resume this run."""


class AsrErrorFloor(Record, frozen=True, kw_only=True):
    """The engine's own error on reference speech of the same texts, by language."""

    language: str
    unit: str
    units: int
    errors: int
    texts: int


class ScoreSet(Record, frozen=True, kw_only=True):
    """Scores of one run under one pinned ASR."""

    asr: str
    """Engine, model and the hash of its weights, such as "whisper:base.en@ed3a0b6b"."""
    asr_reason: str
    """Why this engine was taken."""
    normalizer: str
    """Name and version, such as "whisper-english/1"."""
    settings: dict[str, str] = {}
    left_out: tuple[str, ...] = ()
    """Languages that the engine does not know: their samples have no score."""
    closed_vocabulary: bool = False
    """The engine knows few words, among them those of the bundled suites, so its error is flattering."""
    scores: tuple[Score, ...] = ()
    floor: tuple[AsrErrorFloor, ...] = ()


class Run(Record, frozen=True, kw_only=True):
    """Samples, their scores and the manifest."""

    manifest: Manifest
    samples: tuple[Sample, ...]
    score_sets: tuple[ScoreSet, ...] = ()
