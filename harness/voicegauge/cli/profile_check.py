"""Judges a server by a profile for `check --profile`: adds the options, runs the check and prints its result."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from voicegauge.cli.console import create_console, create_table, print_escaped, show_result
from voicegauge.cli.exit_status import EXIT_STATUS_BY_STOP_REASON
from voicegauge.cli.options import CommandT, OutputFile, build_live_options, reject_outputs_to_same_file
from voicegauge.cli.output_options import FailedWriteCollector
from voicegauge.errors import EXIT_FINDINGS, EXIT_NOTHING_MEASURED, EXIT_OK, UsageError
from voicegauge.files import write_file

if TYPE_CHECKING:
    from voicegauge.profiles import ProfileReport, ProfileVerdict, RequirementVerdict

_PROFILE_CHECK_OPTIONS = frozenset(
    {
        "profile",
        "key_env",
        "capabilities",
        "html_file",
        "badge_file",
        "json_path",
        "emulated",
        "faults",
        "live",
        "base_urls",
    }
    | {"allow_insecure_http", "models", "voices", "max_wait_s", "seed"}
)
"""Names of the parameters of `check` that have an effect together with `--profile`."""
_EXIT_STATUS_BY_VERDICT: dict[ProfileVerdict, int] = {
    "passed": EXIT_OK,
    "failed": EXIT_FINDINGS,
    "not-judged": EXIT_NOTHING_MEASURED,
}
_STYLE_BY_VERDICT: dict[RequirementVerdict, str] = {
    "failed": "bold red",
    "not-judged": "yellow",
    "not-offered": "cyan",
    "passed": "green",
    "not-scored": "dim",
}
"""Styles of the verdicts, in the order in which requirements are printed."""


def add_profile_options(command: CommandT) -> CommandT:
    """Add `--profile` and the options that go with it, without `--html`, which every check has."""
    for option in (
        click.option(
            "--badge",
            "badge_file",
            type=OutputFile(path_type=Path),
            metavar="FILE",
            help="Write the number of findings as an SVG badge to FILE; with --profile, the score.",
        ),
        click.option(
            "--capability",
            "capabilities",
            multiple=True,
            metavar="NAME",
            help="With --profile: count the optional requirements of a capability as required. May be repeated.",
        ),
        click.option(
            "--key-env",
            metavar="NAME",
            help="With --profile: environment variable with the key of the server.  [default: no key]",
        ),
        click.option(
            "--profile",
            metavar="ID",
            help="Judge the server at --base-url by a published list of requirements, such as openai-speech@2026-11.",
        ),
    ):
        command = option(command)
    return command


def run_profile_check(ctx: click.Context) -> int:
    """Judge a server by the profile that the user named, print and write the result, and return the exit status.

    Raises:
        UsageError: an option has no effect together with `--profile`.
    """
    _reject_ineffective_options(ctx)
    params: dict[str, Any] = ctx.params
    outputs = {"json": params["json_path"], "html": params["html_file"], "badge": params["badge_file"]}
    reject_outputs_to_same_file(**outputs)
    from voicegauge import api
    from voicegauge.cli.progress import TerminalProgress

    live = build_live_options(
        live=bool(params["live"] or params["base_urls"]),
        max_cost_usd=0.0,
        base_urls=params["base_urls"],
        account_plans=(),
        allow_insecure_http=params["allow_insecure_http"],
        models=params["models"],
        voices=params["voices"],
    )
    report = api.check_profile(
        params["profile"],
        emulated=params["emulated"],
        live=live,
        key_env=params["key_env"],
        capabilities=params["capabilities"],
        faults=params["faults"],
        seed=params["seed"],
        max_wait_s=params["max_wait_s"],
        progress=TerminalProgress(),
    )
    _write_outputs(report, params["json_path"], params["html_file"], params["badge_file"])
    stop_reason = report.check_report.stop_reason
    if stop_reason is not None:
        return EXIT_STATUS_BY_STOP_REASON[stop_reason]
    return _EXIT_STATUS_BY_VERDICT[report.verdict]


def _reject_ineffective_options(ctx: click.Context) -> None:
    if ctx.params["target_names"]:
        raise UsageError("--profile judges a server by its base URL: leave out the targets")
    for option in ctx.command.params:
        is_given = ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if is_given and option.name not in _PROFILE_CHECK_OPTIONS:
            raise UsageError(f"{option.opts[0]} has no effect with --profile, whose plan is published: leave it out")


def _write_outputs(
    report: ProfileReport, json_path: str | None, html_file: Path | None, badge_file: Path | None
) -> None:
    from voicegauge.profiles import render_profile_badge, render_profile_page

    failed_writes = FailedWriteCollector()
    with failed_writes.collect_write_error():
        show_result(report, json_path, lambda: _print_report(report))
    for path, render in ((html_file, render_profile_page), (badge_file, render_profile_badge)):
        if path is not None:
            with failed_writes.collect_write_error():
                write_file(path, render(report).encode())
                print_escaped(f"wrote {path}", to_stderr=True)
    failed_writes.raise_collected_errors()


def _print_report(report: ProfileReport) -> None:
    terminal = create_console()
    if report.check_report.doubt_reason is not None:
        terminal.print(report.check_report.doubt_reason, style="bold red", soft_wrap=True, markup=False)
    rows = create_table("result", "level", "requirement", "why")
    order = list(_STYLE_BY_VERDICT)
    for one in sorted(report.requirement_results, key=lambda result: order.index(result.verdict)):
        if one.verdict != "not-scored":
            rows.add_row(one.verdict, one.level, f"{one.id}: {one.sentence}", one.verdict_reason or "")
    terminal.print(rows)
    not_scored = ", ".join(one.id for one in report.requirement_results if one.verdict == "not-scored")
    if not_scored:
        reasons = "reasons in --html and --json"
        terminal.print(f"not scored ({reasons}): {not_scored}", style="dim", soft_wrap=True, markup=False)
    verdicts = Counter(one.verdict for one in report.requirement_results if one.level == "optional")
    optional = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in order if verdicts[verdict])
    score = report.score
    percent = "" if score.percent is None else f" ({score.percent}%)"
    missing = f", {score.required_not_judged_count} not judged" if score.required_not_judged_count else ""
    counts = f"{score.required_passed_count} of {score.required_judged_count}"
    line = f"{report.profile_id}: {counts} required passed{percent}{missing}"
    line += f"; optional: {optional}" if optional else ""
    line += f"; {score.not_scored_count} not scored"
    line += f". Stopped early: {report.check_report.stop_message}" if report.check_report.stop_message else ""
    terminal.print(line, style="bold", soft_wrap=True, markup=False)
