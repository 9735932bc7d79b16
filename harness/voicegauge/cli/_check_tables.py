"""Prints the plan, the findings and the spending of `check`, and the parts of them that `proxy` and `record` show."""

from __future__ import annotations

import statistics
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from voicegauge.cli._console import create_console, create_table, print_budget_forecast, print_table
from voicegauge.errors import EXIT_NOTHING_MEASURED, EXIT_PARTLY_MEASURED
from voicegauge.model.base import Finding, Provenance, Severity
from voicegauge.model.exchange import describe_ambiguous_requests
from voicegauge.model.price import format_price_usd
from voicegauge.printable_text import describe_repetitions, format_count, format_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from rich.text import Text

    from voicegauge.cases.case import SkippedCase
    from voicegauge.conformance.check_report import CheckReport, ResourceSummary
    from voicegauge.conformance.plan_prices import PricedPlan
    from voicegauge.conformance.spending import SpendingTotal


MAX_FINDINGS_SHOWN = 3
"""Largest number of findings printed per rule and operation. More would make the other rules hard to see; --json has
all."""
MAX_MESSAGES_SHOWN = 12
"""Largest number of different messages that are printed for a finding; --json has all."""
MAX_CASES_SHOWN = 3
"""Largest number of skipped cases named for each reason; --json has all."""
MAX_RESOURCES_SHOWN = 20
"""Largest number of remaining resources whose names are printed; --json has all."""
MAX_REASONS_SHOWN = 3
"""Largest number of reasons why words were not judged that are printed; --json has all."""
MAX_FURTHER_CONTRACT_LINES_SHOWN = 8
"""Largest number of further lines of the contract that a finding names; --json has all."""
MAX_OPERATIONS_SHOWN = 4
"""Largest number of operations that are named as not needed; --json has all. Providers have up to ninety."""
MAX_TARGETS_SHOWN = 3
"""Largest number of targets of a plan that are named as not judged; other lines name each with its reason."""
MAX_RULES_SHOWN = 3
"""Largest number of rules named in a group with equal spending. Rules that inspect the same exchanges have equal
spending."""
_PLURAL_BY_NOUN = {"operation": "operations", "status": "statuses", "state": "states", "rule": "rules"}
"""Plural of the name of each kind of entry in a contract that a check can try."""
_SEVERITY_ORDER = (Severity.ERROR, Severity.WARNING, Severity.DISPUTED, Severity.INFO)
"""The order in which findings are printed."""
_STYLE_BY_SEVERITY = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.DISPUTED: "cyan",
    Severity.INFO: "dim",
}


def print_plan(plan: PricedPlan) -> None:
    """Print the requests of a plan in the order of sending, with their prices."""
    from voicegauge.api.live_service import describe_plan, describe_resources

    terminal = create_console()
    rows = create_table("no.", "case", "expected", "cost", right_aligned_columns=("no.", "cost"))
    for number, case in enumerate(plan.cases_as_sent, start=1):
        name = case.id if case.request_count == 1 else f"{case.id} ({case.request_count} requests)"
        price = _format_usd(case.price_usd) if case.is_billable else "free"
        rows.add_row(str(number), name, case.expected_acceptance, price)
    print_table(terminal, rows)
    for sentence in plan.describe_order():
        terminal.print(sentence, style="dim", soft_wrap=True)
    _print_unplanned_cases(terminal, plan.skipped_cases)
    _print_unneeded_operations(terminal, plan.excluded_operations)
    _print_left_out_targets(terminal, plan.left_out_reason_by_target)
    unjudged = (*plan.targets_without_delivery, *(() if plan.is_short else plan.left_out_reason_by_target))
    if unjudged:
        status = EXIT_NOTHING_MEASURED if plan.targets_without_delivery else EXIT_PARTLY_MEASURED
        terminal.print(
            f"not judged, because no delivery is planned: {format_names(unjudged, MAX_TARGETS_SHOWN)}. The check will "
            f"end with exit status {status}, or 1 with findings",
            style="yellow",
        )
    _print_spending_totals(terminal, "by kind", plan.spending.total_by_case_kind)
    _print_spending_totals(terminal, "by target", plan.spending.total_by_target)
    largest = plan.case_with_largest_reservation
    if largest is not None and plan.provenance is Provenance.LIVE:
        terminal.print(
            f"largest reservation: {_format_usd(largest.reserved_usd)} for {largest.id}: it should be rejected at no "
            "cost, and is not sent if less is left of --max-cost",
            style="dim",
        )
    for line in describe_resources(plan):
        terminal.print(line, style="yellow")
    terminal.print(describe_plan(plan), style="bold")
    if plan.budget_forecast is not None:
        print_budget_forecast(terminal, plan.budget_forecast, limits_billable_requests=plan.is_short)


