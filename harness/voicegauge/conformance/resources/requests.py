"""Sends the requests that list and delete resources, within the budget and the rate limit of a check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from voicegauge.client import (
    MAX_RETRY_AFTER_S,
    ApiKeyChoice,
    RequestParts,
    get_retry_after_s,
    is_storable_id,
    iterate_retry_waits_s,
    send_and_settle,
)
from voicegauge.conformance.cases import CaseKey, operation_request
from voicegauge.conformance.running import KEY_CHOICES, CheckedService, step_price_usd, with_resource_id
from voicegauge.contract import Operation, parse_exchange
from voicegauge.contract.extension import ResourceSpec
from voicegauge.errors import BudgetError, TransportError, UsageError
from voicegauge.model import Exchange

GONE_STATUSES = (404, 410)
"""Statuses of a deletion that mean that the resource does not exist."""


class ResourceRequests:
    """Lists and deletes resources. Once the service does not respond, nothing more is sent."""

    def __init__(self, service: CheckedService) -> None:
        """Prepare to send requests to `service`."""
        self._service, self._contract = service, service.contract
        self._unreachable: TransportError | None = None

    async def list_items(self, resource: ResourceSpec) -> list[dict[str, Any]] | None:
        """Return the listed resources, each with its id as text.

        Return `None` if no list could be read, or if an id in it cannot be stored: it is not known then which of the
        resources are new.
        """
        if resource.list is None or self._unreachable is not None:
            return None
        operation = self._contract.operation(resource.list.operation)
        request, _ = operation_request(operation)
        try:
            exchange = await self._send(operation, request or RequestParts(), KEY_CHOICES["valid"])
        except (TransportError, BudgetError, UsageError):
            return None
        if not 200 <= exchange.response.status < 300:
            return None
        name = resource.id.tokens[-1]
        body = parse_exchange(exchange).response_json
        if not _contains_list(body):
            return None  # such as the page of a proxy: nothing follows from it about what exists
        items = [{**item, name: str(item[name])} for item in _objects_with(body, name)]
        secrets = self._service.client.secrets
        return items if all(is_storable_id(item[name], secrets) for item in items) else None

    async def delete(self, resource: ResourceSpec, resource_id: str, key: CaseKey) -> str | None:
        """Delete a resource; return the reason why that failed, or `None` if the resource does not exist any more.

        Args:
            resource: the contract's description of the resource.
            resource_id: its id.
            key: the API key of the request that created the resource.
        """
        if resource.delete is None:
            return "no document says how to delete it"
        operation = self._contract.operation(resource.delete.operation)
        request, _ = operation_request(operation)
        if request is None:
            return f"no value is known for a required parameter or field of {operation.id}"
        request = with_resource_id(request, resource.delete.id, resource_id)
        if key == "valid":
            return await self._delete(operation, request, key, GONE_STATUSES)
        # The service accepted a request without a valid key. It is not known in which account the resource is.
        return await self._delete(operation, request, key) and await self._delete(operation, request, "valid")

    async def _delete(
        self, operation: Operation, request: RequestParts, key: CaseKey, gone_statuses: Sequence[int] = ()
    ) -> str | None:
        if self._unreachable is not None:
            return f"the service does not respond: {self._unreachable}"
        try:
            exchange = await self._send(operation, request, KEY_CHOICES[key])
        except TransportError as error:
            self._unreachable = error
            return str(error)
        except (BudgetError, UsageError) as error:
            return str(error)
        status = exchange.response.status
        is_gone = 200 <= status < 300 or status in gone_statuses
        return None if is_gone else f"{operation.id} responded with status {status}"

    async def _send(self, operation: Operation, request: RequestParts, key: ApiKeyChoice) -> Exchange:
        ledger = self._service.ledger
        price_usd = step_price_usd(operation, request, self._service.prices) if ledger is not None else None
        reservation = ledger.reserve(price_usd) if ledger is not None and price_usd is not None else None
        exchanges = await send_and_settle(
            reservation, operation, lambda: self._send_with_retries(operation, request, key)
        )
        return exchanges[-1]

    async def _send_with_retries(
        self, operation: Operation, request: RequestParts, key: ApiKeyChoice
    ) -> list[Exchange]:
        client, retry = self._service.client, self._contract.provider.retry
        exchanges = [await client.send_operation(operation, request, key=key)]
        for wait_s in iterate_retry_waits_s(retry, client.retry_random):
            requested_s = get_retry_after_s(exchanges[-1].response)
            wait_s = wait_s if requested_s is None else requested_s
            if exchanges[-1].response.status not in retry.statuses or wait_s > MAX_RETRY_AFTER_S:
                break
            await client.clock.sleep(wait_s)
            exchanges.append(await client.send_operation(operation, request, key=key))
        return exchanges


def _contains_list(value: Any) -> bool:
    """Whether a JSON value is a list, or contains one at any depth of its objects."""
    pending = [value]
    while pending:
        found = pending.pop()
        if isinstance(found, list):
            return True
        if isinstance(found, dict):
            pending += found.values()
    return False


def _objects_with(value: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects at any depth of a JSON value that have an id, a text or a number, in the field `name`."""
    pending = [value]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            if isinstance(found.get(name), str | int):
                yield found
            pending += found.values()
        elif isinstance(found, list):
            pending += found
