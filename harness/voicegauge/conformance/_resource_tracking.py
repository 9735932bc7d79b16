"""Notes what responses create in the account, also in a journal for the next run."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import msgspec

from voicegauge.cases.case import ApiKeyValidity
from voicegauge.client.job_polling import is_storable_id
from voicegauge.client.keys import build_credentials, list_secrets, remove_credentials, replace_key
from voicegauge.client.spending_journal import Journal, read_events
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import ParsedExchange, parse_exchange
from voicegauge.errors import DataError, StorageError, TransportError
from voicegauge.formats.locations import Location
from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.masking import INVALID_API_KEY
from voicegauge.recording.secret_search import find_secret_spelling

# Defines the events of creating and deleting resources, and derives from them which resources exist.


class AccountEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="account"):
    """The first event of a journal, which names the account in which the check creates resources."""

    checksum: str
    """The checksum of the API key, from `compute_account_checksum`."""


class ResourcesListedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="listed"):
    """The resources that existed before the check were listed."""

    operation: str
    """Id of the operation that creates the kind of resources that were listed."""
    resource_ids: tuple[str, ...]
    """Ids of the listed resources, which belong to somebody else and must not be deleted."""


class ResourceRequestedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="requested"):
    """A request that creates a resource is about to be sent."""

    request_number: int
    """The number of the request in this run, from 1."""
    operation: str
    """Id of the operation that creates the resource."""
    origin: str
    """Scheme, host and port of the server: "https://api.acme.example"."""
    requested_at: str
    """Time of the request: UTC, ISO 8601."""
    api_key_validity: ApiKeyValidity = "valid"
    """Which API key was sent. A faulty service may accept a request without one or with a wrong one."""
    short_body_fields: dict[str, str] = msgspec.field(default_factory=dict)
    """Short values of the request body, as text by field name. They identify the resource if its id is not known."""


class ResourceCreatedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="created"):
    """The response to a request contained the id of a new resource."""

    request_number: int
    """The number of the request that created the resource."""
    resource_id: str
    """The id in the response."""


class ResourceNotCreatedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="not_created"):
    """A request created no resource: it was rejected or never sent, or the resource existed before."""

    request_number: int
    """The number of this request."""


class ResourceDeletedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="deleted"):
    """A resource that a request of the check had created was deleted."""

    request_number: int
    """The number of the request that created the resource."""


ResourceEvent = (
    AccountEvent
    | ResourcesListedEvent
    | ResourceRequestedEvent
    | ResourceCreatedEvent
    | ResourceNotCreatedEvent
    | ResourceDeletedEvent
)


class RequestedResource(Record, frozen=True, kw_only=True):
    """A resource that a request created, or may have created."""

    request_event: ResourceRequestedEvent
    """The event that was recorded before the request was sent."""
    id: str | None = None
    """The id of the resource; `None` if no response contained a usable id. Then the resource may not exist."""


class ResourceHistory:
    """Which resources one check has created and not yet deleted, derived from its events."""

    def __init__(self, events: Iterable[ResourceEvent] = ()) -> None:
        """Start without resources, and apply `events`."""
        self.account = ""
        """The checksum of the API key."""
        self.deleted_count = 0
        """Number of deleted resources."""
        self._undeleted_by_request_number: dict[int, RequestedResource] = {}
        self._created_ids: set[tuple[str, str]] = set()
        """Operation and resource id of each resource that was created, also of those that are deleted."""
        self._existing_ids_by_operation: dict[str, tuple[str, ...]] = {}
        """Ids of the resources that existed before the run, by the id of the operation that creates such resources."""
        for event in events:
            self.apply_event(event)

    @property
    def undeleted_resources(self) -> list[RequestedResource]:
        """The resources that were or may have been created and are not deleted, oldest first."""
        return list(self._undeleted_by_request_number.values())

    @property
    def created_count(self) -> int:
        """Number of created resources whose id is known, also of those that are deleted."""
        return len(self._created_ids)

    def is_known_resource(self, operation_id: str, resource_id: str) -> bool:
        """Whether the resource with this id existed before the run, or an earlier request created it."""
        is_created = (operation_id, resource_id) in self._created_ids
        return is_created or resource_id in self._existing_ids_by_operation.get(operation_id, ())

    def apply_event(self, event: ResourceEvent) -> None:
        """Change which resources are known, by what an event says was listed, requested, created or deleted."""
        undeleted = self._undeleted_by_request_number
        match event:
            case AccountEvent():
                self.account = event.checksum
            case ResourcesListedEvent():
                self._existing_ids_by_operation[event.operation] = event.resource_ids
            case ResourceRequestedEvent():
                undeleted[event.request_number] = RequestedResource(request_event=event)
            case ResourceCreatedEvent():
                resource = undeleted[event.request_number]
                undeleted[event.request_number] = msgspec.structs.replace(resource, id=event.resource_id)
                self._created_ids.add((resource.request_event.operation, event.resource_id))
            case ResourceNotCreatedEvent():
                undeleted.pop(event.request_number, None)
            case ResourceDeletedEvent():
                self.deleted_count += undeleted.pop(event.request_number, None) is not None

    def knows_existing_resources(self, operation_id: str) -> bool:
        """Whether it is known which resources of the operation existed before the run."""
        return operation_id in self._existing_ids_by_operation

    def find_candidate_ids(
        self, resource: RequestedResource, listed_items: Iterable[dict[str, Any]], id_field_name: str
    ) -> list[str]:
        """Return the ids of listed resources that may be a resource whose own id was never received.

        Such a resource did not exist before the run, is not known from another request, and has the values that were
        requested.

        Args:
            resource: the resource to find.
            listed_items: the resources that a list request returned.
            id_field_name: the name of the field with the id.
        """
        operation, fields = resource.request_event.operation, resource.request_event.short_body_fields
        unknown = (item for item in listed_items if not self.is_known_resource(operation, item[id_field_name]))
        return [item[id_field_name] for item in unknown if _matches_requested_fields(item, fields)]


def _matches_requested_fields(listed_item: dict[str, Any], request_fields: dict[str, str]) -> bool:
    """Whether a listed resource shares at least one field with a request, and all shared fields are equal."""
    common = request_fields.keys() & listed_item.keys()
    return bool(common) and all(
        convert_to_comparable_text(listed_item[name]) == request_fields[name] for name in common
    )


def convert_to_comparable_text(value: Any) -> str:
    """Convert a value in a request or a list to text, so that values of forms and of JSON can be compared."""
    return str(value).lower() if isinstance(value, bool) else str(value)


# Keeps a journal of the resources that a live check creates, so that the next run can delete them after a crash.


class ResourceJournal:
    """The journal of one run, which is created by its first event."""

    def __init__(self, folder: Path, account_checksum: str) -> None:
        """Prepare a journal; nothing is written yet.

        Args:
            folder: the folder of the provider's journals, which no other provider shares.
            account_checksum: the checksum of the API key.
        """
        self._path = folder / f"{uuid.uuid4().hex}.jsonl"
        self._checksum = account_checksum
        self._journal: Journal | None = None

    def write(self, event: ResourceEvent) -> None:
        """Append `event`, and wait until it is on disk.

        Raises:
            StorageError: the journal cannot be written.
        """
        if self._journal is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot write {self._path}: {error.strerror}") from error
            self._journal = Journal(self._path, is_durable=True)
            self._journal.write(AccountEvent(checksum=self._checksum))
        self._journal.write(event)

    def close(self, *, keep_file: bool) -> None:
        """Close the journal, and delete its file unless `keep_file` says that a later run has something to delete."""
        if self._journal is not None:
            with self._journal:
                if not keep_file:
                    self._path.unlink(missing_ok=True)


class LeftoverJournal:
    """The journal of a run that has ended, locked so that no other process deletes the same resources."""

    def __init__(self, journal: Journal) -> None:
        """Read a locked journal.

        Raises:
            DataError: the file is damaged.
        """
        self._journal = journal
        self.history = ResourceHistory(read_events(journal.path, ResourceEvent))
        """The resources that the run may have left in the account."""

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal, and delete its file if nothing is left."""
        with self._journal:
            if not self.history.undeleted_resources:
                self._journal.path.unlink(missing_ok=True)

    def write(self, event: ResourceEvent) -> None:
        """Append what became of a resource.

        Raises:
            StorageError: the journal cannot be written.
        """
        self._journal.write(event)
        self.history.apply_event(event)


