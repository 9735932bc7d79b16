"""Sends the requests that list and delete resources, within the budget and the rate limit of a check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from voicegauge.client import (
    MAX_RETRY_AFTER_S,
    ApiKeyOrSentinel,
    RequestParts,
    get_retry_after_s,
    is_storable_id,
    iterate_retry_waits_s,
    send_and_settle,
)
from voicegauge.conformance.cases import ApiKeyValidity, build_operation_request
from voicegauge.conformance.running import (
    API_KEY_BY_VALIDITY,
    CheckedService,
    compute_lifecycle_step_price_usd,
    set_resource_id,
)
from voicegauge.contract import Operation, parse_exchange
from voicegauge.contract.extension import ResourceSpec
from voicegauge.errors import BudgetError, TransportError, UsageError
from voicegauge.model import Exchange

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
        ledger = self._service.ledger
        price_usd = (
            compute_lifecycle_step_price_usd(operation, request, self._service.price_usd_by_name)
            if ledger is not None
            else None
        )
        reservation = ledger.reserve(price_usd) if ledger is not None and price_usd is not None else None
        exchanges = await send_and_settle(
            reservation, operation, lambda: self._send_with_retries(operation, request, api_key)
        )
        return exchanges[-1]

    async def _send_with_retries(
        self, operation: Operation, request: RequestParts, api_key: ApiKeyOrSentinel
    ) -> list[Exchange]:
        client, retry = self._service.client, self._contract.provider.retry_policy
        exchanges = [await client.send_operation(operation, request, key=api_key)]
        for wait_s in iterate_retry_waits_s(retry, client.retry_random):
            requested_s = get_retry_after_s(exchanges[-1].response)
            wait_s = wait_s if requested_s is None else requested_s
            if exchanges[-1].response.status not in retry.retried_statuses or wait_s > MAX_RETRY_AFTER_S:
                break
            await client.clock.sleep(wait_s)
            exchanges.append(await client.send_operation(operation, request, key=api_key))
        return exchanges


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
