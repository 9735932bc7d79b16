"""Finds and continues the live run that an earlier command with the same plan left unfinished."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from voicegauge.bench.planning import BenchPlan
from voicegauge.bench.running.journal import JOURNAL_FILE_NAME, read_journal
from voicegauge.bench.running.manifest import build_manifest
from voicegauge.bench.running.purchases import JournalState
from voicegauge.bench.running.run_config import RunConfig
from voicegauge.bench.running.run_store import (
    RUN_FILE_NAME,
    ManifestOutline,
    create_run_folder,
    load_manifest_outline,
    load_run,
    save_run,
)
from voicegauge.errors import DataError, UsageError
from voicegauge.model import RUN_SCHEMA_VERSION, Run


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
    for file in sorted(runs_folder.glob(f"*/{RUN_FILE_NAME}"), reverse=True):  # folder names begin with the date
        manifest = load_manifest_outline(file)
        if manifest is None:
            _reject_damaged_paid_run(file)
            continue
        if manifest.max_cost_usd is None or (manifest.is_finished and not retry_ambiguous):
            continue
        if manifest.schema_version != RUN_SCHEMA_VERSION:
            if not manifest.is_finished and _has_same_suite_and_targets(manifest, plan) and _has_journal(file.parent):
                raise DataError(_format_other_version_message(file.parent, manifest.schema_version))
            continue
        if manifest.plan_sha256 != plan.sha256:
            continue
        try:
            state = read_journal(file.parent)
        except DataError as error:
            if manifest.is_finished:
                continue
            raise DataError(f"{error}; move {file.parent} away to pay for the whole benchmark again") from error
        if state.ids_with_ambiguous_last_request if retry_ambiguous else state.is_empty or state.may_have_been_charged:
            return RunToContinue(file.parent, state)
    return None


def find_runs_of_other_plans(runs_folder: Path, plan: BenchPlan) -> list[Path]:
    """Return the unfinished live runs that have the suite and targets of `plan`, but other settings or contracts."""
    found = []
    for file in sorted(runs_folder.glob(f"*/{RUN_FILE_NAME}")):
        manifest = load_manifest_outline(file)
        if manifest is None or manifest.is_finished or manifest.max_cost_usd is None:
            continue
        if (
            manifest.plan_sha256 != plan.sha256
            and _has_same_suite_and_targets(manifest, plan)
            and _has_journal(file.parent)
        ):
            found.append(file.parent)
    return found


def _has_same_suite_and_targets(manifest: ManifestOutline, plan: BenchPlan) -> bool:
    """Whether a run of another version of voicegauge has the same suite and targets as `plan`.

    The digests of plans cannot be compared, because they differ between versions.
    """
    is_same_suite = manifest.suite is not None and manifest.suite.id == plan.suite.id
    return is_same_suite and {one.id for one in manifest.targets} == {one.id for one in plan.targets}


def _has_journal(folder: Path) -> bool:
    try:
        return (folder / JOURNAL_FILE_NAME).stat().st_size > 0
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


def _format_other_version_message(folder: Path, schema_version: int) -> str:
    is_newer = schema_version > RUN_SCHEMA_VERSION
    age, remedy = ("a newer", "pip install -U voicegauge") if is_newer else ("an older", "finish it with that version")
    return (
        f"{folder}: an interrupted live run of these targets, saved by {age} voicegauge (run format {schema_version}): "
        f"{remedy}, or move the folder away to pay for the whole benchmark again"
    )


def begin_run(
    runs_folder: Path,
    config: RunConfig,
    run_to_continue: RunToContinue | None = None,
    *,
    base_urls: Mapping[str, str] = {},
) -> Path:
    """Save, before anything is sent, a manifest that marks the run as unfinished.

    Args:
        runs_folder: folder of the runs.
        config: configuration of the run.
        run_to_continue: the run that is continued; `None` for a new run.
        base_urls: base URLs set by the user, by "<provider>" or "<provider>/<server>".

    Returns:
        The folder of the run.

    Raises:
        UsageError: the manifest cannot be written, or the run to continue names another region.
    """
    if run_to_continue is not None and not run_to_continue.journal_state.is_empty:
        old = load_run(run_to_continue.run_folder).manifest
        if old.region != config.region:
            there = f"with --region {old.region}" if old.region is not None else "without --region"
            raise UsageError(f"{run_to_continue.run_folder} was started {there}: resume it so")
        manifest = msgspec.structs.replace(old, is_finished=False, max_cost_usd=config.max_cost_usd)
        save_run(run_to_continue.run_folder, Run(manifest=manifest, samples=()))  # the samples are in the journal
        return run_to_continue.run_folder
    created = datetime.now(UTC)
    kind = "emulated" if config.max_cost_usd is None else "live"
    name = f"{created:%Y%m%d-%H%M%S}-{config.plan.suite.id}-{kind}"
    folder = run_to_continue.run_folder if run_to_continue is not None else create_run_folder(runs_folder, name)
    save_run(folder, Run(manifest=build_manifest(config, folder.name, created, base_urls=base_urls), samples=()))
    return folder
