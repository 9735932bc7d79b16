"""`voicegauge check`: does the API still do what its document says?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from voicegauge.cli.options import (
    OutputFolder,
    base_url_option,
    contracts_option,
    json_option,
    load_targets,
    max_cost_option,
    plan_option,
    price_option,
    public_url_option,
    seed_option,
)
from voicegauge.cli.report_files import (
    check_outputs,
    output_options,
    settle_baseline,
    severity_option,
    write_outputs,
)
from voicegauge.cli.rerecording import record_again
from voicegauge.cli.sending import live_settings, send
from voicegauge.data import cache_folder
from voicegauge.errors import EXIT_FINDINGS, EXIT_OK, NothingMeasuredError, UsageError
from voicegauge.files import write_file

if TYPE_CHECKING:
    from voicegauge.checks import Rule
    from voicegauge.conformance import CasePlan, CheckReport, Collector, PricedPlan
    from voicegauge.contract import Contract, Target
    from voicegauge.receiver import Receiver


@click.command("check")
@click.argument("names", nargs=-1, metavar="[TARGET...]")
@click.option("--emulated", is_flag=True, help="Send planned cases to the emulator.")
@click.option("--live", is_flag=True, help="Send planned cases to the service itself, with your key.")
@click.option("--full", is_flag=True, help="With --live: every valid case too; each one is paid for.")
@click.option(
    "--max-calls",
    type=click.IntRange(min=0),
    metavar="N",
    help="Of all requests that may be paid for, only the N that show the most; what is refused is free.",
)
@click.option(
    "--large-uploads", is_flag=True, help="With --live: uploads of tens of megabytes too, around each documented size."
)
@click.option("--dry-run", is_flag=True, help="Print the priced plan and send nothing.")
@click.option(
    "--fuzz",
    type=click.IntRange(0, 100_000),
    default=0,
    metavar="N",
    help="N random requests an operation too, beside those of the plan and of --max-calls.",
)
@click.option(
    "--failures",
    metavar="DIR",
    help="With --fuzz: keep in DIR what failed and try it first; none keeps nothing.  "
    "[default: a folder of the user's cache; none where CI is set]",
)
@click.option(
    "--write-tests",
    type=OutputFolder(),
    metavar="DIR",
    help="With --fuzz: write each finding to DIR as a pytest test that sends it again.",
)
@click.option("--fault", "faults", multiple=True, metavar="FAULT", help="With --emulated: plant a fault to be found.")
@click.option("--select", multiple=True, metavar="RULE", help="Only this rule. May be repeated.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Not this rule. May be repeated.")
@severity_option
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@output_options
@click.option(
    "--recordings",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder of HAR files to judge instead of the bundled ones. May be repeated.",
)
@base_url_option
@public_url_option
@click.option(
    "--listen-port",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="With --public-url: the port of this machine that the tunnel leads to.",
)
@plan_option
@max_cost_option
@price_option
@seed_option
@contracts_option
@json_option
def command(names: tuple[str, ...], json_to: str | None, strict: bool, **options: Any) -> int:
    """Does the API still do what its document says?

    Without --emulated or --live, what the documents print and what was recorded is
    judged; nothing is sent. Findings are disputed where the documents disagree with each
    other; those do not fail, and warnings only with --strict. What is graded info never fails.
    On a terminal, recordings that are too old can be made anew at once.
    """
    _check_flags(options)
    check_outputs(json_to, options)
    _, targets = load_targets(names, options["contracts"], options["base_url"], options["prices"])
    from voicegauge.checks import select_rules
    from voicegauge.conformance import Collector, apply_baseline, make_baseline

    rules = select_rules(options["select"], options["ignore"], options["severities"])
    collector = Collector([target.id for target in targets], options["seed"])
    contracts = list({target.contract.id: target.contract for target in targets}.values())
    if options["emulated"] or options["live"]:
        planned = _plan(targets, contracts, options)
        if options["dry_run"]:
            return _show_plan(planned.priced, json_to)
        run = _check_emulated if options["emulated"] else _check_live
        status = run(planned, rules, collector, options)
    else:
        status = _check_printed(contracts, rules, collector, options["recordings"])
        offered: set[str] = set()
        while json_to != "-" and record_again(collector.report(), options, offered):
            collector = Collector([target.id for target in targets], options["seed"])
            status = _check_printed(contracts, rules, collector, options["recordings"])
    report = settle_baseline(
        msgspec.structs.replace(collector.report(), rules=tuple(rules)), options, make_baseline, apply_baseline
    )
    return _finish(report, json_to, options, strict=strict, status=status)


_MODES = {
    "base_url": "live",
    "prices": "live",
    "plans": "live",
    "full": "live",
    "public_url": "live",
    "large_uploads": "live",
    "faults": "emulated",
}
"""The flag that another one goes with."""


def _check_flags(options: dict[str, Any]) -> None:
    if options["emulated"] and options["live"]:
        raise UsageError("--emulated and --live exclude each other")
    for flag in ("fuzz", "max_calls", "dry_run"):
        if options[flag] not in (None, False, 0) and not (options["emulated"] or options["live"]):
            raise UsageError(
                f"--{flag.replace('_', '-')} goes with --emulated or --live: nothing else is sent anywhere"
            )
    for flag, mode in _MODES.items():
        if options[flag] and not options[mode]:
            named = {"prices": "price", "plans": "plan", "faults": "fault"}.get(flag, flag.replace("_", "-"))
            raise UsageError(f"--{named} goes with --{mode}")
    for flag in ("failures", "write_tests"):
        if options[flag] and not options["fuzz"]:
            raise UsageError(f"--{flag.replace('_', '-')} goes with --fuzz")
    if options["recordings"] and (options["emulated"] or options["live"]):
        raise UsageError("--recordings goes without --emulated and --live: nothing is sent then")


def _check_printed(
    contracts: Sequence[Contract], rules: dict[str, Rule], collector: Collector, folders: Sequence[Path]
) -> int:
    from voicegauge.conformance import check_documented_examples, check_recordings
    from voicegauge.data import data_dir
    from voicegauge.recording import find_recordings

    check_documented_examples(contracts, rules, collector)
    files = [path for folder in folders or (data_dir("fixtures"),) for path in find_recordings(folder)]
    check_recordings(files, contracts, rules, collector, ci=bool(os.environ.get("CI")))
    return EXIT_OK


class _Planned(NamedTuple):
    targets: Sequence[Target]
    contracts: Sequence[Contract]
    plan: CasePlan
    priced: PricedPlan


def _plan(targets: Sequence[Target], contracts: Sequence[Contract], options: dict[str, Any]) -> _Planned:
    from voicegauge.conformance import plan_cases, price_plan
    from voicegauge.model import Provenance

    emulated, most = options["emulated"], options["max_calls"]
    every = emulated or options["full"] or most is not None
    webhooks = emulated or options["public_url"] is not None
    plan = plan_cases(
        targets,
        emulated=emulated,
        every=every,
        max_calls=most,
        webhooks=webhooks,
        large_uploads=emulated or options["large_uploads"],
    )
    provenance = Provenance.EMULATED if emulated else Provenance.RECORDED
    return _Planned(targets, contracts, plan, price_plan(plan, targets, options["prices"], provenance=provenance))


def _show_plan(plan: PricedPlan, json_to: str | None) -> int:
    from voicegauge.cli.console import write_json
    from voicegauge.cli.money import print_plan

    if json_to:
        write_json(plan, json_to)
    if json_to != "-":
        print_plan(plan)
    return EXIT_OK


def _check_emulated(planned: _Planned, rules: dict[str, Rule], collector: Collector, options: dict[str, Any]) -> int:
    from voicegauge.cli.money import plan_line
    from voicegauge.conformance import emulator_check_settings, emulator_settings
    from voicegauge.emulator import running_emulator

    emulator = emulator_settings(seed=options["seed"], faults=options["faults"])
    with running_emulator(planned.contracts, emulator) as running:
        click.echo(plan_line(planned.priced), err=True)
        settings = emulator_check_settings(
            running, planned.targets, rules=rules, seed=options["seed"], **_fuzzing(options)
        )
        return send(planned.targets, planned.plan, settings, collector)


def _check_live(planned: _Planned, rules: dict[str, Rule], collector: Collector, options: dict[str, Any]) -> int:
    settings = live_settings(planned.priced, planned.contracts, options)
    settings = replace(settings, rules=rules, **_fuzzing(options))
    with _receiver(options) as receiver:
        return send(planned.targets, planned.plan, replace(settings, receiver=receiver), collector)


def _receiver(options: dict[str, Any]) -> AbstractContextManager[Receiver | None]:
    """What webhooks are sent to, where a tunnel leads to this machine."""
    from voicegauge.receiver import running_receiver

    if options["public_url"] is None:
        return nullcontext()
    return running_receiver(port=options["listen_port"], public_url=options["public_url"])


def _fuzzing(options: dict[str, Any]) -> dict[str, Any]:
    folder = options["failures"] or ("none" if os.environ.get("CI") else str(cache_folder() / "failures"))
    return {"fuzz": options["fuzz"], "failures": None if folder == "none" else Path(folder)}


def _finish(report: CheckReport, json_to: str | None, options: dict[str, Any], *, strict: bool, status: int) -> int:
    from voicegauge.cli.console import write_json
    from voicegauge.cli.findings import print_report, summary_line
    from voicegauge.conformance import check_results
    from voicegauge.model import Severity
    from voicegauge.outputs import step_summary

    if json_to:
        write_json(report, json_to)
    if json_to != "-":
        print_report(report)
    if options["write_tests"]:
        _write_tests(report, options["write_tests"])
    line = summary_line(report)
    write_outputs(check_results(report, strict=strict), options, lambda results: step_summary(results, line))
    if status != EXIT_OK:
        return status
    if report.cases and all(case.verdict == "skipped" for case in report.cases):
        raise NothingMeasuredError(f"no case came to a verdict; the first: {report.cases[0].reason}")
    failing = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    return EXIT_FINDINGS if report.count(*failing) else EXIT_OK


def _write_tests(report: CheckReport, folder: Path) -> None:
    files = {f"test_{f.rule.replace('-', '_')}_{f.fingerprint[:8]}.py": f.test for f in report.findings if f.test}
    for name, text in files.items():
        write_file(folder / name, text.encode())
    click.echo(f"wrote {len(files)} test{'' if len(files) == 1 else 's'} to {folder}", err=True)
