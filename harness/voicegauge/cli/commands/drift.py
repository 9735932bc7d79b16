"""`voicegauge drift`: what changed between two contracts or recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voicegauge.cli.console import console, write_json
from voicegauge.cli.options import OutputFile, contracts_option, json_option
from voicegauge.cli.report_files import check_outputs, output_options, settle_baseline, write_outputs
from voicegauge.errors import EXIT_FINDINGS
from voicegauge.files import write_file

if TYPE_CHECKING:
    from rich.console import Console

    from voicegauge.drift import ContractPatch, DriftChange, DriftReport

_STYLES = {"breaking": "bold red", "possibly-breaking": "yellow", "compatible": "dim"}


@click.command("drift")
@click.argument("old")
@click.argument("new")
@click.option(
    "--fail-on",
    type=click.Choice(list(_STYLES)),
    default="breaking",
    show_default=True,
    help="The mildest change that makes the exit status 1.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="Lines for a terminal, or tables for a pull request.",
)
@click.option(
    "--propose",
    type=OutputFile(path_type=Path),
    metavar="FILE",
    help="OLD a contract, NEW traffic: write what the contract lacks as a patch to review, for `patch -p0`.",
)
@output_options
@contracts_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    old: str,
    new: str,
    fail_on: str,
    form: str,
    propose: Path | None,
    contracts: tuple[Path, ...],
    json_to: str | None,
    **options: Any,
) -> None:
    """Say what changed from OLD to NEW, and whom it breaks.

    Each is an OpenAPI document, a recording (a .har file or a folder of them), or a provider
    as `voicegauge providers` names it. `voicegauge rules drift` lists the rules. In JUnit XML,
    SARIF and annotations a breaking change is an error, a possibly breaking one a warning and
    a compatible one a note; in JUnit XML what --fail-on names and what is worse is a failure.
    """
    from voicegauge.drift import (
        DriftLevel,
        apply_baseline,
        compare,
        drift_results,
        make_baseline,
        propose_contract_patch,
        render_markdown,
    )

    check_outputs(json_to, {**options, "propose": propose})
    if propose is None:
        report = compare(old, new, contracts)
    else:
        report, proposal = propose_contract_patch(old, new, contracts)
        write_file(propose, proposal.unified_diff().encode())
    report = settle_baseline(report, options, make_baseline, apply_baseline)
    if json_to:
        write_json(report, json_to)
    if json_to != "-":
        if form == "markdown":
            click.echo(render_markdown(report), nl=False)
        else:
            _print(report)
            if propose is not None:
                _print_proposal(propose, proposal)
    write_outputs(drift_results(report, DriftLevel(fail_on)), options, lambda _: render_markdown(report))
    if report.has_change_at_least(DriftLevel(fail_on)):
        ctx.exit(EXIT_FINDINGS)


def _print(report: DriftReport) -> None:
    out = console()
    for found in report.changes:
        _print_change(out, found)
    for entry in report.unused_baseline:
        out.print(f"no longer found, take it out of the baseline: {entry}", style="dim", soft_wrap=True)
    counts = ", ".join(f"{count} {level}" for level, count in report.counts.items() if count)
    sides = " to ".join(f"{side.title} {side.version}".strip() or side.file for side in (report.old, report.new))
    accepted = f", {len(report.accepted)} accepted by the baseline" if report.accepted else ""
    nothing = "nothing else has changed" if accepted else "nothing has changed"
    out.print(f"{sides}: {counts or nothing}{accepted}", style="bold", soft_wrap=True)


def _print_proposal(file: Path, proposal: ContractPatch) -> None:
    left = f"; {len(proposal.unpatched_changes)} changes are left to a person" if proposal.unpatched_changes else ""
    console().print(f"wrote {file}: review it, then patch -p0 < {file}{left}", soft_wrap=True)


def _print_change(out: Console, found: DriftChange) -> None:
    from rich.text import Text

    title = Text.assemble(
        (found.level.value, _STYLES[found.level.value]), f" {found.rule}  ", (found.qualified_location, "bold")
    )
    out.print(title, soft_wrap=True)
    out.print(f"  {found.message}", soft_wrap=True)
    out.print(f"  {found.positions}", style="dim", soft_wrap=True)
