"""Sends the plan of a check to a service or the emulator, and reports the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voicegauge.api.conformance_check.planning import determine_provenance
from voicegauge.api.conformance_check.reports import build_report, finish_check, report_on_storage_error
from voicegauge.api.conformance_check.services import EmulatorGetter, choose_journal_folder, open_receiver, open_service
from voicegauge.api.options import LiveOptions
from voicegauge.api.plan_sending import (
    announce_earlier_spending,
    announce_losses_on_error,
    open_journals,
    remove_ambiguous_cases,
    send_plan,
)
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import collect_contracts
from voicegauge.checks import Rule
from voicegauge.conformance import CasePlan, CheckReport, ResultCollector, price_plan
from voicegauge.contract import BaseTarget
from voicegauge.files import check_writable


@dataclass(frozen=True)
class SendingOptions:
    """The arguments of `check` that say how its requests are sent."""

    get_emulator: EmulatorGetter | None
    """Function that waits until the emulator runs, and returns it; `None` for a live service."""
    live_options: LiveOptions | None
    prices: Mapping[str, float]
    seed: int
    concurrency: int
    fuzz_request_count: int
    failures_folder: Path | None
    requested_names: tuple[str, ...] | None
    """The targets and providers that the user named; `None` if cases were chosen by patterns."""
    public_url: str | None
    listen_port: int
    max_wait_s: float | None
    retry_ambiguous_requests: bool
    on_report: Callable[[CheckReport], None] | None


def send_and_report(
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    rules: Mapping[str, Rule],
    options: SendingOptions,
    collector: ResultCollector,
    listener: ProgressListener,
) -> CheckReport:
    """Send a plan and return the report. What a live check spends is in a journal until `on_report` has returned."""
    folder = choose_journal_folder(targets, options.live_options)
    with open_journals(
        folder, collect_contracts(targets), retry_ambiguous_requests=options.retry_ambiguous_requests
    ) as journals:
        announce_earlier_spending(journals, listener)
        if options.failures_folder is not None:
            check_writable(options.failures_folder / "...")
        provenance = determine_provenance(options.live_options)
        cost = price_plan(remove_ambiguous_cases(plan, journals), targets, options.prices, provenance=provenance)
        with (
            open_service(
                targets,
                options.get_emulator,
                options.live_options,
                prices=options.prices,
                seed=options.seed,
                listener=listener,
                plan=cost,
                journals=journals,
                requested_names=options.requested_names,
                public_url=options.public_url,
            ) as settings,
            open_receiver(options.public_url, options.listen_port) as receiver,
            announce_losses_on_error(journals, listener),
            report_on_storage_error(
                collector, lambda: build_report(collector, None, rules, journals), options.on_report
            ),
        ):
            settings = replace(
                settings,
                rules=rules,
                fuzz_request_count=options.fuzz_request_count,
                fuzz_failures_folder=options.failures_folder,
                concurrency=options.concurrency,
                callback_receiver=receiver,
                max_wait_s=options.max_wait_s,
            )
            stop_reason = send_plan(targets, plan, settings, collector, listener)
        return finish_check(collector, stop_reason, rules, journals, options.on_report)
