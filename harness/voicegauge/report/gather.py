"""What a report says, gathered from saved runs into plain records.

Everything that is shown is here: the page, the JSON and the Markdown print the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from voicegauge.bench.analysis import TEXT_LENGTH, TargetSummary, summarize
from voicegauge.errors import DataError
from voicegauge.model import AsrErrorFloor, FailureKind, Manifest, Provenance, Record, Run, ScoreSet
from voicegauge.report.clips import CLIPS, WorstClip, worst_clips
from voicegauge.report.text import shorten
from voicegauge.version import __version__

MESSAGE_LENGTH = 300
"""Characters kept of a failure's message: a provider may send a whole HTML page."""


class ScoringInfo(Record, frozen=True, kw_only=True):
    """What counted the errors: without it a WER means nothing."""

    asr: str
    """Engine, model and the hash of its weights."""
    reason: str
    """Why this engine was taken."""
    normalizer: str
    settings: dict[str, str]
    closed_vocabulary: bool
    """The engine knows few words, among them those of the bundled suites, so its error is flattering."""
    floor: tuple[AsrErrorFloor, ...]
    """The engine's own error on reference speech, by language."""
    left_out: tuple[str, ...]
    """Languages that the engine does not know: their samples have no error rate."""
    others: tuple[str, ...]
    """ASRs that scored this run earlier; their scores are in the run's file."""


class FailureGroup(Record, frozen=True, kw_only=True):
    """Failures of one target that say the same."""

    target: str
    kind: FailureKind
    status: int | None
    """The HTTP status, where one said so."""
    message: str
    count: int


class RunReport(Record, frozen=True, kw_only=True):
    """One run: what was measured, how it was judged and what came out."""

    manifest: Manifest
    scoring: ScoringInfo | None
    """`None` where nothing was scored."""
    targets: tuple[TargetSummary, ...]
    """In the manifest's order; warm-up is left out."""
    failures: tuple[FailureGroup, ...]
    """The most frequent first."""
    worst: tuple[WorstClip, ...]
    """The highest error rates first, a few of each target."""


class Report(Record, frozen=True, kw_only=True):
    """One or several runs side by side."""

    schema: str = "voicegauge/report/2"
    voicegauge: str
    """Version that gathered the report; each run names the one that measured it."""
    characters: int
    """Text length at which prices for a million characters are stated."""
    runs: tuple[RunReport, ...]

    @property
    def emulated(self) -> bool:
        """Whether any of the numbers come from the emulator."""
        return any(run.manifest.provenance is not Provenance.RECORDED for run in self.runs)


def gather(runs: Sequence[tuple[Path, Run]], *, characters: int = TEXT_LENGTH, clips: int = CLIPS) -> Report:
    """Gather what `runs`, each with its folder, say.

    Args:
        runs: each with the folder that its audio lies in.
        characters: text length at which prices are stated.
        clips: how many of the worst are shown of each run.

    Raises:
        DataError: there are no runs, or the scores of one lack a sample.
    """
    if not runs:
        raise DataError("there is no run to report: name a run's folder or its run.json")
    gathered = tuple(_run(run, characters, clips) for _, run in runs)
    return Report(voicegauge=__version__, characters=characters, runs=gathered)


def latest_scores(run: Run) -> ScoreSet | None:
    """The score set that counts: the last one made; `None` where nothing was scored."""
    return run.score_sets[-1] if run.score_sets else None


def _run(run: Run, characters: int, clips: int) -> RunReport:
    scores = latest_scores(run)
    return RunReport(
        manifest=run.manifest,
        scoring=_judge(run, scores) if scores else None,
        targets=summarize(run, scores, characters=characters),
        failures=_failures(run),
        worst=worst_clips(run.samples, scores.scores, limit=clips) if scores else (),
    )


def _judge(run: Run, scores: ScoreSet) -> ScoringInfo:
    return ScoringInfo(
        asr=scores.asr,
        reason=scores.asr_reason,
        normalizer=scores.normalizer,
        settings=scores.settings,
        closed_vocabulary=scores.closed_vocabulary,
        floor=scores.floor,
        left_out=scores.left_out,
        others=tuple(other.asr for other in run.score_sets[:-1]),
    )


def _failures(run: Run) -> tuple[FailureGroup, ...]:
    counts = Counter(
        (s.target, s.failure.kind, s.failure.status, shorten(s.failure.message, MESSAGE_LENGTH))
        for s in run.samples
        if s.failure and not s.warmup
    )
    return tuple(
        FailureGroup(target=target, kind=kind, status=status, message=message, count=count)
        for (target, kind, status, message), count in counts.most_common()
    )
