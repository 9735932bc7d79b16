"""Checks services: opens each, runs its planned cases (`_case_runner.py`), and fuzzes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.case_order import find_excluded_operations
from voicegauge.cases.plan import CasePlan
from voicegauge.client.client import Client
from voicegauge.client.daily_spending import open_provider_ledgers
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance._resource_tracking import ResourceJournal, ResourceTracker, compute_account_checksum
from voicegauge.conformance.check_settings import (
    CheckedService,
    CheckSettings,
    Reproduction,
    build_emulated_check_arguments,
    build_emulator_command,
)
from voicegauge.conformance.plan_budgets import create_request_limit
from voicegauge.conformance.received_callbacks import open_receiver_for_cases
from voicegauge.conformance.resource_cleanup import ResourceCleanup
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import BaseTarget, Contract, Target
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator
from voicegauge.errors import BudgetError
from voicegauge.model.base import Provenance
from voicegauge.rules.registry import RULE_BY_ID, Rule
from voicegauge.transport.clock import VirtualClock
from voicegauge.transport.exchange_trace import create_default_timeouts
from voicegauge.transport.http import Transport


async def check_service(
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    settings: CheckSettings,
    collector: ResultCollector,
    on_case_started: Callable[[ConformanceCase], None] | None = None,
    limits: AbstractContextManager[None] | None = None,
) -> None:
    """Send the plan to the services of `targets` and judge the responses.

    Args:
        targets: the targets of the plan.
        plan: the cases to send.
        settings: settings that decide how the services are reached.
        collector: collects findings and results, and keeps them if an error is raised.
        on_case_started: function that is called before each case.
        limits: context in which everything is sent, and which cancels this task to end it early; `None` for none.

    Raises:
        UnreachableError: a service cannot be reached.
    """
    collector.exclude_operations(plan.excluded_operations)
    for skipped in plan.skipped_cases:
        collector.add_skipped_result(skipped.id, skipped.skip_reason)
    collector.add_left_out_targets(plan.left_out_reason_by_target)
    collector.is_short_check = plan.limits_billable_requests
    collector.over_budget_case_count += plan.over_budget_case_count
    if not settings.fuzz_request_count:  # random requests are judged too
        reasons = {skipped.id: skipped.skip_reason for skipped in plan.skipped_cases}
        beyond_limit = f"its delivery is beyond --max-calls {plan.max_billable_requests}"
        for name in plan.targets_without_delivery:
            collector.add_unjudged_item(name, reasons.get(name, beyond_limit))
    collector.emulator_command = settings.reproduction.emulator_command
    collector.ineffective_faults = settings.ineffective_faults
    limit = create_request_limit(plan, settings.case_journal_by_provider.values())
    with (
        limits or nullcontext(),
        open_receiver_for_cases(plan.cases, settings.callback_receiver, settings.provenance) as receiver,
    ):
        settings = replace(settings, callback_receiver=receiver)
        async with _open_transport(settings) as transport:
            for contract in {target.contract.id: target.contract for target in targets}.values():
                cases = [case for case in plan.cases if case.provider == contract.id]
                called = {case.operation for case in cases}
                async with _open_service(contract, transport, settings, collector, called) as service:
                    try:
                        concurrency = settings.get_concurrency(contract)
                        runner = CaseRunner(service, settings.rules, collector, limit, concurrency=concurrency)
                        await runner.run_cases(cases, on_case_started)
                        await _fuzz_service(service, targets, settings, collector)
                    except BudgetError as error:
                        collector.end_early("budget", str(error))
                        return


async def _fuzz_service(
    service: CheckedService, targets: Sequence[BaseTarget], settings: CheckSettings, collector: ResultCollector
) -> None:
    """Fuzz one speech target of each operation, because all targets of an operation have the same schema and jobs."""
    if not settings.fuzz_request_count:
        return
    # Imported here because Hypothesis takes 0.2 s to import.
    from voicegauge.conformance._fuzzing_jobs import fuzz_jobs
    from voicegauge.conformance._fuzzing_requests import FuzzSettings, fuzz_target

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
    target: Target,
    steps: Sequence[str],
    settings: CheckSettings,
    collector: ResultCollector,
    limits: AbstractContextManager[None] | None = None,
) -> None:
    """Take `steps`, in the notation of `StatefulJobs`, with jobs of `target`, and add findings to `collector`.

    `limits` is the context in which everything is sent, and which cancels this task to end it early; `None` for none.

    Raises:
        UsageError: the target has no jobs, or a step is not a valid step.
        TransportError: the service did not respond.
    """
    from voicegauge.conformance._fuzzing_jobs import StatefulJobs

    collector.exclude_operations(find_excluded_operations([target], ()))
    collector.emulator_command = settings.reproduction.emulator_command
    collector.ineffective_faults = settings.ineffective_faults
    with limits or nullcontext():
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
                collector.end_early("budget", str(error))


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
        collector: collects what was deleted, and what is left.
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
    # A check has one client for each provider, so that each share is opened once.
    ledger = open_provider_ledgers(
        settings.ledger,
        [contract.id],
        daily_budget_by_provider=settings.daily_budget_by_provider,
        max_cost_usd_by_provider=settings.max_cost_usd_by_provider,
        spent_usd_by_provider=settings.spent_usd_by_provider,
    ).get(contract.id)
    client = Client(
        contract,
        transport,
        base_urls=settings.base_urls_by_provider.get(contract.id, {}),
        key=settings.api_key_by_provider.get(contract.id),
        clock=settings.create_clock() if settings.create_clock else None,
        ledger=ledger,
        rate_limiter=settings.rate_limiter_by_provider.get(contract.id),
        seed=settings.seed,
        max_wait_s=settings.max_wait_s,
        traffic_observer=resource_tracker,
    )
    return CheckedService(contract, client, settings, ledger)


# Makes the settings for a check against the emulator: those of the emulator and those of the check.


EMULATED_ACCOUNT_CREDITS = 1e12
"""Credits of the emulated account: enough for every request of a check. The response to an empty account is tested by
a request that asks the emulator for it."""
EMULATOR_API_KEY = "emulated-key"
"""The API key that is sent to the emulator, which accepts any key that does not begin with "invalid"."""


def build_emulator_settings(*, seed: int = 0, faults: Sequence[str] = ()) -> EmulatorSettings:
    """Return settings of an emulator in which nothing takes time and no limit is reached by accident."""
    return EmulatorSettings(
        seed=seed,
        clock="per-poll",
        faults=tuple(faults),
        enforces_rate_limits=False,
        credits=EMULATED_ACCOUNT_CREDITS,
        accepts_http_webhook_urls=True,
    )


def build_emulator_check_settings(
    emulator: RunningEmulator,
    targets: Sequence[BaseTarget],
    *,
    rules: Mapping[str, Rule] = RULE_BY_ID,
    fuzz_request_count: int = 0,
    fuzz_failures_folder: Path | None = None,
    seed: int = 0,
    provider_and_target_ids: Sequence[str] | None = None,
) -> CheckSettings:
    """Return settings to check `targets` at an emulator; waiting between polls takes no time.

    Args:
        emulator: the emulator.
        targets: the targets to check.
        rules: the rules to apply, by id.
        fuzz_request_count: value of `CheckSettings.fuzz_request_count`.
        fuzz_failures_folder: value of `CheckSettings.fuzz_failures_folder`.
        seed: value of `CheckSettings.seed`.
        provider_and_target_ids: the checked providers and targets. Findings contain a command that checks them again;
            `None` to leave that command out.
    """
    from voicegauge.emulator.fault_injection import list_ineffective_faults

    contracts = list({target.contract.id: target.contract for target in targets}.values())
    providers = [contract.id for contract in contracts]
    return CheckSettings(
        provenance=Provenance.EMULATED,
        base_urls_by_provider={name: {"": emulator.base_url(name)} for name in providers},
        api_key_by_provider=dict.fromkeys(providers, EMULATOR_API_KEY),
        rules=rules,
        fuzz_request_count=fuzz_request_count,
        fuzz_failures_folder=fuzz_failures_folder,
        seed=seed,
        create_clock=VirtualClock,
        emulator_control_url=emulator.control_url,
        ineffective_faults=list_ineffective_faults(emulator.settings.faults, targets),
        reproduction=Reproduction(
            check_arguments=()
            if provider_and_target_ids is None
            else build_emulated_check_arguments(provider_and_target_ids, emulator, contracts, seed),
            temporary_emulator_url=emulator.url,
            emulator_command=build_emulator_command(emulator, contracts),
        ),
    )
