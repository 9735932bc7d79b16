"""Deletes what a check created in the account."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from voicegauge.cases.case import ApiKeyValidity
from voicegauge.cases.operation_cases import build_operation_request
from voicegauge.client.connection import ApiKeyOrSentinel
from voicegauge.client.exchange_log import MAX_RETRY_AFTER_S, get_retry_after_s, iterate_retry_waits_s
from voicegauge.client.job_polling import is_storable_id
from voicegauge.client.ledger import settle_request
from voicegauge.client.speech_request import RequestParts
from voicegauge.client.spending_journal import Journal
from voicegauge.conformance._resource_lifecycle import set_resource_id
from voicegauge.conformance._resource_tracking import (
    LeftoverJournal,
    RequestedResource,
    ResourceCreatedEvent,
    ResourceDeletedEvent,
    ResourceHistory,
    ResourceNotCreatedEvent,
    ResourceTracker,
    lock_ended_journals,
)
from voicegauge.conformance._sent_case import API_KEY_BY_VALIDITY
from voicegauge.conformance.check_report import RemainingResource, ResourceSummary
from voicegauge.conformance.check_settings import CheckedService
from voicegauge.conformance.plan_prices import compute_lifecycle_step_price_usd
from voicegauge.contract.extension.jobs import ResourceSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.errors import BudgetError, DataError, TransportError, UsageError
from voicegauge.model.exchange import Exchange

# Sends the requests that list and delete resources, within the budget and the rate limit of a check.


STATUSES_OF_DELETED_RESOURCE = (404, 410)
"""Statuses of a deletion that mean that the resource does not exist."""


class ResourceRequests:
    """Lists and deletes resources. After a request without a response, it sends nothing more."""

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
            return None
        if not 200 <= exchange.response.status < 300:
            return None
        name = resource_spec.id_location.pointer_tokens[-1]
        body = parse_exchange(exchange).response_json
        if not _contains_json_list(body):
            return None  # such as the page of a proxy: nothing follows from it about what exists
        items = [{**item, name: str(item[name])} for item in _iterate_objects_with_id(body, name)]
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


def _contains_json_list(json_value: Any) -> bool:
    """Whether a JSON value is a list, or contains one at any depth of its objects."""
    pending = [json_value]
    while pending:
        found = pending.pop()
        if isinstance(found, list):
            return True
        if isinstance(found, dict):
            pending += found.values()
    return False


def _iterate_objects_with_id(json_value: Any, id_field_name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects at any depth of a JSON value whose field `id_field_name` is an id: a text or a number."""
    pending = [json_value]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            if isinstance(found.get(id_field_name), str | int):
                yield found
            pending += found.values()
        elif isinstance(found, list):
            pending += found


# Deletes the resources that a check, or an earlier run that was killed, created in the account.


UNKNOWN_ID_REASON = "its id is not known, because no response contained a usable one"
"""The beginning of the reason why a resource without a known id was not deleted."""
DeletionOutcomeWriter = Callable[[ResourceCreatedEvent | ResourceNotCreatedEvent | ResourceDeletedEvent], None]
"""A function that writes to the journal what became of a resource."""


class ResourceCleanup:
    """Deletes resources of one provider, through the client, the budget and the rate limit of a check."""

    def __init__(self, service: CheckedService, account_checksum: str) -> None:
        """Prepare to delete resources.

        Args:
            service: the provider, and how it is reached.
            account_checksum: the checksum of the API key, as in journals.
        """
        self._service, self._contract, self._account = service, service.contract, account_checksum

    async def list_existing_resources(self, operation_ids: Collection[str], resource_tracker: ResourceTracker) -> None:
        """Request the list of existing resources before the operations `operation_ids` create new ones.

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
