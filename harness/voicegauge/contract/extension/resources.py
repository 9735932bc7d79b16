"""Defines `x-resource`, `x-pagination`, `x-batch` and `x-chat`: what a provider keeps between calls."""

from __future__ import annotations

from typing import Literal

from voicegauge.contract.extension.sources import SourceReference
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.formats.locations import Location, RequestLocation
from voicegauge.model.base import Record


class ResourceListing(Record, frozen=True, kw_only=True):
    """The operation that lists the resources of an account."""

    operation_id: str
    count_location: Location | None = None
    """Location of the number of resources in the response."""
    max_count_location: Location | None = None
    """Location, in the response, of the maximum number of resources that the account may have."""
    includes_stock_resources: bool = False
    """Whether the list also has what the provider offers to every account, such as stock voices."""


class ResourceTransition(Record, frozen=True, kw_only=True):
    """An operation that changes the state of a resource."""

    operation_id: str
    id_location: RequestLocation
    """Location of the resource id in the request."""
    resulting_state: str
    """The state of the resource after the operation."""


class ResourceUse(Record, frozen=True, kw_only=True):
    """An operation whose requests may name a resource."""

    operation_id: str
    id_location: RequestLocation
    """Location of the resource id in the request."""
    replaced_locations: tuple[RequestLocation, ...] = ()
    """Locations in the request whose values are not sent, because the resource id replaces them."""
    allowed_states: tuple[str, ...] = ()
    """The states in which the resource may be used; empty if it may be used in any state."""
    server_name: str | None = None
    """`x-name` of the server for requests that name a resource; `None` means the operation's default server."""
    source: SourceReference | None = None


class ResourceDeletion(Record, frozen=True, kw_only=True):
    """The operation that deletes a resource."""

    operation_id: str
    id_location: RequestLocation
    """Location of the resource id in the request."""


class ResourceSpec(Record, frozen=True, kw_only=True):
    """`x-resource` on an operation that creates a resource, which is stored in the account and visible to it only."""

    display_name: str
    """What a resource is called in messages: "saved voice"."""
    id_location: Location
    """Location of the id in the response that creates a resource. The last key of the location is also the name of the
    id in lists."""
    state_location: Location | None = None
    """Location of the state in the response that creates a resource. The last key of the location is also the name of
    the state in lists. `None` if resources have no states."""
    states: tuple[str, ...] = ()
    """All states. The first is the state of a new resource."""
    listing: ResourceListing | None = None
    deletion: ResourceDeletion | None = None
    transitions: tuple[ResourceTransition, ...] = ()
    """The transitions, in an order in which they can be applied to a new resource."""
    uses: tuple[ResourceUse, ...] = ()
    is_scarce: bool = False
    """Whether an account may have few of them, or making one has consequences beyond the request. A live check creates
    one only if the user asks for every valid request."""
    id_format: str = "{hex12}"
    """Format of ids that the emulator generates; "{hexN}" is replaced by N random hexadecimal digits."""
    source: SourceReference | None = None


class PaginationSpec(Record, frozen=True, kw_only=True):
    """`x-pagination` on an operation that lists items in pages."""

    items_location: Location
    """Location of the list of items in the response."""
    page_size_location: RequestLocation | None = None
    """Location of the requested number of items in the request."""
    cursor_location: RequestLocation | None = None
    """Location, in the request, of what names the page; `None` if requests cannot name one."""
    cursor_kind: Literal["token", "item-id", "offset", "page"] = "token"
    """What a cursor is: a text from the previous response, the id of its last item, the number of items before the
    page, or the number of the page."""
    item_id_field: str | None = None
    """Name of the field of an item with the id that is its cursor; needed by the kind `item-id`."""
    first_page_number: int = 1
    """Number of the first page, for the kind `page`."""
    next_cursor_location: Location | None = None
    """Location of the cursor of the next page in the response; the value is null or missing on the last page."""
    has_more_location: Location | None = None
    """Location, in the response, of whether more pages follow."""
    total_count_location: Location | None = None
    """Location of the number of items of all pages in the response."""
    page_count_location: Location | None = None
    """Location of the number of pages in the response."""
    source: SourceReference | None = None


class BatchSpec(Record, frozen=True, kw_only=True):
    """`x-batch` on an operation with `x-speech` that accepts several requests at once and starts a job for each."""

    requests_location: RequestLocation
    """Location of the list of requests. The locations in `x-speech.request_fields` lead into the first item."""
    item_operation_id: str
    """Id of the operation that would accept an item as a single request."""
    jobs_location: Location
    """Location of the list of jobs in the status response, in the order of the requests."""
    job_id_field: str
    """Name of the field with the job id, in an item of the list of jobs."""
    index_field: str | None = None
    """Name of the field with the index of the request, counted from 0, in an item of the list of jobs."""
    state_field: str | None = None
    """Name of the field with the job state, in an item of the list of jobs."""
    charge_field: str | None = None
    """Name of the field with the charge, in an item of the list of jobs."""
    audio_url_field: str | None = None
    """Name of the field with the URL of a successful job's audio, in an item of the list of jobs."""
    total_count_location: Location | None = None
    """Location of the number of items, in the response to the submit and in the status response."""
    ended_count_location: Location | None = None
    """Location of the number of ended items, in the response to the submit and in the status response."""
    source: SourceReference | None = None


class ChatSpec(Record, frozen=True, kw_only=True):
    """`x-chat` on an operation that replies to a message with text and speech."""

    text_location: RequestLocation
    """Location of the user's message as text."""
    audio_location: RequestLocation | None = None
    """Location of the user's message as audio."""
    transcript_location: Location | None = None
    """Location of the transcript of the user's message in the response."""
    reply_text_location: Location
    """Location of the text of the reply."""
    reply_audio: ResponseAudio
    """Where and how the response has the speech of the reply."""
    emulated_target_name: str
    """Name of the target whose voice the emulator replies with."""
    voice_location: RequestLocation | None = None
    """Location of the requested voice in the request."""
    charge_location: Location | None = None
    """Location of the charge for the reply: in credits, or in dollars if the provider has no credits."""
    source: SourceReference | None = None
