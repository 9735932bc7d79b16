"""Notes what responses create in the account."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from voicegauge.cases.case import ApiKeyValidity
from voicegauge.client.job_polling import is_storable_id
from voicegauge.client.keys import build_credentials, list_secrets, remove_credentials, replace_key
from voicegauge.conformance._resource_journal import (
    ResourceCreatedEvent,
    ResourceDeletedEvent,
    ResourceEvent,
    ResourceHistory,
    ResourceJournal,
    ResourceNotCreatedEvent,
    ResourceRequestedEvent,
    ResourcesListedEvent,
    convert_to_comparable_text,
)
from voicegauge.contract.contract import Contract, Operation
from voicegauge.contract.parsed_exchange import ParsedExchange, parse_exchange
from voicegauge.errors import StorageError, TransportError
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.credentials import INVALID_API_KEY
from voicegauge.recording.secret_search import find_secret_spelling

MAX_CREATION_RESPONSE_WAIT_S = 10.0
"""Seconds to wait, after Ctrl-C, for the response to a request that creates a resource. Only the response has the id
with which the resource can be deleted."""
MAX_RECORDED_FIELD_CHARACTERS = 100
"""Maximum length of a field of a request body, in characters, that is recorded to recognize the created resource in a
list if its id is not known. Longer fields are not recorded."""


class ResourceTracker:
    """Observes the requests of one client, and notes the resources that they create and delete."""

    def __init__(self, contract: Contract, api_key: str | None, journal: ResourceJournal | None) -> None:
        """Start with no resources.

        Args:
            contract: the contract of the client.
            api_key: the API key of the client; `None` if it has none.
            journal: gets an event before and after each request that creates a resource that can be deleted; `None` to
                keep no journal.
        """
        self._contract, self._key, self._journal = contract, api_key, journal
        self._secrets = list_secrets(api_key)
        self._creators = {one.id: one for one in contract.operations.values() if one.resource is not None}
        self._requests = 0
        self.history = ResourceHistory()
        """What the requests so far created and deleted."""

    def record_existing_ids(self, creating_operation: Operation, resource_ids: Iterable[str]) -> None:
        """Note which resources of the kind that `creating_operation` creates existed before the check."""
        with contextlib.suppress(StorageError):  # the first creation reports that the journal cannot be written
            self._record_event(
                creating_operation,
                ResourcesListedEvent(operation=creating_operation.id, resource_ids=tuple(resource_ids)),
            )

    def must_await_response(self, operation_id: str) -> bool:
        """Whether requests to an operation create resources, whose ids must not be lost."""
        return operation_id in self._creators

    def note_response(self, exchange: Exchange) -> None:
        """Note the resource that a request deleted, if it did."""
        self._record_deletion(exchange)

    async def observe(
        self, request: Request, operation_id: str, send_request: Callable[[], Awaitable[Exchange]]
    ) -> Exchange:
        """Send a request that may create a resource with `send_request`, and note the resource.

        If the task is cancelled while a resource is being created, the response is awaited for
        `MAX_CREATION_RESPONSE_WAIT_S`.

        Raises:
            StorageError: the journal cannot be written; nothing was sent.
            TransportError: there was no response.
        """
        creating = asyncio.ensure_future(self._send_creation(self._creators[operation_id], request, send_request))
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            await asyncio.wait({creating}, timeout=MAX_CREATION_RESPONSE_WAIT_S)
            if not creating.cancel() and not creating.cancelled():
                creating.exception()  # marks the error as read, which Python would print otherwise
            raise

    async def _send_creation(
        self, creating_operation: Operation, request: Request, send_request: Callable[[], Awaitable[Exchange]]
    ) -> Exchange:
        self._requests += 1
        number, parts = self._requests, urlsplit(request.url)
        self._record_event(
            creating_operation,
            ResourceRequestedEvent(
                request_number=number,
                operation=creating_operation.id,
                origin=f"{parts.scheme}://{parts.netloc}",
                requested_at=datetime.now(UTC).isoformat(timespec="seconds"),
                api_key_validity=self._find_api_key_validity(creating_operation, request),
                short_body_fields=_list_short_fields(creating_operation, request, self._secrets),
            ),
        )
        try:
            exchange = await send_request()
        except TransportError as error:
            if not error.request_was_sent:
                self._record_event_after_response(creating_operation, ResourceNotCreatedEvent(request_number=number))
            raise
        self._record_creation(creating_operation, number, exchange)
        return exchange

    def _find_api_key_validity(self, creating_operation: Operation, request: Request) -> ApiKeyValidity:
        if self._key is None:
            return "valid"
        if _has_api_key(request, creating_operation, replace_key(self._key, INVALID_API_KEY)):
            return "wrong"
        return "missing" if remove_credentials(request, creating_operation, self._key) == request else "valid"

    def _record_creation(self, creating_operation: Operation, request_number: int, exchange: Exchange) -> None:
        assert creating_operation.resource is not None, "only called for operations that create a resource"
        if not 200 <= exchange.response.status < 300:
            self._record_event_after_response(
                creating_operation, ResourceNotCreatedEvent(request_number=request_number)
            )
            return
        resource_id = parse_exchange(exchange).read_response_text(creating_operation.resource.id_location)
        if not is_storable_id(resource_id, self._secrets):
            return
        # A known resource is one that the request changed, such as a conversation that got its next message.
        if self.history.is_known_resource(creating_operation.id, resource_id):
            self._record_event_after_response(
                creating_operation, ResourceNotCreatedEvent(request_number=request_number)
            )
        else:
            self._record_event_after_response(
                creating_operation, ResourceCreatedEvent(request_number=request_number, resource_id=resource_id)
            )

    def _record_deletion(self, exchange: Exchange) -> None:
        if not 200 <= exchange.response.status < 300:
            return
        parsed = parse_exchange(exchange)
        for resource in self.history.undeleted_resources:
            creating_operation = self._creators[resource.request_event.operation]
            deletion = creating_operation.resource.deletion if creating_operation.resource is not None else None
            if deletion is None or deletion.operation_id != exchange.operation or resource.id is None:
                continue
            if resource.id in _iterate_texts_at_location(
                parsed, self._contract.find_operation(deletion.operation_id), deletion.id_location
            ):
                self.write_deletion_outcome(ResourceDeletedEvent(request_number=resource.request_event.request_number))

    def write_deletion_outcome(
        self, event: ResourceCreatedEvent | ResourceNotCreatedEvent | ResourceDeletedEvent
    ) -> None:
        """Note what became of a resource; do nothing if its deletion has been observed already."""
        for resource in self.history.undeleted_resources:
            if resource.request_event.request_number == event.request_number:
                self._record_event_after_response(self._creators[resource.request_event.operation], event)

    def close(self) -> None:
        """Close the journal. It is kept if a later run can delete a resource."""
        if self._journal is not None:
            left = (self._creators[resource.request_event.operation] for resource in self.history.undeleted_resources)
            self._journal.close(keep_file=any(map(_has_documented_deletion, left)))

    def _record_event(self, creating_operation: Operation, event: ResourceEvent) -> None:
        if self._journal is not None and _has_documented_deletion(creating_operation):
            self._journal.write(event)
        self.history.apply_event(event)

    def _record_event_after_response(self, creating_operation: Operation, event: ResourceEvent) -> None:
        """Record an event that follows from a response; only in the history if the journal cannot be written."""
        try:
            self._record_event(creating_operation, event)
        except StorageError:
            self.history.apply_event(event)


def _has_documented_deletion(creating_operation: Operation) -> bool:
    """Whether the contract documents how to delete what `creating_operation` creates.

    Only events about resources that can be deleted are written to the journal.
    """
    return creating_operation.resource is not None and creating_operation.resource.deletion is not None


def _has_api_key(request: Request, operation: Operation, api_key: str) -> bool:
    texts = [request.url, *(value for _, value in request.headers)]
    credentials = build_credentials(operation, api_key)
    return all(any(credential.value in text for text in texts) for credential in credentials)


def _list_short_fields(operation: Operation, request: Request, secrets: Iterable[str]) -> dict[str, str]:
    """Return the fields of a request body, as text by name, that have a short value without a secret.

    A short value is a text or number of at most `MAX_RECORDED_FIELD_CHARACTERS` characters.
    """
    exchange = Exchange(provider="", operation=operation.id, request=request, response=Response(status=0))
    body = parse_exchange(exchange).read_request_body(operation).value
    values = body.items() if isinstance(body, dict) else ()
    texts = {name: convert_to_comparable_text(value) for name, value in values if isinstance(value, str | int | float)}
    return {
        name: text
        for name, text in texts.items()
        if len(text) <= MAX_RECORDED_FIELD_CHARACTERS
        and find_secret_spelling(f"{name}\n{text}".encode(errors="replace"), secrets) is None
    }


def _iterate_texts_at_location(
    parsed_exchange: ParsedExchange, operation: Operation, location: Location
) -> Iterator[str]:
    """Yield the texts that a request has at a location; for a parameter in the path, each segment of the path."""
    request = parsed_exchange.exchange.request
    if location.message_part == "path":
        yield from map(unquote, urlsplit(request.url).path.split("/"))
    elif location.message_part == "query":
        yield parsed_exchange.query_parameters.get(location.name, "")
    elif location.message_part == "header":
        yield request.find_header(location.name) or ""
    else:
        yield str(location.read_body(parsed_exchange.read_request_body(operation).value))
