"""Declares the options for output files, annotations and baselines, and applies them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from voicegauge.cli._console import print_escaped
from voicegauge.cli._options import reject_outputs_to_same_file
from voicegauge.errors import StorageError, UsageError
from voicegauge.files import BASELINE_MARK, PAGE_MARK, write_file
from voicegauge.options import PathKind, Trust, option, request
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from voicegauge.conformance.check_report import CheckReport
    from voicegauge.drift.drift_report import DriftLevel, DriftReport
    from voicegauge.outputs.result_summary import ResultSummary

    ReportT = TypeVar("ReportT", CheckReport, DriftReport)


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


@request
class JsonOutput:
    """The option of a command that can write its result as JSON."""

    json_path: str | None = option(
        default=None,
        flag="--json",
        help="Write the result as JSON to FILE; - for standard output.",
        metavar="FILE",
        path=PathKind.OUTPUT_FILE,
        found_file=Trust.NEW_OUTPUT,
    )


def output_file_option(help_text: str, *, flag: str, **spec: Any) -> Any:
    """Declare a file that a command writes."""
    return option(
        default=None,
        flag=flag,
        help=help_text,
        metavar="FILE",
        path=PathKind.OUTPUT_FILE,
        found_file=Trust.NEW_OUTPUT,
        **spec,
    )


@request
class SummaryOutputs(JsonOutput):
    """Where a command sums up its result for readers elsewhere."""

    annotate_github: bool = option(
        default=False,
        flag="--github",
        help="Print annotations and a step summary for GitHub Actions.",
        found_file=Trust.ANY_VALUE,
    )
    markdown_file: Path | None = output_file_option("Write a summary in Markdown to FILE.", flag="--markdown")
    slack_file: Path | None = output_file_option(
        "Write a message for a Slack webhook to FILE, as JSON.", flag="--slack"
    )
    prometheus_file: Path | None = output_file_option(
        "Write the numbers in Prometheus's text format to FILE.", flag="--prometheus"
    )

    def reject_conflicting_outputs(self, **other_outputs: Path | None) -> None:
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
            markdown=self.markdown_file,
            slack=self.slack_file,
            prometheus=self.prometheus_file,
            **other_outputs,
        )

    def write_summaries(
        self,
        summary: ResultSummary,
        failed_writes: FailedWriteCollector,
        *,
        annotation: str | None = None,
        markdown: str | None = None,
    ) -> None:
        """Write the summary in each form whose option was given.

        Args:
            summary: the result in a few lines and tables.
            failed_writes: list to which the error of each file that cannot be written is appended.
            annotation: workflow commands of GitHub Actions; by default one for the whole result.
            markdown: the Markdown of the result if it is not that of the summary.
        """
        from voicegauge.outputs.result_summary import (
            format_prometheus_text,
            format_summary_annotation,
            format_summary_markdown,
            format_summary_slack,
        )

        markdown = format_summary_markdown(summary) if markdown is None else markdown
        formats: tuple[tuple[Path | None, Callable[[], str]], ...] = (
            (self.markdown_file, lambda: markdown),
            (self.slack_file, lambda: format_summary_slack(summary)),
            (self.prometheus_file, lambda: format_prometheus_text(summary)),
        )
        for path, render in formats:
            if path is not None:
                with failed_writes.collect_write_error():
                    write_file(path, render().encode())
        if self.annotate_github:
            print_escaped(annotation or format_summary_annotation(summary), with_newline=False)
            step = os.environ.get("GITHUB_STEP_SUMMARY")
            if step:
                # Appended: other commands of the step write to this file too.
                with Path(step).open("a", encoding="utf-8") as file:
                    file.write(markdown)


@request
class OutputOptions(SummaryOutputs):
    """The files, annotations and baselines of `check` and `drift`."""

    junit_file: Path | None = output_file_option("Write the findings as JUnit XML to FILE.", flag="--junit")
    html_file: Path | None = output_file_option(
        "Write the findings as one self-contained page to FILE.", flag="--html", replaced_mark=PAGE_MARK
    )
    sarif_file: Path | None = output_file_option("Write the findings as SARIF 2.1.0 to FILE.", flag="--sarif")
    baseline_file: Path | None = option(
        default=None,
        flag="--baseline",
        help="Report only findings that are not in FILE (the accepted baseline).",
        metavar="FILE",
        found_file=Trust.PATH_IN_FOLDER,
    )
    new_baseline_file: Path | None = output_file_option(
        "Accept all current findings: write them to FILE.", flag="--write-baseline", replaced_mark=BASELINE_MARK
    )

    def validate(self, **other_outputs: Path | None) -> None:
        """Reject combinations that would overwrite or mix outputs, and a baseline that is not usable.

        The baseline is read again when it is applied. It is read in advance, so that its error comes before anything
        is sent.

        Raises:
            UsageError: see `reject_conflicting_outputs`.
            DataError: the baseline cannot be read.
        """
        self.reject_conflicting_outputs(
            junit=self.junit_file,
            sarif=self.sarif_file,
            html=self.html_file,
            write_baseline=self.new_baseline_file,
            **other_outputs,
        )
        if self.baseline_file is not None:
            from voicegauge.outputs.finding_exports import load_baseline

            load_baseline(self.baseline_file)

    def apply_baselines(self, report: ReportT, failed_writes: FailedWriteCollector) -> ReportT:
        """Return the report without the findings that the user's baseline file accepts.

        If the user asked for a new baseline file, write it; the returned report then has all findings as accepted. An
        error of writing is added to `failed_writes`.
        """
        from voicegauge.api.result_files import (
            apply_baseline,
            write_baseline,
        )
        from voicegauge.conformance.check_report import CheckReport, describe_accepting_entries

        if self.baseline_file is not None:
            report = apply_baseline(report, self.baseline_file)
        if self.new_baseline_file is not None:
            with failed_writes.collect_write_error():
                report = write_baseline(report, self.new_baseline_file)
                if isinstance(report, CheckReport):
                    accepted, others = format_count(len(report.accepted_findings), "finding"), len(report.findings)
                    accepted += describe_accepting_entries(report)
                else:
                    accepted, others = format_count(len(report.accepted_changes), "change"), len(report.changes)
                text = f"wrote {self.new_baseline_file}: accepts {accepted}"
                text += f"; not in it, since they fail nothing: {others}" if others else ""
                print_escaped(text, to_stderr=True)
        return report

    def write_files(
        self,
        report: CheckReport | DriftReport,
        summary: ResultSummary,
        failed_writes: FailedWriteCollector,
        *,
        strict: bool = False,
        fail_on: DriftLevel | None = None,
        markdown: str | None = None,
        unmet_limits: Mapping[str, str] | None = None,
    ) -> None:
        """Write JUnit XML, SARIF, a page, summaries and GitHub's annotations, each if its option was given.

        Args:
            report: the report of `check` or `drift`.
            summary: the report in a few lines.
            failed_writes: list to which the error of each file that cannot be written is appended.
            strict: whether warnings of a check are failures.
            fail_on: the mildest level of drift that is a failure; `None` for breaking changes.
            markdown: see `write_summaries`.
            unmet_limits: what makes the command fail besides findings: a sentence for each option.
        """
        from voicegauge.api.result_files import (
            format_github_annotations,
            write_findings_page,
            write_junit,
            write_sarif,
        )
        from voicegauge.drift.drift_report import DriftLevel

        # GitHub resolves annotations and SARIF paths against the workspace, which may be above the working directory.
        root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
        if self.junit_file is not None:
            with failed_writes.collect_write_error():
                write_junit(
                    report,
                    self.junit_file,
                    strict=strict,
                    fail_on=fail_on or DriftLevel.BREAKING,
                    unmet_limits=unmet_limits,
                )
        if self.sarif_file is not None:
            with failed_writes.collect_write_error():
                write_sarif(report, self.sarif_file, repository_folder=root, unmet_limits=unmet_limits)
        if self.html_file is not None:
            with failed_writes.collect_write_error():
                write_findings_page(report, self.html_file, strict=strict, fail_on=fail_on or DriftLevel.BREAKING)
        self.write_summaries(
            summary,
            failed_writes,
            annotation=format_github_annotations(report, repository_folder=root),
            markdown=markdown,
        )
