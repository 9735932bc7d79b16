"""Runs a check of documented examples or of a service. An interruption does not lose the findings so far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voicegauge.checks import RULE_BY_ID, Rule
from voicegauge.client import Client, Ledger, RateLimiter
from voicegauge.conformance.case_journal import CaseJournal
from voicegauge.conformance.cases import CasePlan, ConformanceCase
from voicegauge.conformance.needed_operations import find_excluded_operations
from voicegauge.conformance.offline import judge_documented_examples
from voicegauge.conformance.reporting import BillableRequestLimit
from voicegauge.conformance.reproduction import Reproduction
from voicegauge.conformance.resources import ResourceCleanup, ResourceJournal, ResourceTracker, compute_account_checksum
from voicegauge.conformance.running import (
    CaseRunner,
    CheckedService,
    ExchangeSaver,
    ResultCollector,
    open_receiver_for_cases,
)
from voicegauge.contract import BaseTarget, Contract, Target
from voicegauge.errors import BudgetError
from voicegauge.model import Provenance
from voicegauge.receiver import Receiver
from voicegauge.transport import Clock, Transport, create_default_timeouts


@dataclass(frozen=True)
class CheckSettings:
    """Settings that decide how services are reached and checked."""

    provenance: Provenance = Provenance.EMULATED
    """Provenance of the responses."""
    base_urls_by_provider: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Base URLs by provider id, then by server name ("" for all servers)."""
    api_key_by_provider: Mapping[str, str | None] = field(default_factory=dict)
    """API keys by provider id."""
    rules: Mapping[str, Rule] = field(default_factory=lambda: RULE_BY_ID)
    """The rules to apply, by id."""
    ledger: Ledger | None = None
    """The ledger in which prices are reserved; `None` without a budget."""
    price_usd_by_name: Mapping[str, float] = field(default_factory=dict)
    """Dollars per request by target id, as set by the user."""
    rate_limiter_by_provider: Mapping[str, RateLimiter | None] = field(default_factory=dict)
    """Rate limiters by provider id, for account plans that limit requests per minute."""
    fuzz_request_count: int = 0
    """Number of random valid requests to each operation. The same number of invalid requests is sent."""
    fuzz_failures_folder: Path | None = None
    """Folder in which fuzzing saves failing examples, to try them first the next time; `None` to save nothing."""
    seed: int = 0
    """Seed of all random numbers."""
    create_clock: Callable[[], Clock] | None = None
    """Creates the clock that a client uses for waiting; `None` for the real clock."""
    max_wait_s: float | None = None
    """Maximum time of one delivery or request in seconds; `None` for as long as the contract documents."""
    save_exchanges: ExchangeSaver | None = None
    """A function that is called with the exchanges of each case that has a verdict, to record them."""
    callback_receiver: Receiver | None = None
    """Receives callbacks. If it is `None` and a case needs one, a local receiver is started for the emulator."""
    emulator_control_url: str | None = None
    """Root URL of the emulator's control routes, with which its clock can be advanced; `None` for a live service."""
    case_journal_by_provider: Mapping[str, CaseJournal] = field(default_factory=dict)
    """Journals by provider id, which record what is paid for; empty for the emulator."""
    resource_journals_folder: Path | None = None
    """Folder of the journals of created resources, with which the next run deletes what a killed run left; `None` to
    keep no journal, as for the emulator."""
    on_deletion_message: Callable[[str], None] = lambda _: None
    """A function that is called with one line about each deletion of resources that earlier runs left, also if it
    failed."""
    reproduction: Reproduction = field(default_factory=Reproduction)
    """How requests and cases can be repeated after the check."""
    concurrency: int = 1
    """Number of cases in flight; 1 if a plan limits the number of billable requests."""
    max_concurrency_by_provider: Mapping[str, int | None] = field(default_factory=dict)
    """Limits of the account's plans for requests in flight, by provider id; `None` without a limit."""
    emulator_app: Any = None
    """An ASGI application that is called in this process instead of a service on the network."""

    def get_concurrency(self, contract: Contract) -> int:
        """Return the number of cases of one provider in flight."""
        return min(self.concurrency, self.max_concurrency_by_provider.get(contract.id) or self.concurrency)

    def get_resource_journal_folder(self, contract: Contract) -> Path | None:
        """Return the folder of the journals of one provider; `None` if no journal is kept."""
        return None if self.resource_journals_folder is None else self.resource_journals_folder / contract.id


