"""Defines the events of creating and deleting resources, and derives from them which resources exist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from voicegauge.conformance.cases import ApiKeyValidity
from voicegauge.model import Record


class AccountEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="account"):
    """The account in which resources are created."""

    checksum: str
    """The checksum of the API key, from `compute_account_checksum`."""


class ResourcesListedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="listed"):
    """The resources that existed before the run."""

    operation: str
    """Id of the operation that creates such resources."""
    resource_ids: tuple[str, ...] = msgspec.field(name="ids")


class ResourceRequestedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="requested"):
    """A request that creates a resource is about to be sent."""

    request_number: int = msgspec.field(name="request")
    """The number of the request in this run, from 1."""
    operation: str
    """Id of the operation that creates the resource."""
    origin: str
    """Scheme, host and port of the server: "https://api.acme.example"."""
    requested_at: str = msgspec.field(name="at")
    """Time of the request: UTC, ISO 8601."""
    api_key_validity: ApiKeyValidity = msgspec.field(name="key", default="valid")
    """Which API key was sent. A faulty service may accept a request without one or with a wrong one."""
    short_body_fields: dict[str, str] = msgspec.field(name="fields", default_factory=dict)
    """Short values of the request body, as text by field name. They identify the resource if its id is not known."""


class ResourceCreatedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="created"):
    """The response to a request contained the id of a new resource."""

    request_number: int = msgspec.field(name="request")
    """The number of the request that created the resource."""
    resource_id: str = msgspec.field(name="id")


class ResourceNotCreatedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="not_created"):
    """A request created no resource: it was rejected or never sent, or the resource existed before."""

    request_number: int = msgspec.field(name="request")
    """The number of this request."""


class ResourceDeletedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="deleted"):
    """The resource was deleted."""

    request_number: int = msgspec.field(name="request")
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
