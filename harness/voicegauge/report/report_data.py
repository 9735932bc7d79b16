"""Computes the data of a report from saved runs, after runs of several providers were joined.

A budget for each provider, or a key that arrived later, means one run for each. Runs of different targets are one
comparison if they have everything in common that influences a number, except the time: suite, load, sessions, machine,
region, places of workers, ASR engine, and how their audio was listened to. The time is named in a caution, because no
interval contains the variation between the runs.

The HTML page, the JSON and the Markdown show the same numbers, all taken from these records.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from voicegauge.bench import DEFAULT_CHARACTERS_PER_MONTH, DEFAULT_TEXT_LENGTH
from voicegauge.bench.audio_measurement import describe_damaged_audio
from voicegauge.bench.resampling import TargetDifferences
from voicegauge.bench.target_samples import PlaceSummary, list_places, measure_target_differences, summarize_places
from voicegauge.bench.target_summaries import TargetSummary, summarize_targets
from voicegauge.files import resolve_links
from voicegauge.model.base import Record
from voicegauge.model.exchange import AmbiguousRequest, ExchangeExcerpt, FailureKind, OpenJob
from voicegauge.model.ramp import RampResult
from voicegauge.model.run import (
    ListeningSet,
    Manifest,
    QualitySet,
    ReferenceSpeechErrors,
    Run,
    ScoreSet,
    ScoringMethod,
    VoiceSet,
    describe_rehearsal,
)
from voicegauge.model.sample import AudioFacts, Sample
from voicegauge.outputs.result_summary import SummaryTable, TabularResult
from voicegauge.printable_text import format_count
from voicegauge.report._ranking import Ranking, rank_targets
from voicegauge.report._verdict import MeasuredRun, RunVerdict, build_run_verdict, describe_insufficient_asr_accuracy
from voicegauge.report.scored_clips import (
    DEFAULT_MAX_CLIPS,
    ScoredClip,
    WrongClip,
    select_random_clips,
    select_worst_clips,
    select_wrong_clips,
)
from voicegauge.report.text_format import format_target_names, shorten_to_one_line
from voicegauge.version import __version__


def _collect_scoring_facts(run: Run) -> tuple[Any, ...] | None:
    """Return what influences the error rates of a run; `None` if it is not scored."""
    if not run.score_sets:
        return None
    scores = run.score_sets[-1]
    return scores.asr, scores.normalizer, scores.settings, scores.known_words, scores.unsupported_languages


_GETTER_BY_FACT: dict[str, Callable[[Run], Any]] = {
    "kind of target": lambda run: run.manifest.kind,
    "suite": lambda run: run.manifest.suite.sha256,
    "texts": lambda run: frozenset((one.text_id, one.language) for one in run.samples if one.is_counted),
    "load": lambda run: run.describe_load(),
    "sessions and repetitions": lambda run: (run.manifest.sessions, run.manifest.repetitions),
    "warm-up requests": lambda run: run.manifest.warmup_request_count,
    "HTTP version": lambda run: run.manifest.uses_http2,
    "how text is sent": lambda run: run.manifest.text_pacing,
    "provenance": lambda run: (run.manifest.provenance, describe_rehearsal([run.manifest])),
    "machine": lambda run: run.manifest.environment,
    "region": lambda run: run.manifest.region,
    "places": list_places,
    "ASR engine": _collect_scoring_facts,
    "how audio was listened to": lambda run: run.listening.method if run.listening is not None else None,
}
"""Functions that return the facts in which runs must be equal to be joined, by the name of the fact."""


class JoinedRun(NamedTuple):
    """Runs that were joined into one."""

    folder: Path
    """The folder to which the paths of audio files are relative."""
    run: Run
    caution: str
    """A sentence that says that the targets were measured at different times."""
    duration_s: float
    """How long the counted requests of all runs took together, without the time between the runs."""


def join_runs(runs: Sequence[tuple[Path, Run]]) -> JoinedRun | None:
    """Join runs of different targets into one; `None` if they cannot be joined.

    That is so for a single run, for runs that share a target or the id of a sample or that differ in a fact of
    `_GETTER_BY_FACT`, and for runs with a ramp or an early stop.

    Args:
        runs: each run with its folder.
    """
    found = [run for _, run in runs]
    names = [target.id for run in found for target in run.manifest.targets]
    ids = [sample.id for run in found for sample in run.samples]
    # Targets are found by name, and samples by id: two of the same would count as one.
    if len(found) < 2 or len(set(names)) < len(names) or len(set(ids)) < len(ids):
        return None
    # Their numbers are of a load, or of a number of samples, that each run has chosen for itself.
    if any(run.ramp is not None or run.manifest.ramp_load_type or run.manifest.early_stop for run in found):
        return None
    if list_differing_facts_of_runs(found):
        return None
    # Above the folders of all runs, because a path of an audio file must not lead upwards.
    folder = Path(os.path.commonpath([path.resolve() for path, _ in runs]))
    samples = chain.from_iterable(_move_audio_paths(run.samples, path, folder) for path, run in runs)
    run = Run(
        manifest=_join_manifests([run.manifest for run in found]),
        samples=tuple(samples),
        score_sets=_join_score_sets([run.score_sets[-1] for run in found]) if found[0].score_sets else (),
        listening=_join_listening_sets([run.listening for run in found if run.listening is not None]),
        predicted_quality=_join_quality_sets([run.predicted_quality for run in found]),
        voices=_join_voice_sets([run.voices for run in found if run.voices is not None]),
        ambiguous_requests=tuple(chain.from_iterable(run.ambiguous_requests for run in found)),
        open_jobs=tuple(chain.from_iterable(run.open_jobs for run in found)),
    )
    return JoinedRun(folder, run, _describe_start_times(found), sum(one.measure_duration_s() or 0.0 for one in found))


def list_differing_facts_of_runs(runs: Sequence[Run]) -> list[str]:
    """Return the names of the facts that differ between runs and keep them from being joined."""
    return [
        name for name, get in _GETTER_BY_FACT.items() if any(get(one) != get(other) for one, other in pairwise(runs))
    ]


def _move_audio_paths(samples: Sequence[Sample], old_folder: Path, new_folder: Path) -> list[Sample]:
    """Return samples with the paths of their audio relative to `new_folder`, which contains `old_folder`.

    A path that leads out of `old_folder` becomes empty, because it may name a file in `new_folder` that is not the
    audio of the run.
    """
    old_folder = old_folder.resolve()
    prefix = old_folder.relative_to(new_folder)

    def move_to_new_folder(audio_facts: AudioFacts) -> AudioFacts:
        is_outside = not resolve_links(old_folder / audio_facts.file_path).is_relative_to(old_folder)
        new_path = "" if is_outside else (prefix / audio_facts.file_path).as_posix()
        return msgspec.structs.replace(audio_facts, file_path=new_path)

    return [
        one if one.audio is None else msgspec.structs.replace(one, audio=move_to_new_folder(one.audio))
        for one in samples
    ]


def _join_manifests(manifests: Sequence[Manifest]) -> Manifest:
    # The largest error, and none if a run has none, because an error must not be stated as smaller than it was.
    errors = [one.timing_error for one in manifests if one.timing_error is not None]
    budgets = [one.max_cost_usd for one in manifests if one.max_cost_usd is not None]
    return msgspec.structs.replace(
        min(manifests, key=lambda one: one.created_at),
        run_id=" + ".join(one.run_id for one in manifests),
        is_finished=all(one.is_finished for one in manifests),
        targets=tuple(chain.from_iterable(one.targets for one in manifests)),
        timing_error=max(errors, key=lambda one: one.p99_error_ms) if len(errors) == len(manifests) else None,
        workers=tuple(sorted(chain.from_iterable(one.workers for one in manifests), key=lambda worker: worker.name)),
        base_urls=dict(chain.from_iterable(one.base_urls.items() for one in manifests)),
        max_cost_usd=sum(budgets) if len(budgets) == len(manifests) else None,
        spent_usd=sum(one.spent_usd for one in manifests),
        # The runs had a plan each, and nothing continues what is joined here only to be shown.
        plan_sha256="",
    )


def _join_score_sets(score_sets: Sequence[ScoreSet]) -> tuple[ScoreSet, ...]:
    # Reversed, so that the first run with a language counts: all runs have the same engine and texts.
    errors_by_language: dict[str, ReferenceSpeechErrors] = {
        counted.language: counted for one in reversed(score_sets) for counted in one.reference_speech_errors
    }
    scores = tuple(chain.from_iterable(one.scores for one in score_sets))
    return (
        msgspec.structs.replace(
            score_sets[0], scores=scores, reference_speech_errors=tuple(errors_by_language.values())
        ),
    )


def _join_listening_sets(listening_sets: Sequence[ListeningSet]) -> ListeningSet | None:
    if not listening_sets:
        return None
    verdicts = tuple(chain.from_iterable(one.verdicts for one in listening_sets))
    return msgspec.structs.replace(listening_sets[0], verdicts=verdicts)


def _join_quality_sets(quality_sets: Sequence[QualitySet | None]) -> QualitySet | None:
    """Return the predictions of all runs; `None` if some have none (`None`), or others by another method."""
    known_sets = [one for one in quality_sets if one is not None]
    if len(known_sets) < len(quality_sets) or len({one.method for one in known_sets}) != 1:
        return None
    predictions = tuple(chain.from_iterable(one.predictions for one in known_sets))
    return msgspec.structs.replace(known_sets[0], predictions=predictions)


def _join_voice_sets(voice_sets: Sequence[VoiceSet]) -> VoiceSet | None:
    """Return the voices of all runs that have any; `None` if none has, or if their encoders or their notes differ.

    Each similarity stays on the scale of its own run. Of the other speakers, those of the run with the fewest are kept.
    """
    if len({(one.method, one.note) for one in voice_sets}) != 1:
        return None
    fewest = min(voice_sets, key=lambda one: len(one.other_speakers))
    return msgspec.structs.replace(fewest, voices=tuple(chain.from_iterable(one.voices for one in voice_sets)))


def _describe_start_times(runs: Sequence[Run]) -> str:
    times_and_targets = (
        (run.manifest.created_at[:16].replace("T", " "), [target.id for target in run.manifest.targets])
        for run in sorted(runs, key=lambda run: run.manifest.created_at)
    )
    times = "; ".join(f"{time}: {format_target_names(ids, ids[0])}" for time, ids in times_and_targets)
    return (
        f"Measured in {len(runs)} runs at different times (UTC, {times}). A service is faster or slower for hours: no "
        "interval contains that, and a difference between targets of two runs may be one between two times."
    )


MAX_FAILURE_MESSAGE_CHARACTERS = 300
"""Number of characters that are kept of a failure message, because a provider may send a whole HTML page."""


class FailureGroup(Record, frozen=True, kw_only=True):
    """Failures of one target with the same kind, status and message."""

    target: str
    kind: FailureKind
    http_status: int | None
    """The HTTP status; `None` for a failure without a response."""
    message: str
    """The failure message, shortened."""
    count: int
    """Number of failures in the group."""
    example_exchange: ExchangeExcerpt | None = None
    """One exchange that failed with this kind and status. Of several groups with this kind and status, only the group
    with the most frequent failure message has one; `None` also if no exchange was saved, as for a broken connection."""


class RunReport(Record, frozen=True, kw_only=True):
    """Results of one run."""

    manifest: Manifest
    scoring: ScoringMethod | None
    """How the errors were counted; `None` if nothing was scored."""
    earlier_asr_engines: tuple[str, ...]
    """ASR engines with which this run was scored earlier; their scores are in the run's file."""
    load: str
    """Load under which the samples of `targets` were sent, such as "16 requests in flight"; of a ramp, the highest load
    that met the goal."""
    targets: tuple[TargetSummary, ...]
    """Summaries of the targets in the order of the manifest, without warm-up."""
    failure_groups: tuple[FailureGroup, ...]
    """Groups of failures, most frequent first. For a ramp, they include the failures under all of its loads."""
    worst_clips: tuple[ScoredClip, ...]
    """The clips with the highest error rates, worst first; a few per target."""
    wrong_clips: tuple[WrongClip, ...] = ()
    """Clips whose audio is wrong or in doubt, a few per target."""
    listening_method: str | None = None
    """How the audio was judged; `None` if nobody listened to it."""
    random_clips: tuple[ScoredClip, ...]
    """One clip of each target that was not chosen for its errors; the same text for all targets where possible."""
    verdict: RunVerdict
    """Statements about the numbers, in words."""
    damaged_audio: str = ""
    """Says which audio files are missing or have changed since they were measured; empty if none."""
    ranking: Ranking
    """The targets by weighted points for speed, intelligibility and price; without targets for a rehearsal
    (`Manifest.is_rehearsal`)."""
    has_uneven_languages: bool
    """Whether the scored targets were measured in different languages and therefore with different texts."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests whose price counts as spent although their result is unknown or was not saved."""
    open_jobs: tuple[OpenJob, ...] = ()
    """The jobs that were paid for and may still succeed."""
    ramp: RampResult | None = None
    """Result of `--ramp`; `None` for a run without it."""
    places: tuple[PlaceSummary, ...] = ()
    """Times of each target from each place; empty if one machine sent all requests."""


