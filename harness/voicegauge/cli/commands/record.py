"""`voicegauge record`: traffic saved as fixtures, without secrets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from voicegauge.cli.console import console, write_json
from voicegauge.cli.options import (
    OutputFolder,
    base_url_option,
    contracts_option,
    json_option,
    load_targets,
    max_cost_option,
    plan_option,
    price_option,
    seed_option,
)
from voicegauge.cli.sending import live_settings, send
from voicegauge.errors import EXIT_OK, DataError, UsageError
from voicegauge.model import Exchange, Provenance, Record
from voicegauge.recording import Recording, RecordingChanges, compare_recordings, load_har, save_har

if TYPE_CHECKING:
    from voicegauge.conformance import CasePlan, Collector, ConformanceCase
    from voicegauge.conformance.recording import RecordingUpdate
    from voicegauge.contract import Contract, Target

FIELDS_SHOWN = 4
"""Of a file's changed fields; --json has all."""


class RecordedFile(Record, frozen=True, kw_only=True):
    """One file, as it was written or would be."""

    path: str
    provenance: Provenance
    cases: int
    """Recorded now; the file may hold more."""
    exchanges: int
    changes: RecordingChanges
    written: bool


class RecordResult(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge record --json` writes."""

    schema: str = "voicegauge/record/2"
    files: tuple[RecordedFile, ...] = ()
    redactions: dict[str, int] = {}
    """Places in which something was masked, with how often."""
    skipped: dict[str, str] = {}
    """Cases that were not recorded, with the reason."""
    findings: int = 0
    """Broken rules in what was recorded, disputed ones left out."""
    spent_usd: float = 0.0
    stopped_by: str | None = None


@click.command("record")
@click.argument("names", nargs=-1, required=True, metavar="TARGET...")
@click.option("--live", is_flag=True, help="Record the service itself, with your key; this costs money.")
@click.option("--emulated", is_flag=True, help="Record the emulator.")
@click.option(
    "--out",
    type=OutputFolder(),
    default=Path("fixtures"),
    show_default=True,
    metavar="DIR",
    help="Where recordings lie: DIR/PROVIDER/TARGET.har.",
)
@click.option(
    "--refresh",
    type=click.Choice(["stale", "all"]),
    default="stale",
    show_default=True,
    help="Record what is missing or stale, or everything anew.",
)
@click.option("--full", is_flag=True, help="Every refusal that a check plans, not one of each kind.")
@click.option(
    "--mask", multiple=True, metavar="NAME", help="Mask the field, parameter or header NAME. May be repeated."
)
@click.option("--yes", is_flag=True, help="Overwrite without asking.")
@base_url_option
@plan_option
@max_cost_option
@price_option
@seed_option
@contracts_option
@json_option
def command(names: tuple[str, ...], json_to: str | None, **options: Any) -> int:
    """Save what a provider answers as fixtures, without secrets.

    The planned cases of TARGET, a provider or PROVIDER/TARGET, are sent one after another.
    What has a recording that is fresh is left out; before a file is overwritten, the
    difference is shown. A live recording that is cut off goes on where it was: what has been
    answered lies in DIR/.unfinished until its file is written.
    """
    if options["live"] == options["emulated"]:
        raise UsageError("say which to record: --live (it costs money) or --emulated")
    for flag in ("base_url", "prices", "plans"):
        if options[flag] and not options["live"]:
            raise UsageError(f"--{flag.rstrip('s').replace('_', '-')} goes with --live")
    _, targets = load_targets(names, options["contracts"], options["base_url"], options["prices"])
    contracts = {target.contract.id: target.contract for target in targets}
    updates, plan = _plan(targets, contracts, options)
    if not updates:
        click.echo("nothing is missing or stale; --refresh all records everything anew", err=True)
        result, status = RecordResult(), EXIT_OK
    else:
        result, status = _record(targets, contracts, updates, plan, options)
    if json_to:
        write_json(result, json_to)
    if json_to != "-":
        _print(result)
    return status


def _plan(
    targets: Sequence[Target], contracts: Mapping[str, Contract], options: dict[str, Any]
) -> tuple[list[RecordingUpdate], CasePlan]:
    """What is due, by file and in the order of sending."""
    from voicegauge.conformance import CasePlan
    from voicegauge.conformance.recording import RefreshPolicy, plan_to_record, recording_path

    plan = plan_to_record(targets, emulated=options["emulated"], every=options["full"])
    paths = {recording_path(case, options["out"]) for case in plan.cases}
    there = {path: load_har(path) for path in sorted(paths) if path.exists()}
    provenance = Provenance.EMULATED if options["emulated"] else Provenance.RECORDED
    refreshing = RefreshPolicy(contracts, provenance, options["refresh"], datetime.now(UTC))
    updates = refreshing.updates(plan, options["out"], there)
    overwritten = [update.path for update in updates if update.replaced is not None]
    if overwritten and not options["yes"] and not sys.stdin.isatty():
        count = f"{len(overwritten)} recording{'s' if len(overwritten) > 1 else ''}, {overwritten[0]} the first"
        raise UsageError(f"this would overwrite {count}: add --yes")
    due = {case.id: case for update in updates for case in update.due}
    ordered = {case.id: case for case in plan.cases if case.id in due} | due
    return updates, CasePlan(cases=tuple(ordered.values()), skipped=plan.skipped)


def _record(
    targets: Sequence[Target],
    contracts: Mapping[str, Contract],
    updates: Sequence[RecordingUpdate],
    plan: CasePlan,
    options: dict[str, Any],
) -> tuple[RecordResult, int]:
    from voicegauge.conformance import Collector

    collector = Collector([target.id for target in targets], options["seed"])
    if options["live"]:
        recorded = _record_live(targets, contracts, plan, collector, options)
    else:
        recorded = _record_emulator(targets, contracts, plan, collector, options)
    report = collector.report()
    skipped = {case.id: case.reason or "" for case in report.cases if case.verdict == "skipped"}
    files, redactions = _write(updates, recorded, contracts, options)
    result = RecordResult(
        files=tuple(files),
        redactions=dict(sorted(redactions.items())),
        skipped=skipped,
        findings=sum(finding.severity != "disputed" for finding in report.findings),
        spent_usd=report.spent_usd,
        stopped_by=report.stopped_by,
    )
    return result, recorded.status


class _Recorded(NamedTuple):
    """What was answered."""

    groups: Mapping[str, Sequence[Exchange]]
    """By case id."""
    secrets: Sequence[str]
    status: int
    settle: Callable[[Sequence[ConformanceCase]], None]
    """To be told the cases of each file that is done with."""


def _record_live(
    targets: Sequence[Target],
    contracts: Mapping[str, Contract],
    plan: CasePlan,
    collector: Collector,
    options: dict[str, Any],
) -> _Recorded:
    from dataclasses import replace

    from voicegauge.conformance import CasePlan, price_plan
    from voicegauge.conformance.recording import Recorder, UnfinishedRecording

    unfinished = UnfinishedRecording(options["out"], contracts, mask=options["mask"])
    taken = unfinished.taken(plan.cases, datetime.now(UTC))
    if taken:
        click.echo(f"{len(taken)} cases are there from a recording that was cut off", err=True)
    left = CasePlan(cases=tuple(case for case in plan.cases if case.id not in taken), skipped=plan.skipped)
    cost = price_plan(left, targets, options["prices"], provenance=Provenance.RECORDED)
    settings = live_settings(cost, list(contracts.values()), options)
    secrets = [key for key in settings.keys.values() if key]
    recorder = Recorder(contracts, settings.base_urls, replace(unfinished, secrets=secrets))
    status = send(targets, left, replace(settings, keep=recorder.keep), collector)
    if recorder.met_emulator:
        raise UsageError("it is the emulator that answered: nothing is written; record it with --emulated")
    found = {**taken, **recorder.groups}
    return _Recorded(
        {case.id: found[case.id] for case in plan.cases if case.id in found}, secrets, status, unfinished.drop
    )


def _record_emulator(
    targets: Sequence[Target],
    contracts: Mapping[str, Contract],
    plan: CasePlan,
    collector: Collector,
    options: dict[str, Any],
) -> _Recorded:
    from dataclasses import replace

    from voicegauge.conformance import emulator_check_settings, emulator_settings
    from voicegauge.conformance.recording import Recorder
    from voicegauge.emulator import running_emulator

    with running_emulator(contracts.values(), emulator_settings(seed=options["seed"])) as running:
        settings = emulator_check_settings(running, targets, seed=options["seed"])
        recorder = Recorder(contracts, settings.base_urls)
        status = send(targets, plan, replace(settings, keep=recorder.keep), collector)
    secrets = [key for key in settings.keys.values() if key]
    return _Recorded(recorder.groups, secrets, status, lambda _cases: None)


def _write(
    updates: Sequence[RecordingUpdate],
    recorded: _Recorded,
    contracts: Mapping[str, Contract],
    options: dict[str, Any],
) -> tuple[list[RecordedFile], Counter[str]]:
    """Write every file that can be; the first that cannot is raised when the others are safe."""
    redactions: Counter[str] = Counter()
    files, refused = [], None
    provenance = Provenance.EMULATED if options["emulated"] else Provenance.RECORDED
    for update in updates:
        cases = sum(case.id in recorded.groups for case in update.due)
        if not cases:
            continue
        exchanges = update.merged(recorded.groups)
        found = compare_recordings(update.replaced, exchanges)
        agreed = update.replaced is None or options["yes"] or _agree(update.path, update.replaced, provenance, found)
        try:
            saved: Recording | None = None
            if agreed:
                contract, mask = contracts[update.provider], options["mask"]
                saved = save_har(
                    update.path,
                    exchanges,
                    provenance=provenance,
                    contract=contract,
                    secrets=recorded.secrets,
                    mask=mask,
                )
                redactions.update(saved.redactions)
            recorded.settle(update.due)
        except DataError as error:
            refused = refused or error
        files.append(
            RecordedFile(
                path=str(update.path),
                provenance=provenance,
                cases=cases,
                exchanges=len(exchanges),
                changes=found,
                written=saved is not None,
            )
        )
    if refused is not None:
        raise refused
    return files, redactions


def _agree(path: Path, replaced: Recording, provenance: Provenance, found: RecordingChanges) -> bool:
    if not (found.added or found.removed or found.changed):
        return True  # only the times are new
    was = "" if replaced.provenance is provenance else f" ({replaced.provenance.value} by {provenance.value})"
    click.echo(f"{path}{was}: {_say(found)}", err=True)
    return click.confirm("Overwrite it?", default=True, err=True)


def _say(found: RecordingChanges) -> str:
    counts = f"{found.added} added, {found.removed} removed, {found.changed} changed, {found.same} the same"
    if not found.fields:
        return counts
    more = len(found.fields) - FIELDS_SHOWN
    shown = ", ".join(found.fields[:FIELDS_SHOWN])
    return f"{counts}; changed: {shown}{f' and {more} more' if more > 0 else ''}"


def _print(result: RecordResult) -> None:
    out = console()
    for file in result.files:
        verb = "wrote" if file.written else "left"
        line = f"{verb} {file.path}  {file.provenance.value.upper()}  {file.exchanges} exchanges: {_say(file.changes)}"
        out.print(line, soft_wrap=True)
    for case, reason in result.skipped.items():
        out.print(f"not recorded: {case}: {reason}", style="dim", soft_wrap=True)
    if result.redactions:
        places = ", ".join(f"{place} ({count})" for place, count in result.redactions.items())
        out.print(f"masked: {places}", soft_wrap=True)
    elif result.files:
        out.print("masked: nothing")
    if result.findings:
        out.print(f"{result.findings} findings in what was recorded: voicegauge check shows them", style="yellow")
    if result.spent_usd:
        out.print(f"${result.spent_usd:.4g} spent")
    if result.stopped_by:
        out.print(f"Stopped early: {result.stopped_by}", soft_wrap=True)