def _print_unplanned_cases(terminal: Console, cases: Sequence[SkippedCase]) -> None:
    """Print the cases that are not planned; those with the same reason in one line."""
    ids_by_reason: dict[str, list[str]] = {}
    for case in cases:
        ids_by_reason.setdefault(case.skip_reason, []).append(case.id)
    for reason, ids in ids_by_reason.items():
        named = format_names(ids, 1, hint=" (--json has all)")
        terminal.print(f"not planned: {named}: {reason}", style="dim")


def _print_left_out_targets(terminal: Console, reason_by_target: Mapping[str, str]) -> None:
    """Print the targets that are left out; those with the same reason in one line."""
    targets_by_reason: dict[str, list[str]] = {}
    for target, reason in reason_by_target.items():
        targets_by_reason.setdefault(reason, []).append(target)
    for reason, targets in targets_by_reason.items():
        names = ", ".join(targets)
        text = f"left out, each because {reason}: {names}" if len(targets) > 1 else f"left out: {names}: {reason}"
        terminal.print(text, style="yellow")


def _print_unneeded_operations(terminal: Console, operations: Sequence[str]) -> None:
    """Print some of the operations that the targets do not need, in one line."""
    if operations:
        names = format_names(operations, MAX_OPERATIONS_SHOWN, hint=" (--json has all)")
        terminal.print(f"left out, not needed by the targets: {names}", style="dim")


def print_report(report: CheckReport) -> None:
    """Print the findings, the spending and a summary line."""
    terminal = create_console()
    if report.doubt_reason is not None:
        terminal.print(report.doubt_reason, style="bold red")
    if report.doubt_reason is None:
        for group in _group_findings(report.findings):
            _print_findings_of_rule(terminal, group)
    elif report.findings:
        print_finding_counts(terminal, report.findings)
        terminal.print("without details, because these may all be consequences (--json has all)\n", style="dim")
    if report.findings:
        first = _group_findings(report.findings)[0][0]
        terminal.print(f"why a rule matters: voicegauge explain {first.rule}", style="dim")
    if report.emulator_notice is not None:
        terminal.print(report.emulator_notice)
    _print_skipped_cases(terminal, report)
    for entry in report.unused_baseline_entries:
        terminal.print(f"no longer found, take it out of the baseline: {entry}", style="dim")
    _print_unneeded_operations(terminal, report.excluded_operations)
    _print_interruptions(terminal, report)
    print_resources(terminal, report.resources)
    _print_spending(terminal, report)
    for line in describe_ambiguous_requests(report.ambiguous_requests):
        terminal.print(line)
    _print_last_lines(terminal, report)


def _print_last_lines(terminal: Console, report: CheckReport) -> None:
    from voicegauge.conformance.check_report import describe_result

    if report.coverage_percent is not None:
        terminal.print(format_coverage(report))
    if report.todo_notice is not None:
        terminal.print(report.todo_notice, style="yellow")
    terminal.print(describe_result(report), style="bold")