class BenchReport(TabularResult, frozen=True, kw_only=True):
    """Results of one or more runs side by side."""

    schema: str = "voicegauge/report/3"
    rehearsal_label: str = ""
    """"EMULATED" or "REHEARSAL" (a server on this machine answered for a hosted service), with the injected faults, if
    that is so for any of the runs: then no number of such a run describes a provider. Otherwise empty."""
    voicegauge_version: str
    """Version of voicegauge that wrote the report; each run's manifest has the version that measured the run."""
    text_length: int
    """Number of characters of the text for which prices per million characters are stated."""
    characters_per_month: int
    """Number of characters of the month for which prices are stated, with the cheapest account plan for them."""
    runs: tuple[RunReport, ...]

    def build_table(self) -> SummaryTable:
        """Return a table of the results, with a row for each target of each run."""
        rows = [
            (
                run.manifest.run_id,
                one.target,
                f"{one.sample_count - one.failure_count} of {one.requested_count}",
                "" if one.total_latency_ms is None else f"{one.total_latency_ms.value:,.0f}",
                "" if one.wer is None else f"{one.wer.corpus_rate.value:.1%}",
                run.load,
            )
            for run in self.runs
            for one in run.targets
        ]
        counts = f"{format_count(len(self.runs), 'run')}, {format_count(len(rows), 'target')}"
        return SummaryTable(
            title=f"{self.rehearsal_label}: {counts}" if self.rehearsal_label else counts,
            headings=("run", "target", "delivered", "total latency, median (ms)", "WER", "load"),
            rows=tuple(rows),
        )


