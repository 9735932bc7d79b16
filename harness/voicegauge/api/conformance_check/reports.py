"""Builds the report of a check, even if the check ended early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from voicegauge.checks import RULE_BY_ID, Rule
from voicegauge.conformance import CaseJournals, CheckReport, ResultCollector
from voicegauge.errors import StorageError
from voicegauge.model import StopReason


def finish_check(
    collector: ResultCollector,
    stop_reason: StopReason | None,
    rules: Mapping[str, Rule],
    journals: CaseJournals,
    on_report: Callable[[CheckReport], None] | None,
) -> CheckReport:
    """Build the report, pass it to `on_report`, and return it.

    The journals of what the check has spent are deleted only after `on_report` returns, so that the spending is not
    forgotten if the process is killed before.
    """
    report = build_report(collector, stop_reason, rules, journals)
    if on_report is not None:
        on_report(report)
    journals.forget_requests(keep_ambiguous_requests=stop_reason == "interrupted")
    return report


@contextmanager
def report_on_storage_error(
    collector: ResultCollector, build_report: Callable[[], CheckReport], on_report: Callable[[CheckReport], None] | None
) -> Iterator[None]:
    """Pass the report so far to `on_report` if the context raises a `StorageError`, and raise that error again."""
    try:
        yield
    except StorageError as error:
        collector.stop_message = str(error)
        if on_report is not None:
            on_report(build_report())
        raise


def build_report(
    collector: ResultCollector,
    stop_reason: StopReason | None,
    rules: Mapping[str, Rule] = RULE_BY_ID,
    journals: CaseJournals | None = None,
) -> CheckReport:
    """Return the report, with the reason for an early end of the check and what earlier commands have spent."""
    applied = () if rules.keys() == RULE_BY_ID.keys() else tuple(rules)
    return msgspec.structs.replace(
        collector.build_report(),
        stop_reason=stop_reason,
        rules=applied,
        spent_by_earlier_runs_usd=journals.spent_by_earlier_runs_usd if journals is not None else 0.0,
        ambiguous_requests=journals.ambiguous_requests if journals is not None else (),
    )