def format_coverage(report: CheckReport) -> str:
    """Return one line that says how many of the contracts' operations, statuses, states and so on were tried."""
    from voicegauge.conformance.coverage import count_coverage_by_kind

    parts = []
    for kind, (inside, outside, total) in count_coverage_by_kind(report.coverage).items():
        if kind == "constraint":
            parts.append(f"{inside} of {total} constraints inside and {outside} outside")
        else:
            tried = sum(
                entry.reached_goal_count for entry in report.coverage if entry.kind == kind and entry.is_applicable
            )
            parts.append(f"{tried} of {total} {_PLURAL_BY_NOUN[kind]}")
    return f"tried {report.coverage_percent:g}%: {', '.join(parts)} (--json has the rest, with reasons)"


def _group_findings(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return the findings by severity, rule and operation, the most severe ones first."""
    ordered = sorted(findings, key=lambda f: (_SEVERITY_ORDER.index(f.severity), f.rule, _format_operation(f)))
    return [list(group) for _, group in groupby(ordered, key=lambda f: (f.severity, f.rule, _format_operation(f)))]


def _format_operation(finding: Finding) -> str:
    return f"{finding.where.provider}/{finding.where.operation or ''}"


def _format_finding_title(finding: Finding) -> Text:
    from rich.text import Text

    return Text.assemble(
        (finding.severity.value, _STYLE_BY_SEVERITY[finding.severity]),
        f" {finding.rule}  ",
        (_format_operation(finding), "bold"),
    )


def _print_findings_of_rule(terminal: Console, findings: list[Finding]) -> None:
    terminal.print(_format_finding_title(findings[0]))
    for finding in findings[:MAX_FINDINGS_SHOWN]:
        _print_finding(terminal, finding)
    if len(findings) > MAX_FINDINGS_SHOWN:
        terminal.print(
            f"  ... and {format_count(len(findings) - MAX_FINDINGS_SHOWN, 'location')} more (--json has all)",
            style="dim",
        )
    terminal.print()


class NewFindingPrinter:
    """Prints findings at the moment at which they occur."""

    def __init__(self, terminal: Console) -> None:
        """Create a printer that prints on `terminal`."""
        self._terminal = terminal
        self._last_group: tuple[str, str, str | None] | None = None

    def print_finding(self, finding: Finding) -> None:
        """Print a finding; only its message if it has the rule, operation and command of the finding printed before."""
        group = (finding.rule, _format_operation(finding), finding.reproduction_command)
        if group == self._last_group:
            self._terminal.print(f"  {finding.message}")
        else:
            self._last_group = group
            self._terminal.print(_format_finding_title(finding))
            _print_finding(self._terminal, finding)


def print_finding_counts(terminal: Console, findings: Sequence[Finding]) -> None:
    """Print one line per rule and operation, with the number of findings."""
    for group in _group_findings(findings):
        count = sum(finding.occurrence_count for finding in group)
        terminal.print(_format_finding_title(group[0]).append(f"  {format_count(count, 'time')}"))


def _print_finding(terminal: Console, finding: Finding) -> None:
    from voicegauge.conformance.check_report import format_other_operations

    messages = finding.message_counts or {finding.message: finding.occurrence_count}
    shown = list(messages.items())[:MAX_MESSAGES_SHOWN]
    hidden = len(messages) - len(shown)
    lines = [
        *(("", f"{message}  ({count} times)" if count > 1 else message) for message, count in shown),
        ("... and ", f"{hidden} more messages (--json has all)" if hidden else ""),
        *(("also ", f"{rule}: {message}") for rule, message in finding.same_cause_messages.items()),
        ("also in ", format_other_operations(finding)),
        ("at ", _format_location(finding)),
        ("case ", finding.case_id),
        ("seen ", finding.evidence),
        ("disputed: ", finding.satisfied_claim),
        ("", finding.reproduction_command or finding.reproduction_test),
    ]
    for label, text in lines:
        for line in (text or "").splitlines():
            terminal.print(f"  {label}{line}", style="dim" if label else None)


def _format_location(finding: Finding) -> str:
    where = finding.where
    if where.contract_file is None:
        return ""
    path = Path(where.contract_file)
    # Relative, as editors and terminals open it from where the command was called.
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    lines = [place.contract_line for place in finding.locations if place.contract_file == where.contract_file]
    others = [str(line) for line in dict.fromkeys(lines) if line and line != where.contract_line]
    also = f" and {', '.join(others[:MAX_FURTHER_CONTRACT_LINES_SHOWN])}" if others else ""
    return f"{shown}:{where.contract_line}{also}" if where.contract_line else str(shown)


def _print_skipped_cases(terminal: Console, report: CheckReport) -> None:
    reasons: dict[str, list[str]] = {}
    for case in report.case_results:
        if case.verdict == "skipped":
            reasons.setdefault(case.not_judged_reason or "", []).append(case.id)
    for reason, ids in reasons.items():
        terminal.print(f"no verdict in {format_count(len(ids), 'case')}: {reason}", style="dim")
        names = format_names(ids, MAX_CASES_SHOWN, separator="; ", hint=" (--json has all)")
        terminal.print(f"  {names}", style="dim")
    print_unjudged_speech(terminal, report)
    _print_left_out_targets(terminal, report.left_out_reason_by_target)
    for name, reason in (*report.not_judged_reason_by_name.items(), *report.unmatched_request_reason_by_name.items()):
        terminal.print(f"not judged: {name}: {reason}", style="yellow")


def print_unjudged_speech(terminal: Console, report: CheckReport) -> None:
    """Print for how many deliveries words or sound were not judged, and why."""
    for what, counts in (
        ("words", report.unjudged_words_count_by_reason),
        ("sound", report.unjudged_sound_count_by_reason),
    ):
        if not counts:
            continue
        named = [f"{count}: {reason}" for reason, count in list(counts.items())[:MAX_REASONS_SHOWN]]
        more = [f"{len(counts) - len(named)} other reasons (--json has all)"] if len(counts) > len(named) else []
        clips = format_count(sum(counts.values()), "clip")
        terminal.print(
            f"{what} not judged in {clips}, so these have not passed: {'; '.join([*named, *more])}", style="yellow"
        )


def _print_interruptions(terminal: Console, report: CheckReport) -> None:
    """Print the medians, and the worst in brackets, of how targets reacted to interruptions."""
    mark = "EMULATED " if Provenance.EMULATED in report.exchange_count_by_provenance else ""
    for target, found in report.interruptions_by_target.items():
        last = [one.last_audio_ms or 0.0 for one in found]
        following = [one.next_audio_ms for one in found if one.next_audio_ms is not None]
        late_s = [one.late_audio_s for one in found if one.late_audio_s is not None]
        times = f"last audio {statistics.median(last):.0f} ms ({max(last):.0f}) after the cancellation"
        if late_s:
            times += f", {statistics.median(late_s):.2f} s ({max(late_s):.2f}) of speech too late"
        if following:
            times += f", next speech after {statistics.median(following):.0f} ms ({max(following):.0f})"
        count = format_count(len(found), "interruption")
        terminal.print(f"{mark}{count} of {target}: {times}{_describe_unreliable_interruptions(report, target)}")


def _describe_unreliable_interruptions(report: CheckReport, target: str) -> str:
    """Return a remark that times of interruptions are not reliable; empty if each next turn says its own text.

    Without contexts, late audio of a cancelled turn is taken for the speech of the next one.
    """
    rules = {
        finding.rule
        for finding in report.findings
        if finding.rule in ("socket-text-differs", "socket-speech-differs")
        and any(place.target == target for place in finding.locations)
        and "interruption" in (finding.case_id or "")
    }
    return (
        f"; not reliable, as late audio may count as the next speech: see {', '.join(sorted(rules))}" if rules else ""
    )


def print_resources(terminal: Console, resource_summary: ResourceSummary) -> None:
    """Print how many resources were created and deleted, and those that stay in the account."""
    from voicegauge.conformance.service_check import describe_remaining_resources

    if resource_summary.created_count:
        counts = f"{resource_summary.created_count} created, {resource_summary.deleted_count} deleted"
        terminal.print(f"resources in the account: {counts}", style="dim")
    remaining = describe_remaining_resources(resource_summary.remaining_resources)
    for line in remaining[:MAX_RESOURCES_SHOWN]:
        terminal.print(f"left in the account: {line}", style="yellow")
    more = len(remaining) - MAX_RESOURCES_SHOWN
    if more > 0:
        terminal.print(f"left in the account: {more} more (--json has all)", style="yellow")


def _print_spending(terminal: Console, report: CheckReport) -> None:
    """Print how many requests were sent and, of a live service, the requests and dollars by kind, target and rule."""
    spending = report.spending
    if not spending.total.request_count:
        return
    if report.case_results and spending.total.request_count != len(report.case_results):
        count = format_count(spending.total.request_count, "request")
        count += f" for {format_count(len(report.case_results), 'case')}"
        terminal.print(f"sent: {count}, with polls, downloads and repetitions", style="dim")
    if repeated := describe_repetitions(report.repetition_count_by_status):
        terminal.print(repeated, style="yellow")
    if Provenance.LIVE not in report.exchange_count_by_provenance:
        return  # nobody was paid: what was spent on what is in the JSON
    if spending.total.billable_request_count:
        accepted = format_count(spending.total.billable_request_count, "request")
        terminal.print(
            f"billable: {accepted}, accepted or perhaps charged; the plan counts those that should be", style="dim"
        )
    _print_spending_totals(terminal, "spent by kind", spending.total_by_case_kind)
    _print_spending_totals(
        terminal, "by target", _add_row_for_untargeted_spending(spending.total_by_target, spending.total)
    )
    equal: dict[SpendingTotal, list[str]] = {}
    for rule, total in spending.total_by_rule.items():
        equal.setdefault(total, []).append(rule)
    if equal:
        terminal.print("by rule, where a request counts for each rule that judged it:", style="dim")
    for total, rules in equal.items():
        terminal.print(f"  {format_names(rules, MAX_RULES_SHOWN)}: {_describe_spending_total(total)}", style="dim")


def _add_row_for_untargeted_spending(
    total_by_target: Mapping[str, SpendingTotal], overall_total: SpendingTotal
) -> dict[str, SpendingTotal]:
    """Return the spending by target with a row for requests that belong to no target, so that the sum is the total."""
    from voicegauge.conformance.spending import SpendingTotal

    rest = SpendingTotal(
        request_count=overall_total.request_count - sum(one.request_count for one in total_by_target.values()),
        billable_request_count=overall_total.billable_request_count
        - sum(one.billable_request_count for one in total_by_target.values()),
        spent_usd=round(overall_total.spent_usd - sum(one.spent_usd for one in total_by_target.values()), 6),
    )
    return {**total_by_target, **({"of no target": rest} if total_by_target and rest.request_count else {})}


def _print_spending_totals(terminal: Console, label: str, totals: Mapping[str, SpendingTotal]) -> None:
    parts = [f"{name}: {_describe_spending_total(total)}" for name, total in totals.items()]
    if parts:
        terminal.print(f"{label}: {'; '.join(parts)}", style="dim")


def _describe_spending_total(spending_total: SpendingTotal) -> str:
    requests = format_count(spending_total.request_count, "request")
    dollars = f", {_format_usd(spending_total.spent_usd)}" if spending_total.spent_usd else ""
    if not spending_total.billable_request_count and not dollars:
        return requests
    return f"{requests} ({spending_total.billable_request_count} billable{dollars})"


def _format_usd(amount_usd: float | None) -> str:
    return "not known" if amount_usd is None else format_price_usd(amount_usd)
