"""What `voicegauge check` writes beside its words on the terminal, and the baseline it reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from voicegauge.errors import UsageError
from voicegauge.files import write_file

if TYPE_CHECKING:
    from voicegauge.conformance import CheckReport

F = TypeVar("F", bound=Callable[..., Any])
GRADES = ("error", "warning", "info")


def output_options(command: F) -> F:
    """`--junit`, `--sarif`, `--github`, `--baseline` and `--write-baseline`, passed under these names."""
    file = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--write-baseline", type=file, metavar="FILE", help="Accept what is found now: write it to FILE."),
        click.option(
            "--baseline",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Tell only of findings that FILE does not accept.",
        ),
        click.option("--github", is_flag=True, help="Annotations and a step summary for GitHub Actions."),
        click.option("--sarif", type=file, metavar="FILE", help="Write findings as SARIF 2.1.0 to FILE."),
        click.option("--junit", type=file, metavar="FILE", help="Write findings as JUnit XML to FILE."),
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
        UsageError: JSON and annotations would both go to standard output.
    """
    if options["github"] and json_to == "-":
        raise UsageError("--github writes to standard output, and so does --json -: give --json a file")


def settle_baseline(report: CheckReport, options: dict[str, Any]) -> CheckReport:
    """The report with accepted findings apart, by the baseline that is given or written now.

    Raises:
        DataError: the file is no baseline.
        UsageError: the new one cannot be written.
    """
    import msgspec

    from voicegauge.conformance.baseline import apply_baseline, load_baseline, make_baseline

    if options["baseline"]:
        report = apply_baseline(report, load_baseline(options["baseline"]))
    if options["write_baseline"]:
        made = make_baseline(report)
        write_file(options["write_baseline"], msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
        whole = msgspec.structs.replace(report, findings=(*report.findings, *report.accepted))
        report = apply_baseline(whole, made)
    return report


def write_outputs(report: CheckReport, options: dict[str, Any], line: str, *, strict: bool) -> None:
    """Write the files that were asked for, and speak to GitHub.

    Args:
        report: what was found.
        options: of the command line.
        line: what sums the report up.
        strict: whether warnings fail too.

    Raises:
        UsageError: a file cannot be written.
    """
    from voicegauge.conformance.outputs import junit_xml, sarif_json, step_summary, workflow_commands

    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    if options["junit"]:
        write_file(options["junit"], junit_xml(report, strict=strict).encode())
    if options["sarif"]:
        write_file(options["sarif"], sarif_json(report, root).encode())
    if options["github"]:
        click.echo(workflow_commands(report, root), nl=False)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            # Other commands of the step write to this file too.
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(step_summary(report, line))
