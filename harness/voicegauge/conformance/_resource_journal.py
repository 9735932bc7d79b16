"""Records which resources a check creates.

Each run has its own file, which it locks: FOLDER/<provider>/<random name>.jsonl. A file that no process has locked
belongs to a run that was killed, or that could not delete everything. There is one JSON line per event:

    {"event": "account", "checksum": CHECKSUM}
    {"event": "listed", "operation": "createVoice", "resource_ids": [...]}
    {"event": "requested", "request_number": 1, "operation": "createVoice", "origin": "https://api.acme.example",
     "requested_at": TIME}
    {"event": "created", "request_number": 1, "resource_id": "voice_1"}
    {"event": "not_created", "request_number": 2}
    {"event": "deleted", "request_number": 1}
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import msgspec

from voicegauge.cases.case import ApiKeyValidity
from voicegauge.client.spending_journal import Journal, read_events
from voicegauge.errors import DataError, StorageError
from voicegauge.model.base import Record

# Defines the events of creating and deleting resources, and derives from them which resources exist.


class AccountEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="account"):
    """The account in which resources are created."""

    checksum: str
    """The checksum of the API key, from `compute_account_checksum`."""


class ResourcesListedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="listed"):
    """The resources that existed before the run."""

    operation: str
    """Id of the operation that creates such resources."""
    resource_ids: tuple[str, ...]


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


class ResourceNotCreatedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="not_created"):
    """A request created no resource: it was rejected or never sent, or the resource existed before."""

    request_number: int
    """The number of this request."""


class ResourceDeletedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="deleted"):
    """The resource was deleted."""

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
    """The state of the resources of one run, derived from its events: which were created, and which are not deleted."""

    def __init__(self, events: Iterable[ResourceEvent] = ()) -> None:
        """Start without resources, and apply `events`."""
        self.account = ""
        """The checksum of the API key."""
        self.deleted_count = 0
        """Number of deleted resources."""
        self._resources: dict[int, RequestedResource] = {}
        self._ids: set[tuple[str, str]] = set()
        self._listed: dict[str, tuple[str, ...]] = {}
        for event in events:
            self.apply_event(event)

    @property
    def undeleted_resources(self) -> list[RequestedResource]:
        """The resources that are not deleted, oldest first."""
        return list(self._resources.values())

    @property
    def created_count(self) -> int:
        """Number of created resources whose id is known."""
        return len(self._ids)

    def is_known_resource(self, operation_id: str, resource_id: str) -> bool:
        """Whether the resource with this id existed before the run, or an earlier request created it."""
        return (operation_id, resource_id) in self._ids or resource_id in self._listed.get(operation_id, ())

    def apply_event(self, event: ResourceEvent) -> None:
        """Update the history with an event."""
        match event:
            case AccountEvent():
                self.account = event.checksum
            case ResourcesListedEvent():
                self._listed[event.operation] = event.resource_ids
            case ResourceRequestedEvent():
                self._resources[event.request_number] = RequestedResource(request_event=event)
            case ResourceCreatedEvent():
                resource = self._resources[event.request_number]
                self._resources[event.request_number] = msgspec.structs.replace(resource, id=event.resource_id)
                self._ids.add((resource.request_event.operation, event.resource_id))
            case ResourceNotCreatedEvent():
                self._resources.pop(event.request_number, None)
            case ResourceDeletedEvent():
                self.deleted_count += self._resources.pop(event.request_number, None) is not None

    def knows_existing_resources(self, operation_id: str) -> bool:
        """Whether it is known which resources of the operation existed before the run."""
        return operation_id in self._listed

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
        """What the run left."""

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
    """Return a checksum of an API key that tells accounts apart, and from which the key cannot be computed."""
    return hashlib.blake2b((api_key or "").encode(), digest_size=4, person=b"voicegauge").hexdigest()
