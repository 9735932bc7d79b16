"""Begins a run with its manifest, or continues the live run that an earlier command left unfinished."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import msgspec

from voicegauge.bench.benchmark_plan import BenchPlan
from voicegauge.bench.request_building import load_default_voice_sample
from voicegauge.bench.run_config import ClusterSettings, RunConfig
from voicegauge.bench.run_store import (
    JOURNAL_FILE_NAME,
    RUN_FILE_NAME,
    JournalState,
    ManifestOutline,
    create_run_folder,
    load_manifest_outline,
    load_run,
    read_journal,
    save_audio,
    save_run,
)
from voicegauge.client.spending_journal import lock_file
from voicegauge.errors import DataError, StorageError, UsageError
from voicegauge.files import check_writable
from voicegauge.model.base import sum_usd
from voicegauge.model.run import RUN_SCHEMA_VERSION, Manifest, Run
from voicegauge.version import __version__

# Builds the manifest of a run, which contains everything needed to interpret the run or to repeat it.


_LIBRARIES_WITH_RECORDED_VERSION = ("httpx", "httpcore", "msgspec", "numpy", "soundfile", "jiwer")
"""Libraries whose version can influence a time, an error count or an interval."""
MAX_REGION_CHARACTERS = 40
"""Largest number of characters of the name of a region."""


def check_region(region: str | None) -> None:
    """Reject a name of a region that cannot be shown beside numbers; `None`, for no name, is accepted.

    Raises:
        UsageError: the name is empty, long, or has control characters or spaces at its ends.
    """
    if region is None:
        return
    if not region or region != region.strip() or not region.isprintable() or len(region) > MAX_REGION_CHARACTERS:
        raise UsageError(
            f"the region {region!r} cannot be used: name it with at most {MAX_REGION_CHARACTERS} characters, "
            "such as eu-central"
        )


def build_manifest(config: RunConfig, run_id: str, created_at: datetime, *, base_urls: Mapping[str, str]) -> Manifest:
    """Build the manifest of a run that is about to start.

    Args:
        config: plan, targets and access of the run.
        run_id: id of the run, unique among the runs of a folder.
        created_at: current time, with time zone.
        base_urls: base URLs set by the user, by "<provider>" or "<provider>/<server>".
    """
    plan, settings = config.plan, config.plan.settings
    return Manifest(
        schema_version=RUN_SCHEMA_VERSION,
        run_id=run_id,
        created_at=created_at.isoformat(timespec="seconds"),
        is_finished=False,
        voicegauge_version=__version__,
        provenance=plan.provenance,
        suite=plan.suite,
        kind=plan.run_kind,
        targets=plan.targets,
        sessions=settings.sessions,
        repetitions=settings.repetitions,
        warmup_request_count=settings.warmup,
        concurrency=config.concurrency,
        requests_per_s=config.arrival_rate.requests_per_s if config.arrival_rate is not None else None,
        arrival_process=config.arrival_rate.arrival_process if config.arrival_rate is not None else "constant",
        ramp_load_type=config.ramp_settings.load_type if config.ramp_settings is not None else None,
        text_pacing=config.text_pacing,
        uses_http2=config.uses_http2,
        seed=settings.seed,
        base_urls=dict(base_urls),
        fault_ids=tuple(sorted(set(config.fault_ids))),
        region=config.region,
        places=config.cluster.places if config.cluster is not None else (),
        environment=collect_environment(),
        max_cost_usd=config.max_cost_usd,
        plan_sha256=plan.sha256,
    )


def collect_environment() -> dict[str, str]:
    """Return Python version, platform, processor, number of processors and library versions."""
    system = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        # Some systems do not state the processor, but its kind.
        "processor": platform.processor() or platform.machine(),
        "processors": str(os.cpu_count()),
    }
    return system | {name: metadata.version(name) for name in _LIBRARIES_WITH_RECORDED_VERSION}


# Finds and continues the live run that an earlier command with the same plan left unfinished.


class RunToContinue(NamedTuple):
    """A live run of the same plan that an earlier command left unfinished."""

    run_folder: Path
    journal_state: JournalState


def find_run_to_continue(runs_folder: Path, plan: BenchPlan, *, retry_ambiguous: bool = False) -> RunToContinue | None:
    """Return the newest live run in `runs_folder` that a command with `plan` continues; `None` if there is none.

    An unfinished run is continued if something in it may have been paid for, or if it has sent nothing yet. Files that
    are not runs are skipped.

    Args:
        runs_folder: folder of the runs.
        plan: plan of the command.
        retry_ambiguous: whether to continue a run with ambiguous requests even if it is finished.

    Raises:
        DataError: a run was paid for and cannot be continued, because its run.json or its journal is damaged or
            another version of voicegauge wrote it. Without this error, a new run would silently buy everything again.
    """
    for file, manifest in _iterate_live_runs(runs_folder, rejects_damaged=True):
        if manifest.is_finished and not retry_ambiguous:
            continue
        if manifest.schema_version != RUN_SCHEMA_VERSION:
            if not manifest.is_finished and _is_sent_run_of_targets(file, manifest, plan):
                age, remedy = (
                    ("a newer", "pip install -U voicegauge")
                    if manifest.schema_version > RUN_SCHEMA_VERSION
                    else ("an older", "finish it with that version")
                )
                raise DataError(
                    f"{file.parent}: an interrupted live run of these targets, saved by {age} voicegauge "
                    f"(run format {manifest.schema_version}): {remedy}, or move the folder away to pay for the whole "
                    "benchmark again"
                )
            continue
        if manifest.plan_sha256 != plan.sha256:
            continue
        try:
            state = read_journal(file.parent)
        except DataError as error:
            if manifest.is_finished:  # nothing of it is left to be sent
                continue
            raise DataError(f"{error}; move {file.parent} away to pay for the whole benchmark again") from error
        if state.ids_with_ambiguous_last_request if retry_ambiguous else state.is_empty or state.may_have_been_charged:
            return RunToContinue(file.parent, state)
    return None


def _iterate_live_runs(runs_folder: Path, *, rejects_damaged: bool = False) -> Iterator[tuple[Path, ManifestOutline]]:
    """Yield the run.json of each live run of any version, with the outline of its manifest, newest first.

    Raises:
        DataError: a run is damaged that was paid for, and `rejects_damaged` is set.
    """
    for file in sorted(runs_folder.glob(f"*/{RUN_FILE_NAME}"), reverse=True):  # folder names begin with the date
        manifest = load_manifest_outline(file)
        if manifest is None:
            if rejects_damaged:
                _reject_damaged_paid_run(file)
        elif manifest.max_cost_usd is not None:  # only live runs have a budget
            yield file, manifest


class RunWithAmbiguousRequests(NamedTuple):
    """A finished live run with requests that may have been charged although their result is unknown."""

    run_folder: Path
    ambiguous_request_count: int
    """Number of these requests that were not sent again."""
    ambiguous_usd: float
    """Amount in US dollars that these requests count as spent."""
    spent_usd: float
    """Amount in US dollars that the whole run counts as spent."""


def find_run_with_ambiguous_requests(runs_folder: Path, plan: BenchPlan) -> RunWithAmbiguousRequests | None:
    """Return the newest live run of `plan` if it is finished and has ambiguous requests that cost money.

    Return `None` if there is no such run, if none of its requests is ambiguous, and if the run cannot be read.
    """
    for file, manifest in _iterate_live_runs(runs_folder):
        if manifest.plan_sha256 != plan.sha256:
            continue
        try:
            state = read_journal(file.parent)
        except DataError:
            return None
        lost = [one.counted_usd for one in state.ambiguous_requests if not one.was_sent_again and one.counted_usd]
        if not manifest.is_finished or not lost or state.is_emulated:
            return None
        return RunWithAmbiguousRequests(file.parent, len(lost), sum_usd(lost), state.spent_usd)
    return None


@contextmanager
def lock_plan(runs_folder: Path, plan: BenchPlan) -> Iterator[None]:
    """Let no other process run `plan` in `runs_folder` as long as the context lasts.

    The lock is taken before the folder is searched for a run to continue. Otherwise two processes that start in the
    same instant would both find none, and buy the whole plan.

    Raises:
        DataError: another process runs the plan.
        StorageError: the folder cannot be written.
    """
    path = runs_folder / f".{plan.sha256[:16]}.lock"
    check_writable(path)
    try:
        runs_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot create {runs_folder}: {error.strerror}: choose another folder with --out"
        ) from error
    message = f"another process runs this benchmark in {runs_folder}: wait until it has ended"
    with lock_file(path, in_use_message=message):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is locked, see `lock_file`


def find_runs_of_other_plans(runs_folder: Path, plan: BenchPlan) -> list[Path]:
    """Return the unfinished live runs that have the suite and targets of `plan`, but other settings or contracts."""
    found = [
        file.parent
        for file, manifest in _iterate_live_runs(runs_folder)
        if not manifest.is_finished
        and manifest.plan_sha256 != plan.sha256
        and _is_sent_run_of_targets(file, manifest, plan)
    ]
    return sorted(found)


def _is_sent_run_of_targets(run_file: Path, manifest: ManifestOutline, plan: BenchPlan) -> bool:
    """Whether a run has a journal, and the suite and targets of `plan`.

    The digests of plans are not compared, because they differ between versions of voicegauge.
    """
    is_same_suite = manifest.suite is not None and manifest.suite.id == plan.suite.id
    if not is_same_suite or {one.id for one in manifest.targets} != {one.id for one in plan.targets}:
        return False
    try:
        return (run_file.parent / JOURNAL_FILE_NAME).stat().st_size > 0
    except OSError:
        return False


def _reject_damaged_paid_run(damaged_run_file: Path) -> None:
    """Check that the journal beside a damaged run.json lists nothing that a live service may have charged.

    Raises:
        DataError: something may have been charged, or the journal is damaged too.
    """
    folder = damaged_run_file.parent
    remedy = f"look at {folder / JOURNAL_FILE_NAME}, then move or delete {folder} to pay for the whole benchmark again"
    try:
        state = read_journal(folder)
    except DataError as error:
        raise DataError(f"{damaged_run_file}: is damaged, and so is its journal ({error}): {remedy}") from error
    if state.may_have_been_charged and not state.is_emulated:
        raise DataError(
            f"{damaged_run_file}: is damaged, and the journal beside it lists requests that may have been charged: "
            f"{remedy}"
        )


def begin_run(
    runs_folder: Path,
    config: RunConfig,
    run_to_continue: RunToContinue | None = None,
    *,
    base_urls: Mapping[str, str] = {},
) -> Path:
    """Save a manifest that marks the run as unfinished, before anything is sent; a new run gets a new folder.

    Args:
        runs_folder: folder of the runs.
        config: configuration of the run.
        run_to_continue: the run that is continued; `None` for a new run.
        base_urls: base URLs set by the user, by "<provider>" or "<provider>/<server>".

    Returns:
        The folder of the run.

    Raises:
        UsageError: the manifest cannot be written; the run to continue names another region; or workers measured that
            run and this machine would continue it, or the other way round.
    """
    if run_to_continue is not None and not run_to_continue.journal_state.is_empty:
        old = load_run(run_to_continue.run_folder).manifest
        if old.region != config.region:
            there = f"with --region {old.region}" if old.region is not None else "without --region"
            raise UsageError(f"{run_to_continue.run_folder} was started {there}: resume it so")
        manifest = msgspec.structs.replace(
            old,
            is_finished=False,
            max_cost_usd=config.max_cost_usd,
            places=_combine_places_of_continued_run(run_to_continue.run_folder, old.places, config.cluster),
        )
        save_run(run_to_continue.run_folder, Run(manifest=manifest, samples=()))  # the samples are in the journal
        return run_to_continue.run_folder
    created = datetime.now(UTC)
    # A run that has sent nothing is begun again in its folder, as this command says.
    kind = "emulated" if config.max_cost_usd is None else "live"
    name = f"{created:%Y%m%d-%H%M%S}-{config.plan.suite.id}-{kind}"
    folder = run_to_continue.run_folder if run_to_continue is not None else create_run_folder(runs_folder, name)
    manifest = build_manifest(config, folder.name, created, base_urls=base_urls)
    manifest = msgspec.structs.replace(manifest, voice_sample_path=_save_voice_sample(folder, config))
    save_run(folder, Run(manifest=manifest, samples=()))
    return folder


def _combine_places_of_continued_run(
    run_folder: Path, old_places: tuple[str, ...], cluster: ClusterSettings | None
) -> tuple[str, ...]:
    """Return the places of a run that is continued: its earlier places, and new places of the cluster, with a notice.

    `cluster` is `None` if the command that continues the run has no cluster.

    Raises:
        UsageError: only the run has places, or only the command has a cluster.
    """
    places = cluster.places if cluster is not None else ()
    if bool(places) != bool(old_places):
        there = f"with --dask, from {', '.join(old_places)}" if old_places else "without --dask"
        raise UsageError(f"{run_folder} was started {there}: resume it so")
    if cluster is not None and places != old_places:
        cluster.on_notice(
            f"started from {', '.join(old_places)}, and continued from {', '.join(places)}: each sample keeps the "
            "place from which it was measured"
        )
    return tuple(sorted({*old_places, *places}))


def _save_voice_sample(run_folder: Path, config: RunConfig) -> str | None:
    """Save the voice sample beside the audio, so that the run can be compared with it later; return its path.

    `None` if no target gets a voice sample, or only its URL, which is not opened.
    """
    if not any(one.clones_voice for one in config.plan.targets):
        return None
    sample = config.voice_sample or load_default_voice_sample()
    return None if sample.data is None else save_audio(run_folder, sample.data)[1]
