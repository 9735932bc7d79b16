"""Checks services: opens each, runs its planned cases (`_case_runner.py`), fuzzes it, and deletes what was created."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from voicegauge.cases.case import ApiKeyValidity, ConformanceCase
from voicegauge.cases.case_order import find_excluded_operations
from voicegauge.cases.operation_cases import build_operation_request
from voicegauge.cases.plan import CasePlan
from voicegauge.client.client import Client
from voicegauge.client.connection import ApiKeyOrSentinel
from voicegauge.client.daily_spending import open_provider_ledgers
from voicegauge.client.exchange_log import MAX_RETRY_AFTER_S, get_retry_after_s, iterate_retry_waits_s
from voicegauge.client.job_polling import is_storable_id
from voicegauge.client.ledger import settle_request
from voicegauge.client.speech_request import RequestParts
from voicegauge.client.spending_journal import Journal
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance._resource_lifecycle import iterate_json_objects, set_resource_id
from voicegauge.conformance._resource_tracking import (
    LeftoverJournal,
    RequestedResource,
    ResourceCreatedEvent,
    ResourceDeletedEvent,
    ResourceHistory,
    ResourceJournal,
    ResourceNotCreatedEvent,
    ResourceTracker,
    compute_account_checksum,
    lock_ended_journals,
)
from voicegauge.conformance._sent_case import API_KEY_BY_VALIDITY
from voicegauge.conformance.check_report import RemainingResource, ResourceSummary
from voicegauge.conformance.check_settings import (
    CheckedService,
    CheckSettings,
)
from voicegauge.conformance.plan_prices import create_request_limit
from voicegauge.conformance.received_callbacks import open_receiver_for_cases
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.spending import compute_lifecycle_step_price_usd
from voicegauge.contract.contract import BaseTarget, Contract, Target
from voicegauge.contract.extension.jobs import ResourceSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.errors import BudgetError, DataError, TransportError, UsageError
from voicegauge.model.exchange import Exchange
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import create_default_timeouts


async def check_service(
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    settings: CheckSettings,
    collector: ResultCollector,
    on_case_started: Callable[[ConformanceCase], None] | None = None,
    limits: AbstractContextManager[None] | None = None,
) -> None:
    """Send the plan to the services of `targets` and judge the responses.

    If less is left of a budget than the next request costs, the check ends early, which `collector` notes.

    Args:
        targets: the targets of the plan.
        plan: the cases to send.
        settings: settings that decide how the services are reached.
        collector: collects findings and results, and keeps them if an error is raised.
        on_case_started: function that is called before each case; `None` to call nothing.
        limits: context in which everything is sent, and which cancels this task to end it early; `None` for none.

    Raises:
        UnreachableError: a service cannot be reached.
    """
    collector.exclude_operations(plan.excluded_operations)
    for skipped in plan.skipped_cases:
        collector.add_skipped_result(skipped.id, skipped.skip_reason)
    collector.left_out_reason_by_target |= plan.left_out_reason_by_target
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
                        own_limit = settings.max_concurrency_by_provider.get(contract.id) or settings.concurrency
                        concurrency = min(settings.concurrency, own_limit)
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
            # First: what a killed check left would be listed as existing before this one, and never be deleted.
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
    # A check has one client for each provider, so that each share of the budget is opened once.
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


# Sends the requests that list and delete resources, within the budget and the rate limit of a check.


STATUSES_OF_DELETED_RESOURCE = (404, 410)
"""Statuses of a deletion that mean that the resource does not exist."""


class ResourceRequests:
    """Lists and deletes resources. After a deletion without a response, nothing more is sent."""

    def __init__(self, service: CheckedService) -> None:
        """Prepare to send requests to `service`."""
        self._service, self._contract = service, service.contract
        self._unreachable: TransportError | None = None

    async def list_resources(self, resource_spec: ResourceSpec) -> list[dict[str, Any]] | None:
        """Request the list of resources, and return their JSON objects, each with its id as text.

        Return `None` if the list cannot be read, or if an id in it cannot be stored, because new resources could then
        not be recognized.
        """
        if resource_spec.listing is None or self._unreachable is not None:
            return None
        operation = self._contract.find_operation(resource_spec.listing.operation_id)
        request, _ = build_operation_request(operation)
        try:
            exchange = await self._send(operation, request or RequestParts(), API_KEY_BY_VALIDITY["valid"])
        except (TransportError, BudgetError, UsageError):
            return None  # the check goes on: only a resource whose id gets lost cannot be found then
        if not 200 <= exchange.response.status < 300:
            return None
        name = resource_spec.id_location.pointer_tokens[-1]
        body = parse_exchange(exchange).response_json
        lists = (value for one in iterate_json_objects(body) for value in one.values() if isinstance(value, list))
        if not isinstance(body, list) and next(lists, None) is None:
            return None  # such as the page of a proxy: nothing follows from it about what exists
        items = [
            {**item, name: str(item[name])}
            for item in iterate_json_objects(body)
            if isinstance(item.get(name), str | int)
        ]
        secrets = self._service.client.secrets
        return items if all(is_storable_id(item[name], secrets) for item in items) else None

    async def delete_resource(
        self, resource_spec: ResourceSpec, resource_id: str, api_key_validity: ApiKeyValidity
    ) -> str | None:
        """Delete a resource; return the reason why that failed, or `None` if the resource does not exist any more.

        Args:
            resource_spec: the contract's description of the resource.
            resource_id: its id.
            api_key_validity: the API key of the request that created the resource.
        """
        if resource_spec.deletion is None:
            return "no document says how to delete it"
        operation = self._contract.find_operation(resource_spec.deletion.operation_id)
        request, _ = build_operation_request(operation)
        if request is None:
            return f"no value is known for a required parameter or field of {operation.id}"
        request = set_resource_id(request, resource_spec.deletion.id_location, resource_id)
        if api_key_validity == "valid":
            return await self._send_deletion(operation, request, api_key_validity, STATUSES_OF_DELETED_RESOURCE)
        # The service accepted a request without a valid key. It is not known in which account the resource is.
        return await self._send_deletion(operation, request, api_key_validity) and await self._send_deletion(
            operation, request, "valid"
        )

    async def _send_deletion(
        self,
        operation: Operation,
        request: RequestParts,
        api_key_validity: ApiKeyValidity,
        statuses_if_deleted: Sequence[int] = (),
    ) -> str | None:
        if self._unreachable is not None:
            return f"the service does not respond: {self._unreachable}"
        try:
            exchange = await self._send(operation, request, API_KEY_BY_VALIDITY[api_key_validity])
        except TransportError as error:
            self._unreachable = error
            return str(error)
        except (BudgetError, UsageError) as error:
            return str(error)
        status = exchange.response.status
        is_gone = 200 <= status < 300 or status in statuses_if_deleted
        return None if is_gone else f"{operation.id} responded with status {status}"

    async def _send(self, operation: Operation, request: RequestParts, api_key: ApiKeyOrSentinel) -> Exchange:
        """Send a request, whose price is reserved, and return its last exchange."""
        ledger = self._service.ledger
        price_usd = (
            compute_lifecycle_step_price_usd(operation, request, self._service.settings.price_usd_by_name)
            if ledger is not None
            else None
        )
        reservation = ledger.reserve(price_usd) if ledger is not None and price_usd is not None else None
        client, retry = self._service.client, self._contract.provider.retry_policy
        with settle_request(reservation, operation) as exchanges:
            for documented_wait_s in (*iterate_retry_waits_s(retry, client.retry_random), None):
                exchanges.append(await client.send_operation(operation, request, key=api_key))
                response = exchanges[-1].response
                if documented_wait_s is None or response.status not in retry.retried_statuses:
                    break
                requested_s = get_retry_after_s(response)
                wait_s = documented_wait_s if requested_s is None else requested_s
                if wait_s > MAX_RETRY_AFTER_S:
                    break
                await client.clock.sleep(wait_s)
        return exchanges[-1]


# Deletes the resources that a check, or an earlier run that was killed, created in the account.


UNKNOWN_ID_REASON = "its id is not known, because no response contained a usable one"
"""The beginning of the reason why a resource without a known id was not deleted."""
DeletionOutcomeWriter = Callable[[ResourceCreatedEvent | ResourceNotCreatedEvent | ResourceDeletedEvent], None]
"""A function that writes to the journal what became of a resource."""


class ResourceCleanup:
    """Deletes resources of one provider, through the client, the budget and the rate limit of a check."""

    def __init__(self, service: CheckedService, account_checksum: str) -> None:
        """Prepare to delete the resources of one account.

        Args:
            service: the provider, and how it is reached.
            account_checksum: the checksum of the API key, as in journals.
        """
        self._service, self._contract, self._account = service, service.contract, account_checksum

    async def list_existing_resources(self, operation_ids: Collection[str], resource_tracker: ResourceTracker) -> None:
        """Note in `resource_tracker` what resources exist before the operations `operation_ids` create new ones.

        This list distinguishes new resources from existing ones. Kinds of resources that cannot be deleted are not
        listed.
        """
        requests = ResourceRequests(self._service)
        for operation in self._contract.operations.values():
            resource = operation.resource
            if operation.id in operation_ids and resource is not None and resource.deletion is not None:
                listed = await requests.list_resources(resource)
                if listed is not None:
                    resource_tracker.record_existing_ids(
                        operation, [item[resource.id_location.pointer_tokens[-1]] for item in listed]
                    )

    async def delete_leftover_resources(
        self, journals_folder: Path, on_deletion_message: Callable[[str], None]
    ) -> ResourceSummary:
        """Delete the resources that earlier runs left on the same servers.

        Args:
            journals_folder: the folder of the provider's journals.
            on_deletion_message: is called with one line about what was deleted, or could not be deleted.
        """
        summary = ResourceSummary()
        for journal in lock_ended_journals(journals_folder):
            summary += await self._delete_resources_in_journal(journal, on_deletion_message)
        if summary.deleted_count_of_earlier_runs:
            count = summary.deleted_count_of_earlier_runs
            on_deletion_message(
                f"{self._contract.id}: deleted {count} resource{'s' if count > 1 else ''} of an earlier run"
            )
        for line in describe_remaining_resources(summary.remaining_resources):
            on_deletion_message(f"{self._contract.id}: an earlier run left {line}")
        return summary

    async def _delete_resources_in_journal(
        self, journal: Journal, on_deletion_message: Callable[[str], None]
    ) -> ResourceSummary:
        try:
            left_journal = LeftoverJournal(journal)
        except DataError as error:
            with journal:
                on_deletion_message(str(error))
            return ResourceSummary()
        history = left_journal.history
        with left_journal:
            resources = [
                one
                for one in history.undeleted_resources
                if self._service.client.is_provider_url(one.request_event.origin)
            ]
            if history.account != self._account:
                # Another key would get 404 for them, which would look like a deletion.
                reason = "it was created with another API key: run the command again with that key"
                return ResourceSummary(
                    remaining_resources=tuple(
                        self._build_remaining_resource(resource, reason) for resource in resources
                    )
                )
            before = history.deleted_count
            left = [one async for one in self._delete_all_resources(history, resources, left_journal.write)]
            for resource in history.undeleted_resources:
                if (
                    resource in resources
                    and resource.id is None
                    and not self._can_be_found_by_listing(history, resource)
                ):
                    # It has been reported, and a later run cannot do more.
                    left_journal.write(ResourceNotCreatedEvent(request_number=resource.request_event.request_number))
        return ResourceSummary(
            deleted_count_of_earlier_runs=history.deleted_count - before, remaining_resources=tuple(left)
        )

    async def delete_created_resources(self, resource_tracker: ResourceTracker) -> ResourceSummary:
        """Delete the resources that `resource_tracker` knows of, and close its journal."""
        history = resource_tracker.history
        left = [
            one
            async for one in self._delete_all_resources(
                history, history.undeleted_resources, resource_tracker.write_deletion_outcome
            )
        ]
        resource_tracker.close()
        return ResourceSummary(
            created_count=history.created_count, deleted_count=history.deleted_count, remaining_resources=tuple(left)
        )

    async def _delete_all_resources(
        self,
        history: ResourceHistory,
        resources: Sequence[RequestedResource],
        write_deletion_outcome: DeletionOutcomeWriter,
    ) -> AsyncIterator[RemainingResource]:
        """Delete `resources`, and yield those that stay in the account."""
        requests = ResourceRequests(self._service)
        for resource in resources:
            spec = self._find_resource_spec(resource)
            if spec is None:
                yield self._build_remaining_resource(
                    resource, f"the contract does not describe {resource.request_event.operation} any more"
                )
            elif spec.deletion is None:
                if not self._service.is_emulated:  # the emulator forgets it when it ends
                    yield self._build_remaining_resource(resource, "no document says how to delete it")
            elif resource.id is None and not self._can_be_found_by_listing(history, resource):
                yield self._build_remaining_resource(resource, f"{UNKNOWN_ID_REASON}: look for it in your account")
            else:
                reason = await self._find_and_delete_resource(requests, history, resource, spec, write_deletion_outcome)
                if reason is not None:
                    yield self._build_remaining_resource(resource, reason)

    def _find_resource_spec(self, resource: RequestedResource) -> ResourceSpec | None:
        creating_operation = self._contract.operations.get(resource.request_event.operation)
        return creating_operation.resource if creating_operation is not None else None

    def _can_be_found_by_listing(self, history: ResourceHistory, resource: RequestedResource) -> bool:
        """Whether a resource whose id was never received can be found in a list."""
        spec = self._find_resource_spec(resource)
        return (
            spec is not None
            and spec.listing is not None
            and history.knows_existing_resources(resource.request_event.operation)
        )

    async def _find_and_delete_resource(
        self,
        resource_requests: ResourceRequests,
        history: ResourceHistory,
        resource: RequestedResource,
        resource_spec: ResourceSpec,
        write_deletion_outcome: DeletionOutcomeWriter,
    ) -> str | None:
        """Delete a resource; return the reason why that failed, or `None` if the resource does not exist any more."""
        number, resource_id = resource.request_event.request_number, resource.id
        if resource_id is None:
            listed = await resource_requests.list_resources(resource_spec)
            if listed is None:
                return f"{UNKNOWN_ID_REASON}, and the list of all could not be read"
            ids = history.find_candidate_ids(resource, listed, resource_spec.id_location.pointer_tokens[-1])
            if not ids:
                write_deletion_outcome(ResourceNotCreatedEvent(request_number=number))
                return None
            if len(ids) > 1:
                return f"{UNKNOWN_ID_REASON}; it is one of {', '.join(ids)}"
            resource_id = ids[0]
            write_deletion_outcome(ResourceCreatedEvent(request_number=number, resource_id=resource_id))
        reason = await resource_requests.delete_resource(
            resource_spec, resource_id, resource.request_event.api_key_validity
        )
        if reason is None:
            write_deletion_outcome(ResourceDeletedEvent(request_number=number))
        return reason

    def _build_remaining_resource(self, resource: RequestedResource, not_deleted_reason: str) -> RemainingResource:
        spec = self._find_resource_spec(resource)
        return RemainingResource(
            operation=f"{self._contract.id}/{resource.request_event.operation}",
            resource_type=spec.display_name if spec is not None else "resource",
            id=resource.id,
            not_deleted_reason=not_deleted_reason,
            created_at=resource.request_event.requested_at,
        )


def describe_remaining_resources(resources: Iterable[RemainingResource]) -> list[str]:
    """Describe resources that stay in the account, each in one line; equal lines, without an id, become one."""
    counts = Counter(
        f"{one.resource_type} {one.id or '(unknown id)'} of {one.operation}: {one.not_deleted_reason}"
        for one in resources
    )
    return [line if count == 1 else f"{count} x {line}" for line, count in counts.items()]
