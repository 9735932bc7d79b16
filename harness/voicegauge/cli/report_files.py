"""What `check` and `drift` write beside their words on the terminal, and the baseline they read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from voicegauge.cli.options import OutputFile, refuse_same_file
from voicegauge.errors import UsageError
from voicegauge.files import write_file

if TYPE_CHECKING:
    from voicegauge.outputs import ExportedReport, FindingsBaseline

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
GRADES = ("error", "warning", "info")


def output_options(command: F) -> F:
    """`--junit`, `--sarif`, `--github`, `--baseline` and `--write-baseline`, passed under these names."""
    file = OutputFile(path_type=Path)
    for option in (
        click.option("--write-baseline", type=file, metavar="FILE", help="Accept what is found now: write it to FILE."),
        click.option(
            "--baseline",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Tell only of what FILE does not accept.",
        ),
        click.option("--github", is_flag=True, help="Annotations and a step summary for GitHub Actions."),
        click.option("--sarif", type=file, metavar="FILE", help="Write what is found as SARIF 2.1.0 to FILE."),
        click.option("--junit", type=file, metavar="FILE", help="Write what is found as JUnit XML to FILE."),
    ):
        option(command)
    return command


def severity_option(command: F) -> F:
    """`--severity RULE=GRADE`: passed as `severities`, grades by rule id."""
    return click.option(
        "--severity",
        "severities",
        multiple=True,
        callback=_read_severities,
        metavar="RULE=GRADE",
        help="This rule is an error, a warning or info. May be repeated.",
    )(command)


def _read_severities(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, Any]:
    from voicegauge.model import Severity

    found: dict[str, Any] = {}
    for value in values:
        rule, _, grade = value.partition("=")
        if not rule or grade not in GRADES:
            raise click.BadParameter(f"{value!r}: write RULE=error, RULE=warning or RULE=info")
        found[rule] = Severity(grade)
    return found


def check_outputs(json_to: str | None, options: dict[str, Any]) -> None:
    """Refuse what cannot go together.

    Raises:
        UsageError: JSON and annotations would both go to standard output, or two outputs to one file.
    """
    if options["github"] and json_to == "-":
        raise UsageError("--github writes to standard output, and so does --json -: give --json a file")
    written = ("junit", "sarif", "write_baseline", "propose")
    refuse_same_file(json=json_to, **{name: options.get(name) for name in written})


def settle_baseline(
    report: R, options: dict[str, Any], make: Callable[[R], FindingsBaseline], apply: Callable[[R, FindingsBaseline], R]
) -> R:
    """The report with accepted items apart, by the baseline that is given or written now.

    Args:
        report: what was found.
        options: of the command line.
        make: the baseline that accepts all of a report.
        apply: a report with the items of a baseline apart.

    Raises:
        DataError: the file is no baseline.
        UsageError: the new one cannot be written.
    """
    import msgspec

    from voicegauge.outputs import load_baseline

    if options["baseline"]:
        report = apply(report, load_baseline(options["baseline"]))
    if options["write_baseline"]:
        made = make(report)
        write_file(options["write_baseline"], msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
        report = apply(report, made)
    return report


def write_outputs(results: ExportedReport, options: dict[str, Any], summary: Callable[[ExportedReport], str]) -> None:
    """Write the files that were asked for, and speak to GitHub.

    Args:
        results: what was found.
        options: of the command line.
        summary: the Markdown of the step's summary.

    Raises:
        UsageError: a file cannot be written.
    """
    from voicegauge.outputs import junit_xml, sarif_json, workflow_commands

    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    if options["junit"]:
        write_file(options["junit"], junit_xml(results).encode())
    if options["sarif"]:
        write_file(options["sarif"], sarif_json(results, root).encode())
    if options["github"]:
        click.echo(workflow_commands(results, root), nl=False)
        step = os.environ.get("GITHUB_STEP_SUMMARY")
        if step:
            # Other commands of the step write to this file too.
            with Path(step).open("a", encoding="utf-8") as file:
                file.write(summary(results))
