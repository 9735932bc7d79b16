"""Makes the options and arguments of commands from declared fields, and declares those about output files."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from voicegauge.cli._console import print_escaped
from voicegauge.errors import StorageError, UsageError, VoicegaugeError
from voicegauge.files import BASELINE_MARK, PAGE_MARK, check_replaceable, check_writable, write_file
from voicegauge.options import (
    Completion,
    DeclaredOption,
    OptionRole,
    OptionSpec,
    PathKind,
    Trust,
    describe_bounds,
    is_given,
    is_in_bounds,
    option,
    request,
)
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from voicegauge.conformance.check_report import CheckReport
    from voicegauge.drift.drift_report import DriftLevel, DriftReport
    from voicegauge.outputs.result_summary import ResultSummary

    ReportT = TypeVar("ReportT", CheckReport, DriftReport)


# Types of values.


class NumberType(click.ParamType[float]):
    """A whole or other number within the declared bounds; `nan` and infinities are rejected."""

    def __init__(self, declared: DeclaredOption) -> None:
        """Create the type of the numbers that the option `declared` takes."""
        self._spec, self._number_type = declared.spec, declared.shape.item_type
        self.name = "integer" if self._number_type is int else "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return `value` as a number within the bounds of the option; any other value is an error of the user.

        The error names `param` and the command of `ctx`; both are `None` outside of a command.
        """
        try:
            # `int` cuts off the fraction of a number in a settings file, but rejects its text. 3.0 is whole.
            is_fraction = self._number_type is int and isinstance(value, float) and not value.is_integer()
            number: float = self._number_type(str(value) if is_fraction else value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        # A limit of nan is never exceeded, because every comparison with it is false.
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        if not is_in_bounds(number, self._spec):
            # Who thinks of percent gets the share that is meant.
            is_percent = self._spec.metavar == "SHARE" and self._spec.maximum == 1 and 1 < number <= 100
            hint = f" For {number:g}%, write {number / 100:g}." if is_percent else ""
            self.fail(f"{number} is not a number {describe_bounds(self._spec)}.{hint}", param, ctx)
        return number


class ParsedType(click.ParamType[Any]):
    """Type of an option whose values are read by the function that its declaration names."""

    name = "value"

    def __init__(self, parse: Callable[[str], Any]) -> None:
        """Create the type of an option whose values `parse` reads."""
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what `parse` reads from `value`; a `UsageError` becomes the error of the option.

        The error names `param` and the command of `ctx`; both are `None` outside of a command.
        """
        try:
            return self._parse(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


class OutputFile(click.Path):
    """A file to write; missing folders are created. A file that cannot be written is rejected before any work."""

    def __init__(self, path_type: type[Path | str], replaced_mark: bytes | None = None) -> None:
        """Create the type of an output file.

        Args:
            path_type: type of the value: `Path`, or `str` if "-" is also allowed.
            replaced_mark: what an existing file must contain to be replaced; `None` if any file is replaced.
        """
        super().__init__(path_type=path_type)
        self._replaced_mark = replaced_mark

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return `value` as the path of a file that can be written. "-", standard output, is a text, not a path.

        An error names `param` and the command of `ctx`; both are `None` outside of a command.
        """
        # A `Path` of "-" would be a file of that name.
        if value == "-" and self.type is not str:
            self.fail("only JSON and reports can be written to standard output: name a file", param, ctx)
        if value != "-":
            _reject_unwritable_file(self, Path(value), param, ctx, self._replaced_mark)
        return super().convert(value, param, ctx)


class OutputFolder(click.Path):
    """A folder to write to, as a `Path`. It is created if missing. If it cannot be written to, it is rejected early."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return `value` as the path of a folder that files can be written to.

        An error names `param` and the command of `ctx`; both are `None` outside of a command.
        """
        _reject_unwritable_file(self, Path(value) / "...", param, ctx)
        return super().convert(value, param, ctx)


def _reject_unwritable_file(
    path_type: click.Path,
    file: Path,
    param: click.Parameter | None,
    ctx: click.Context | None,
    replaced_mark: bytes | None = None,
) -> None:
    try:
        check_writable(file)
        if replaced_mark is not None:
            check_replaceable(file, replaced_mark)
    except UsageError as error:
        path_type.fail(str(error), param, ctx)


def reject_outputs_to_same_file(**files: str | Path | None) -> None:
    """Reject two outputs to the same file, because the later one would overwrite the earlier one.

    Args:
        files: output files by option name; "-" and `None` are ignored.

    Raises:
        UsageError: two of the files are the same.
    """
    named: dict[Path, str] = {}
    for name, file in files.items():
        if file is not None and str(file) != "-":
            # Resolved, because two paths may lead to one file.
            other = named.setdefault(Path(file).resolve(), name)
            if other != name:
                flags = f"--{other} and --{name}".replace("_", "-")
                raise UsageError(f"{flags} name the same file: choose two files")


# Makes click's parameters of declared fields.


class RequestOption(click.Option):
    """An option of a command that was made of a declared field."""

    def __init__(self, declared: DeclaredOption, required_flags: Sequence[str]) -> None:
        """Create the option of a field that has an effect only with one of `required_flags`."""
        self.declared = declared
        shape, spec = declared.shape, declared.spec
        names = [f"{declared.flag}/{spec.off_flag}" if spec.off_flag else declared.flag, declared.name]
        is_flag = shape.item_type is bool
        default = None if declared.default is dataclasses.MISSING else declared.default
        shows_default = not is_flag and not shape.is_multiple and default is not None and spec.default_text is None
        super().__init__(
            names,
            is_flag=is_flag,
            type=None if is_flag else _choose_parameter_type(declared),
            default=() if shape.is_multiple else False if is_flag else default,
            multiple=shape.is_multiple,
            metavar=spec.metavar,
            show_default=shows_default and is_given(default),
            envvar=spec.environment_variable,
            show_envvar=spec.environment_variable is not None,
            help=_build_option_help(declared, required_flags),
            shell_complete=create_completer(declared.spec.completion),
        )


def _choose_parameter_type(declared: DeclaredOption) -> click.ParamType[Any] | None:
    shape, spec = declared.shape, declared.spec
    if spec.parse is not None:
        return ParsedType(spec.parse)
    if shape.choices:
        return click.Choice(shape.choices)
    if shape.item_type in {int, float}:
        return NumberType(declared)
    if shape.item_type is Path or spec.path is not PathKind.ANY:
        return _choose_path_type(spec, Path if shape.item_type is Path else str)
    return click.STRING


def _choose_path_type(spec: OptionSpec, path_type: type[Path | str]) -> click.Path:
    if spec.path is PathKind.OUTPUT_FOLDER:
        return OutputFolder()
    if spec.path is PathKind.OUTPUT_FILE:
        return OutputFile(path_type, spec.replaced_mark)
    is_file = spec.path is PathKind.EXISTING_FILE
    return click.Path(exists=is_file or spec.path is PathKind.EXISTING, dir_okay=not is_file, path_type=path_type)


def _build_option_help(declared: DeclaredOption, required_flags: Sequence[str]) -> str:
    """Return the help of an option, which names the flags that it requires."""
    spec, text = declared.spec, declared.spec.help
    if required_flags:
        start = text[0].lower() if text[1:2].islower() else text[0]
        text = f"With {' or '.join(required_flags)}: {start}{text[1:]}"
    if declared.shape.is_multiple:
        text += " May be repeated."
    return text if spec.default_text is None else f"{text}  [default: {spec.default_text}]"


def build_parameter(declared: DeclaredOption, options: Sequence[DeclaredOption]) -> click.Parameter:
    """Return the click parameter for an option or argument.

    Args:
        declared: the option or argument.
        options: all options of the command, among them those that `declared` requires.
    """
    if declared.spec.role is not OptionRole.ARGUMENT:
        return RequestOption(declared, [one.flag for one in options if one.name in declared.requires])
    is_repeated, is_required = declared.shape.is_repeated, declared.default is dataclasses.MISSING
    # To click, a default of `None` is a value: with one, a required argument would never be missing.
    default = {} if is_required else {"default": None if is_repeated else declared.default}
    return click.Argument(
        [declared.name],
        nargs=-1 if is_repeated else 1,
        required=is_required,
        **default,
        type=_choose_parameter_type(declared),
        metavar=declared.spec.metavar,
        shell_complete=create_completer(declared.spec.completion),
    )


# Completes known names in a shell: providers, targets, rules, faults and suites.


def create_completer(completion: Completion | None) -> Callable[..., list[CompletionItem]] | None:
    """Return what click calls to complete a value of an option; `None` if `completion` is: no names are known."""
    if completion is None:
        return None
    return lambda _ctx, _param, incomplete: complete_name(completion, incomplete)


def complete_name(completion: Completion, incomplete: str) -> list[CompletionItem]:
    """Return the known names that begin with `incomplete`, each with a short text about it.

    For targets, providers are completed first; after a slash, the targets of the provider, so that one contract is
    loaded instead of all.
    """
    return [
        CompletionItem(name, help=about)
        for name, about in _list_name_descriptions(completion, incomplete).items()
        if name.startswith(incomplete)
    ]


def _list_name_descriptions(completion: Completion, incomplete: str) -> dict[str, str]:
    """Return the names that a shell can complete for this kind of argument, each with its description.

    Imports are inside the function so that commands start without their cost.
    """
    match completion:
        case Completion.PROVIDER:
            from voicegauge.contract.loading import load_catalogue

            return dict.fromkeys(load_catalogue().provider_ids, "provider")
        case Completion.TARGET:
            provider_id, slash, _ = incomplete.partition("/")
            return (
                _list_target_descriptions(provider_id)
                if slash
                else _list_name_descriptions(Completion.PROVIDER, incomplete)
            )
        case Completion.RULE:
            from voicegauge.api.listings import list_rules

            listed = list_rules()
            return {row.id: row.description for row in listed.check_rules} | {
                row.id: row.description for row in listed.drift_rules
            }
        case Completion.FAULT:
            from voicegauge.emulator.fault_injection import FAULTS

            return {name: fault.description for name, fault in FAULTS.items()}
        case Completion.SUITE:
            from voicegauge.bench.suites import list_suite_names

            return dict.fromkeys(list_suite_names(), "suite")


def _list_target_descriptions(provider_id: str) -> dict[str, str]:
    """Return the targets of a provider; none if its contract cannot be loaded, as the command itself will say."""
    from voicegauge.api.listings import list_providers

    try:
        (provider,) = list_providers(provider_id).providers
    except VoicegaugeError:
        return {}
    return {row.id: row.title for row in provider.targets}


# Declares the options for output files, annotations and baselines, and applies them.


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
    """Return the declaration of an option for a file that a command writes; `spec` has more fields of `OptionSpec`."""
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
            failed_writes: collects the error of each file that cannot be written.
            annotation: workflow commands of GitHub Actions; `None` for one about the whole result.
            markdown: the Markdown of the result; `None` for that of the summary.
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
            failed_writes: collects the error of each file that cannot be written.
            strict: whether warnings of a check are failures.
            fail_on: the mildest level of drift that is a failure; `None` for breaking changes.
            markdown: see `write_summaries`.
            unmet_limits: what makes the command fail besides findings: a sentence for each option; `None` for nothing.
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