class AnalyzedRuns(NamedTuple):
    """Saved runs, and what was computed from them."""

    runs: Sequence[tuple[Path, Run]]
    """Each run with its folder."""
    report: BenchReport
    differences: Sequence[TargetDifferences]
    """The differences between the targets of each run, from which the page computes its rankings."""

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def __repr__(self) -> str:
        return f"<AnalyzedRuns: {self.report!r}>"


def analyze_runs(
    runs: Sequence[tuple[Path, Run]],
    *,
    text_length: int = DEFAULT_TEXT_LENGTH,
    characters_per_month: int = DEFAULT_CHARACTERS_PER_MONTH,
    max_clips: int = DEFAULT_MAX_CLIPS,
) -> AnalyzedRuns:
    """Compute the data of a report. Runs of different targets that were measured alike are joined into one.

    Args:
        runs: each run with its folder; at least one.
        text_length: text length at which prices are stated.
        characters_per_month: number of characters of a month at which prices are stated.
        max_clips: number of the worst clips of each run.

    Raises:
        DataError: a run's scores do not contain every sample.
    """
    joined = join_runs(runs)
    if joined is not None:
        runs = [(joined.folder, joined.run)]
    differences = [measure_target_differences(run, find_latest_scores(run)) for _, run in runs]
    report = BenchReport(
        voicegauge_version=__version__,
        text_length=text_length,
        characters_per_month=characters_per_month,
        rehearsal_label=describe_rehearsal([run.manifest for _, run in runs]),
        runs=tuple(
            _summarize_run(
                folder,
                run,
                compared,
                text_length,
                characters_per_month,
                max_clips=max_clips,
                # From the first to the last request of joined runs, the time between the runs would count, too.
                duration_s=run.measure_duration_s() if joined is None else joined.duration_s,
            )
            for (folder, run), compared in zip(runs, differences, strict=True)
        ),
    )
    if joined is not None:
        (run,) = report.runs
        verdict = msgspec.structs.replace(run.verdict, cautions=(joined.caution, *run.verdict.cautions))
        report = msgspec.structs.replace(report, runs=(msgspec.structs.replace(run, verdict=verdict),))
    return AnalyzedRuns(runs, report, differences)