def check_documented_examples(
    contracts: Sequence[Contract], rules: Mapping[str, Rule], collector: ResultCollector
) -> None:
    """Judge every example in the documents of the providers, and add the results to `collector`."""
    for contract in contracts:
        for exchange, findings in judge_documented_examples(contract, rules):
            collector.count_exchange(Provenance.DOCUMENTED, contract.id, exchange.operation)
            collector.add_findings(findings)


async def check_service(
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    settings: CheckSettings,
    collector: ResultCollector,
    on_case_started: Callable[[ConformanceCase], None] | None = None,
) -> None:
    """Send the plan to the services of `targets` and judge the responses.

    Args:
        targets: the targets of the plan.
        plan: the cases to send.
        settings: settings that decide how the services are reached.
        collector: collects findings and results, and keeps them if an error is raised.
        on_case_started: function that is called before each case.

    Raises:
        UnreachableError: a service cannot be reached.
    """
    collector.exclude_operations(plan.excluded_operations)
    for skipped in plan.skipped_cases:
        collector.add_skipped_result(skipped.id, skipped.skip_reason)
    reasons = {skipped.id: skipped.skip_reason for skipped in plan.skipped_cases}
    for name in (
        plan.targets_without_delivery if not settings.fuzz_request_count else ()
    ):  # random requests are judged too
        limit = f"its delivery is beyond the limit of {plan.max_billable_requests} billable requests"
        collector.add_unjudged_item(name, reasons.get(name, limit))
    with open_receiver_for_cases(plan.cases, settings.callback_receiver, settings.provenance) as receiver:
        settings = replace(settings, callback_receiver=receiver)
        await _check_services(targets, plan, settings, collector, on_case_started)


async def _check_services(
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    settings: CheckSettings,
    collector: ResultCollector,
    on_case_started: Callable[[ConformanceCase], None] | None,
) -> None:
    contracts = {target.contract.id: target.contract for target in targets}
    collector.emulator_command = settings.reproduction.emulator_command
    limit = BillableRequestLimit(plan.max_billable_requests)
    async with _open_transport(settings) as transport:
        for contract in contracts.values():
            cases = [case for case in plan.cases if case.provider == contract.id]
            called = {case.operation for case in cases}
            async with _open_service(contract, transport, settings, collector, called) as service:
                try:
                    concurrency = settings.get_concurrency(contract)
                    runner = CaseRunner(service, settings.rules, collector, limit, concurrency=concurrency)
                    await runner.run_cases(cases, on_case_started)
                    await _fuzz_service(service, targets, settings, collector)
                except BudgetError as error:
                    collector.stop_message = str(error)
                    return


async def _fuzz_service(
    service: CheckedService, targets: Sequence[BaseTarget], settings: CheckSettings, collector: ResultCollector
) -> None:
    """Fuzz one speech target of each operation, because all targets of an operation have the same schema and jobs."""
    if not settings.fuzz_request_count:
        return
    # Imported here because Hypothesis takes 0.2 s to import.
    from voicegauge.conformance.fuzzing import FuzzSettings, fuzz_jobs, fuzz_target

    fuzz_settings = FuzzSettings(settings.fuzz_request_count, settings.seed, settings.fuzz_failures_folder)
    fuzz_settings = fuzz_settings.copy_with_failures_subfolder(settings.provenance.value, service.contract.id)
    first_targets: dict[str, Target] = {}
    for target in targets:
        if isinstance(target, Target) and target.contract is service.contract:
            first_targets.setdefault(target.operation.id, target)
    for target in first_targets.values():
        runner = CaseRunner(service, settings.rules, collector)
        await fuzz_target(target, runner, collector, fuzz_settings)
        if target.job_operation is not None:
            await fuzz_jobs(target, runner, fuzz_settings)


