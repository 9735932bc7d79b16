"""Builds the report of a check, also of one that is broken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from voicegauge.checks import RULE_BY_ID, Rule
from voicegauge.conformance import CaseJournals, CheckReport, Collector
from voicegauge.errors import StorageError
from voicegauge.model import StopReason


def finish_check(
    collector: Collector,
    stop_reason: StopReason | None,
    rules: Mapping[str, Rule],
    journals: CaseJournals,
    on_report: Callable[[CheckReport], None] | None,
) -> CheckReport:
    """Return the report after passing it on; only then is it forgotten what the check has paid for."""
    report = build_report(collector, stop_reason, rules, journals)
    if on_report is not None:
        on_report(report)
    journals.forget_requests(keep_ambiguous_requests=stop_reason == "interrupted")
    return report


@contextmanager
def report_on_full_disk(
    collector: Collector, build_report: Callable[[], CheckReport], on_report: Callable[[CheckReport], None] | None
) -> Iterator[None]:
    """Report what was judged so far if what is paid for cannot be saved; the error is raised afterwards."""
    try:
        yield
    except StorageError as error:
        collector.stopped_by = str(error)
        if on_report is not None:
            on_report(build_report())
        raise


def build_report(
    collector: Collector,
    stop_reason: StopReason | None,
    rules: Mapping[str, Rule] = RULE_BY_ID,
    journals: CaseJournals | None = None,
) -> CheckReport:
    """Return the report with what only the caller knows: why the check ended, and what earlier commands have spent."""
    applied = () if rules.keys() == RULE_BY_ID.keys() else tuple(rules)
    return msgspec.structs.replace(
        collector.build_report(),
        stop_reason=stop_reason,
        rules=applied,
        spent_before_usd=journals.spent_before_usd if journals is not None else 0.0,
        ambiguous_requests=journals.ambiguous_requests if journals is not None else (),
    )