def lock_ended_journals(folder: Path) -> Iterator[Journal]:
    """Yield the journals in the folder of a provider whose run has ended, locked. The caller closes them."""
    for path in sorted(folder.glob("*.jsonl")):
        try:
            yield Journal(path, is_durable=True)
        except (DataError, StorageError):
            continue  # its run is still active, or it belongs to another user


def compute_account_checksum(api_key: str | None) -> str:
    """Return a checksum of an API key that tells accounts apart, and from which the key cannot be computed.

    It has 8 hexadecimal digits, and is always the same one without a key (`None`).
    """
    # Four bytes tell the few keys of one user apart, and say next to nothing about a key that was made at random.
    return hashlib.blake2b((api_key or "").encode(), digest_size=4, person=b"voicegauge").hexdigest()


# Notes what responses create in the account.


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
            journal: the journal in which each request that creates a deletable resource is recorded, before and after
                it is sent; `None` to keep no journal.
        """
        self._contract, self._key, self._journal = contract, api_key, journal
        self._secrets = list_secrets(api_key)
        self._creators = {one.id: one for one in contract.operations.values() if one.resource is not None}
        self._creation_request_count = 0
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
        # A task of its own, which Ctrl-C does not cancel: only its response has the id of what was created.
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
        self._creation_request_count += 1
        number, parts = self._creation_request_count, urlsplit(request.url)
        # Before it is sent: if this process is killed now, the next run looks for the resource in the list of all.
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
        """Return which key a request has. Its deletion needs the same one if a faulty service has accepted it."""
        if self._key is None:
            return "valid"
        texts = [request.url, *(value for _, value in request.headers)]
        wrong_credentials = build_credentials(creating_operation, replace_key(self._key, INVALID_API_KEY))
        if all(any(credential.value in text for text in texts) for credential in wrong_credentials):
            return "wrong"
        return "missing" if remove_credentials(request, creating_operation, self._key) == request else "valid"

    def _record_creation(self, creating_operation: Operation, request_number: int, exchange: Exchange) -> None:
        assert creating_operation.resource is not None, "only called for operations that create a resource"
        event: ResourceEvent = ResourceNotCreatedEvent(request_number=request_number)
        if 200 <= exchange.response.status < 300:
            resource_id = parse_exchange(exchange).read_response_text(creating_operation.resource.id_location)
            if not is_storable_id(resource_id, self._secrets):
                return  # the resource stays requested, and is looked for in the list of all
            # A known resource is one that the request changed, such as a conversation that got its next message.
            if not self.history.is_known_resource(creating_operation.id, resource_id):
                event = ResourceCreatedEvent(request_number=request_number, resource_id=resource_id)
        self._record_event_after_response(creating_operation, event)

    def note_response(self, exchange: Exchange) -> None:
        """Note that a resource is deleted, if a request named it and the response accepts its deletion."""
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