async def check_job_steps(
    target: Target, steps: Sequence[str], settings: CheckSettings, collector: ResultCollector
) -> None:
    """Take `steps`, in the notation of `StatefulJobs`, with jobs of `target`, and add findings to `collector`.

    Raises:
        UsageError: the target has no jobs, or a step is not a valid step.
        TransportError: the service did not respond.
    """
    from voicegauge.conformance.fuzzing import StatefulJobs

    collector.exclude_operations(find_excluded_operations([target], ()))
    collector.emulator_command = settings.reproduction.emulator_command
    async with (
        _open_transport(settings) as transport,
        _open_service(target.contract, transport, settings, collector) as service,
    ):
        runner = CaseRunner(service, settings.rules, collector)
        jobs = StatefulJobs(target, runner)
        try:
            for step in steps:
                runner.collect_findings(await jobs.take_step(step))
        except BudgetError as error:
            collector.stop_message = str(error)


def _open_transport(settings: CheckSettings) -> Transport:
    return Transport(app=settings.emulator_app, timeouts=create_default_timeouts(settings.max_wait_s))


async def delete_leftover_resources(contracts: Sequence[Contract], settings: CheckSettings) -> None:
    """Delete the resources that killed checks left at the servers of `contracts`.

    Each result is reported with `settings.on_deletion_message`. Nothing is sent if there are no such resources.

    Raises:
        UsageError: a base URL is not valid.
    """
    folders = {contract: settings.get_resource_journal_folder(contract) for contract in contracts}
    async with _open_transport(settings) as transport:
        for contract, folder in folders.items():
            if folder is not None and folder.is_dir():
                service = _create_service(contract, transport, settings, None)
                cleanup = ResourceCleanup(
                    service, compute_account_checksum(settings.api_key_by_provider.get(contract.id))
                )
                await cleanup.delete_leftover_resources(folder, settings.on_deletion_message)


@asynccontextmanager
async def _open_service(
    contract: Contract,
    transport: Transport,
    settings: CheckSettings,
    collector: ResultCollector,
    operation_ids: Collection[str] = (),
) -> AsyncIterator[CheckedService]:
    """Yield the service, and delete what its requests created when the context ends, even after Ctrl-C.

    Args:
        contract: the contract of the service.
        transport: an open transport.
        settings: settings that decide how the service is reached.
        collector: gets what was deleted, and what is left.
        operation_ids: ids of the operations that are going to be called.
    """
    account = compute_account_checksum(settings.api_key_by_provider.get(contract.id))
    folder = settings.get_resource_journal_folder(contract)
    resource_tracker = ResourceTracker(
        contract,
        settings.api_key_by_provider.get(contract.id),
        ResourceJournal(folder, account) if folder is not None else None,
    )
    service = _create_service(contract, transport, settings, resource_tracker)
    if not service.is_emulated:
        collector.secrets.update(service.client.secrets)
    cleanup = ResourceCleanup(service, account)
    try:
        if folder is not None:
            collector.add_resource_summary(
                await cleanup.delete_leftover_resources(folder, settings.on_deletion_message)
            )
            await cleanup.list_existing_resources(operation_ids, resource_tracker)
        yield service
    finally:
        collector.add_resource_summary(await cleanup.delete_created_resources(resource_tracker))


def _create_service(
    contract: Contract, transport: Transport, settings: CheckSettings, resource_tracker: ResourceTracker | None
) -> CheckedService:
    client = Client(
        contract,
        transport,
        base_urls=settings.base_urls_by_provider.get(contract.id, {}),
        key=settings.api_key_by_provider.get(contract.id),
        clock=settings.create_clock() if settings.create_clock else None,
        ledger=settings.ledger,
        rate_limiter=settings.rate_limiter_by_provider.get(contract.id),
        seed=settings.seed,
        max_wait_s=settings.max_wait_s,
        traffic_observer=resource_tracker,
    )
    return CheckedService(
        contract,
        client,
        settings.ledger,
        settings.price_usd_by_name,
        settings.provenance,
        settings.save_exchanges,
        settings.callback_receiver,
        settings.emulator_control_url,
        settings.case_journal_by_provider.get(contract.id),
        settings.reproduction,
        settings.create_clock,
    )


def run_check(collector: ResultCollector, check_coroutine: Coroutine[Any, Any, None]) -> None:
    """Run `check_coroutine` to its end. Ctrl-C stops it early; the findings so far stay in `collector`."""
    try:
        asyncio.run(check_coroutine)
    except KeyboardInterrupt:
        collector.interrupted = True
        collector.stop_message = "interrupted"
