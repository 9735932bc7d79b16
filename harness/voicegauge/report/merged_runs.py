"""Joins runs of several providers into one, so that their targets are ranked together.

A budget for each provider, or a key that arrived later, means one run for each. Runs of different targets are one
comparison if they have everything in common that influences a number, except the time: suite, load, sessions, machine,
region, places of workers, ASR engine, and how their audio was listened to. The time is named in a caution, because no
interval contains the drift between the runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from voicegauge.bench.place_summaries import list_places
from voicegauge.model.run import (
    ListeningSet,
    Manifest,
    QualitySet,
    ReferenceSpeechErrors,
    Run,
    ScoreSet,
    describe_rehearsal,
)
from voicegauge.model.sample import Sample

_GET_BY_FACT: dict[str, Callable[[Run], Any]] = {
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
    "ASR engine": lambda run: _find_scoring(run),  # noqa: PLW0108 - defined below
    "how audio was listened to": lambda run: run.listening.method if run.listening is not None else None,
}
"""What runs must have in common."""


class JoinedRun(NamedTuple):
    """Runs that were joined into one."""

    folder: Path
    """The folder to which the paths of audio files are relative."""
    run: Run
    caution: str
    """Says that the targets were measured at different times."""


def join_runs(runs: Sequence[tuple[Path, Run]]) -> JoinedRun | None:
    """Join runs of different targets into one; `None` if they have a target in common, or differ in what matters.

    Args:
        runs: each run with its folder.
    """
    found = [run for _, run in runs]
    names = [target.id for run in found for target in run.manifest.targets]
    ids = [sample.id for run in found for sample in run.samples]
    if len(found) < 2 or len(set(names)) < len(names) or len(set(ids)) < len(ids):
        return None
    if any(run.ramp is not None or run.manifest.ramp_load_type or run.manifest.early_stop for run in found):
        return None
    if list_differing_facts_of_runs(found):
        return None
    folder = Path(os.path.commonpath([path.resolve() for path, _ in runs]))
    samples = chain.from_iterable(_move_audio(run.samples, path, folder) for path, run in runs)
    run = Run(
        manifest=_join_manifests([run.manifest for run in found]),
        samples=tuple(samples),
        score_sets=_join_scores([run.score_sets[-1] for run in found]) if found[0].score_sets else (),
        listening=_join_listening([run.listening for run in found if run.listening is not None]),
        predicted_quality=_join_quality([run.predicted_quality for run in found]),
        ambiguous_requests=tuple(chain.from_iterable(run.ambiguous_requests for run in found)),
        open_jobs=tuple(chain.from_iterable(run.open_jobs for run in found)),
    )
    return JoinedRun(folder, run, _describe_times(found))


def list_differing_facts_of_runs(runs: Sequence[Run]) -> list[str]:
    """Return the names of what differs between runs, so that they cannot be joined."""
    return [name for name, get in _GET_BY_FACT.items() if any(get(one) != get(other) for one, other in pairwise(runs))]


def _find_scoring(run: Run) -> tuple[Any, ...] | None:
    """Return what influences the error rates of a run; `None` if it is not scored."""
    if not run.score_sets:
        return None
    scores = run.score_sets[-1]
    return scores.asr, scores.normalizer, scores.settings, scores.known_words, scores.unsupported_languages


def _move_audio(samples: Sequence[Sample], old_folder: Path, new_folder: Path) -> list[Sample]:
    """Return samples whose audio is named relative to a folder above that of their run."""
    prefix = old_folder.resolve().relative_to(new_folder)
    return [
        msgspec.structs.replace(
            one, audio=msgspec.structs.replace(one.audio, file_path=(prefix / one.audio.file_path).as_posix())
        )
        if one.audio is not None
        else one
        for one in samples
    ]


def _join_manifests(manifests: Sequence[Manifest]) -> Manifest:
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
        plan_sha256="",
    )


def _join_scores(score_sets: Sequence[ScoreSet]) -> tuple[ScoreSet, ...]:
    errors_by_language: dict[str, ReferenceSpeechErrors] = {
        counted.language: counted for one in reversed(score_sets) for counted in one.reference_speech_errors
    }
    scores = tuple(chain.from_iterable(one.scores for one in score_sets))
    return (
        msgspec.structs.replace(
            score_sets[0], scores=scores, reference_speech_errors=tuple(errors_by_language.values())
        ),
    )


def _join_listening(sets: Sequence[ListeningSet]) -> ListeningSet | None:
    if not sets:
        return None
    verdicts = tuple(chain.from_iterable(one.verdicts for one in sets))
    return msgspec.structs.replace(sets[0], verdicts=verdicts)


def _join_quality(sets: Sequence[QualitySet | None]) -> QualitySet | None:
    """Return the predictions of all runs; `None` if some have none, or others by another method."""
    found = [one for one in sets if one is not None]
    if len(found) < len(sets) or len({one.method for one in found}) != 1:
        return None
    predictions = tuple(chain.from_iterable(one.predictions for one in found))
    return msgspec.structs.replace(found[0], predictions=predictions)


def _describe_times(runs: Sequence[Run]) -> str:
    times = "; ".join(
        f"{run.manifest.created_at[:16].replace('T', ' ')}: {', '.join(target.id for target in run.manifest.targets)}"
        for run in sorted(runs, key=lambda run: run.manifest.created_at)
    )
    return (
        f"Measured in {len(runs)} runs at different times (UTC, {times}). A service is faster or slower for hours: no "
        "interval contains that, and a difference between targets of two runs may be one between two times."
    )
