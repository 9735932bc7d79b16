"""Adds options for output files, annotations and baselines to `check` and `drift`, and applies them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from voicegauge.cli.console import print_escaped
from voicegauge.cli.options import CommandT, OutputFile, reject_outputs_to_same_file
from voicegauge.errors import StorageError, UsageError

if TYPE_CHECKING:
    from voicegauge.conformance import CheckReport
    from voicegauge.drift import DriftLevel, DriftReport
    from voicegauge.model import Severity

    ReportT = TypeVar("ReportT", CheckReport, DriftReport)

ASSIGNABLE_SEVERITIES = ("error", "warning", "info")
"""Severities that a user can set. "disputed" is not among them, because it follows from the documents."""


class FailedWriteCollector:
    """Collects the errors of files that cannot be written, so that the result and the other files are still written.

    Each method of `OutputOptions` that writes files takes a collector, and the command calls `raise_collected_errors`
    at its end.
    """

    def __init__(self) -> None:
        """Create a collector without errors."""
        self._messages: list[str] = []

    @contextmanager
    def collect_write_error(self) -> Iterator[None]:
        """If the context raises the error of a file that cannot be written, suppress the error and remember it."""
        try:
            yield
        except StorageError as error:
            self._messages.append(str(error))

    def raise_collected_errors(self) -> None:
        """Raise the collected errors as one, if there are any.

        Raises:
            StorageError: a file could not be written.
        """
        if self._messages:
            raise StorageError("; ".join(dict.fromkeys(self._messages)))


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The values of the options that `add_output_options` adds, and of `--json`."""

    json_path: str | None
    junit_file: Path | None
    sarif_file: Path | None
    html_file: Path | None
    annotate_github: bool
    baseline_file: Path | None
    new_baseline_file: Path | None

    def validate(self, **other_outputs: Path | None) -> None:
        """Reject combinations that would overwrite or mix outputs.

        Args:
            other_outputs: further output files of the command, by option name.

        Raises:
            UsageError: JSON and annotations would both be written to standard output, or two outputs to the same file.
        """
        if self.annotate_github and self.json_path == "-":
            raise UsageError("--github writes to standard output, and so does --json -: give --json a file")
        reject_outputs_to_same_file(
            json=self.json_path,
            junit=self.junit_file,
            sarif=self.sarif_file,
            html=self.html_file,
            write_baseline=self.new_baseline_file,
            **other_outputs,
        )

    def apply_baselines(self, report: ReportT, failed_writes: FailedWriteCollector) -> ReportT:
        """Return the report without the findings that the user's baseline file accepts.

        If the user asked for a new baseline file, write it; the returned report then has all findings as accepted. An
        error of writing is added to `failed_writes`.
        """
        from voicegauge import api

        if self.baseline_file is not None:
            report = api.apply_baseline(report, self.baseline_file)
        if self.new_baseline_file is not None:
            with failed_writes.collect_write_error():
                report = api.write_baseline(report, self.new_baseline_file)
        return report

    def write_files(
        self,
        report: CheckReport | DriftReport,
        format_summary: Callable[[], str],
        failed_writes: FailedWriteCollector,
        *,
        strict: bool = False,
        fail_on: DriftLevel | None = None,
    ) -> None:
        """Write JUnit XML, SARIF, a page and GitHub's annotations, each if its option was given.

        Args:
            report: the report of `check` or `drift`.
            format_summary: function that renders the Markdown of GitHub's step summary.
            failed_writes: gets the error of each file that cannot be written.
            strict: whether warnings of a check are failures.
            fail_on: the mildest level of drift that is a failure; `None` for breaking changes.
        """
        from voicegauge import api
        from voicegauge.drift import DriftLevel

        # GitHub resolves annotations and SARIF paths against the workspace, which may be above the working directory.
        root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
        if self.junit_file is not None:
            with failed_writes.collect_write_error():
                api.write_junit(report, self.junit_file, strict=strict, fail_on=fail_on or DriftLevel.BREAKING)
        if self.sarif_file is not None:
            with failed_writes.collect_write_error():
                api.write_sarif(report, self.sarif_file, repository_folder=root)
        if self.html_file is not None:
            with failed_writes.collect_write_error():
                api.write_findings_page(report, self.html_file, strict=strict, fail_on=fail_on or DriftLevel.BREAKING)
        if self.annotate_github:
            print_escaped(api.format_github_annotations(report, repository_folder=root), with_newline=False)
            step = os.environ.get("GITHUB_STEP_SUMMARY")
            if step:
                # Appended: other commands of the step write to this file too.
                with Path(step).open("a", encoding="utf-8") as file:
                    file.write(format_summary())


def add_output_options(command: CommandT) -> CommandT:
    """Add the options of `OutputOptions`, without `--json`."""
    file = OutputFile(path_type=Path)
    for option in (
        click.option(
            "--write-baseline",
            "new_baseline_file",
            type=file,
            metavar="FILE",
            help="Accept all current findings: write them to FILE.",
        ),
        click.option(
            "--baseline",
            "baseline_file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Report only findings that are not in FILE (the accepted baseline).",
        ),
        click.option(
            "--github", "annotate_github", is_flag=True, help="Print annotations and a step summary for GitHub Actions."
        ),
        click.option(
            "--sarif", "sarif_file", type=file, metavar="FILE", help="Write the findings as SARIF 2.1.0 to FILE."
        ),
        click.option(
            "--html",
            "html_file",
            type=file,
            metavar="FILE",
            help="Write the findings as one self-contained page to FILE.",
        ),
        click.option(
            "--junit", "junit_file", type=file, metavar="FILE", help="Write the findings as JUnit XML to FILE."
        ),
    ):
        option(command)
    return command


def add_severity_option(command: CommandT) -> CommandT:
    """Add `--severity RULE=SEVERITY`, passed to the command as `severities`, a mapping from rule id to severity."""
    return click.option(
        "--severity",
        "severities",
        multiple=True,
        callback=_read_severities,
        metavar="RULE=SEVERITY",
        help="Severity of a rule: error, warning or info. May be repeated.",
    )(command)


def _read_severities(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, Severity]:
    from voicegauge.model import Severity

    found: dict[str, Severity] = {}
    for value in values:
        rule, _, severity = value.partition("=")
        if not rule or severity not in ASSIGNABLE_SEVERITIES:
            raise click.BadParameter(f"{value!r}: write RULE=error, RULE=warning or RULE=info")
        found[rule] = Severity(severity)
    return found