def find_latest_scores(run: Run) -> ScoreSet | None:
    """Return the latest score set, which is the one that is reported; `None` if nothing was scored."""
    return run.score_sets[-1] if run.score_sets else None


def _summarize_run(
    folder: Path,
    run: Run,
    differences: TargetDifferences,
    text_length: int,
    characters_per_month: int,
    *,
    max_clips: int,
    duration_s: float | None,
) -> RunReport:
    scores = find_latest_scores(run)
    worst = select_worst_clips(run.samples, scores.scores, max_clips=max_clips) if scores else ()
    targets = summarize_targets(
        run, scores, text_length=text_length, characters_per_month=characters_per_month, differences=differences
    )
    measured = MeasuredRun(
        run.manifest,
        scores,
        targets,
        differences,
        duration_s=duration_s,
        damaged_audio=describe_damaged_audio(folder, run.samples),
        ramp_result=run.ramp.describe() if run.ramp is not None else "",
        ramp_samples_note=run.describe_counted_ramp_samples(),
    )
    ranking = rank_targets(
        () if run.manifest.is_rehearsal else targets,
        differences,
        has_comparable_errors=not measured.has_uneven_languages and measured.has_interpretable_errors,
        has_tied_errors=bool(describe_insufficient_asr_accuracy(measured)),
        quality_name=run.manifest.quality_name,
    )
    return RunReport(
        manifest=run.manifest,
        scoring=msgspec.convert(scores, ScoringMethod, from_attributes=True) if scores else None,
        earlier_asr_engines=tuple(other.asr for other in run.score_sets[:-1]),
        load=run.describe_load(),
        targets=targets,
        failure_groups=_group_failures(run),
        worst_clips=worst,
        wrong_clips=select_wrong_clips(run.select_counted_samples(), run.listening),
        listening_method=run.listening.method if run.listening is not None else None,
        random_clips=select_random_clips(
            run.samples, scores.scores, seed=run.manifest.seed, excluded_sample_ids={clip.sample_id for clip in worst}
        )
        if scores
        else (),
        verdict=build_run_verdict(measured, ranking.decision),
        damaged_audio=measured.damaged_audio,
        ranking=ranking,
        has_uneven_languages=measured.has_uneven_languages,
        ambiguous_requests=run.ambiguous_requests,
        open_jobs=run.open_jobs,
        ramp=run.ramp,
        places=summarize_places(run),
    )


def _group_failures(run: Run) -> tuple[FailureGroup, ...]:
    failed = [(sample, sample.failure) for sample in run.samples if sample.failure and sample.is_counted]
    counts = Counter(
        (
            sample.target,
            failure.kind,
            failure.http_status,
            shorten_to_one_line(failure.message, MAX_FAILURE_MESSAGE_CHARACTERS),
        )
        for sample, failure in failed
    )
    # Those of warm-up requests too: they have the same cause.
    exchanges = {
        (sample.target, sample.failure.kind, sample.failure.http_status): sample.failed_exchange
        for sample in run.samples
        if sample.failure and sample.failed_exchange
    }
    return tuple(
        FailureGroup(
            target=target,
            kind=kind,
            http_status=status,
            message=message,
            count=count,
            # Taken out, so that only the most frequent message of a cause shows the exchange.
            example_exchange=exchanges.pop((target, kind, status), None),
        )
        for (target, kind, status, message), count in counts.most_common()
    )
