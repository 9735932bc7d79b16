"""Defines `x-resource`, `x-batch` and `x-chat`: resources of an account, batches of jobs, and conversations."""

from __future__ import annotations

import msgspec

from voicegauge.contract.extension.response_audio import ResponseAudio
from voicegauge.contract.extension.sources import SourceReference
from voicegauge.formats import Location, RequestLocation
from voicegauge.model import Record


class ResourceListing(Record, frozen=True, kw_only=True):
    """The operation that lists the resources of an account."""

    operation_id: str = msgspec.field(name="operation")
    count_location: Location | None = msgspec.field(default=None, name="count")
    """Location of the number of resources in the response."""
    max_count_location: Location | None = msgspec.field(default=None, name="max_count")
    """Location, in the response, of the maximum number of resources that the account may have."""
    includes_stock_resources: bool = msgspec.field(default=False, name="has_stock")
    """Whether the list also has what the provider offers to every account, such as stock voices."""


class ResourceTransition(Record, frozen=True, kw_only=True):
    """An operation that changes the state of a resource."""

    operation_id: str = msgspec.field(name="operation")
    id_location: RequestLocation = msgspec.field(name="id")
    """Location of the resource id in the request."""
    resulting_state: str = msgspec.field(name="state")
    """The state of the resource after the operation."""


class ResourceUse(Record, frozen=True, kw_only=True):
    """An operation whose requests may name a resource."""

    operation_id: str = msgspec.field(name="operation")
    id_location: RequestLocation = msgspec.field(name="id")
    """Location of the resource id in the request."""
    replaced_locations: tuple[RequestLocation, ...] = msgspec.field(default=(), name="replaces")
    """Locations in the request whose values are not sent, because the resource id replaces them."""
    allowed_states: tuple[str, ...] = msgspec.field(default=(), name="states")
    """The states in which the resource may be used; empty if it may be used in any state."""
    server_name: str | None = msgspec.field(default=None, name="server")
    """`x-name` of the server for requests that name a resource; `None` means the operation's default server."""
    source: SourceReference | None = None


class ResourceDeletion(Record, frozen=True, kw_only=True):
    """The operation that deletes a resource."""

    operation_id: str = msgspec.field(name="operation")
    id_location: RequestLocation = msgspec.field(name="id")
    """Location of the resource id in the request."""


class ResourceSpec(Record, frozen=True, kw_only=True):
    """`x-resource` on an operation that creates a resource, which is stored in the account and visible to it only."""

    display_name: str = msgspec.field(name="name")
    """What a resource is called in messages: "saved voice"."""
    id_location: Location = msgspec.field(name="id")
    """Location of the id in the response that creates a resource. The last key of the location is also the name of the
    id in lists."""
    state_location: Location | None = msgspec.field(default=None, name="state")
    """Location of the state in the response that creates a resource. The last key of the location is also the name of
    the state in lists. `None` if resources have no states."""
    states: tuple[str, ...] = ()
    """All states. The first is the state of a new resource."""
    listing: ResourceListing | None = msgspec.field(default=None, name="list")
    deletion: ResourceDeletion | None = msgspec.field(default=None, name="delete")
    transitions: tuple[ResourceTransition, ...] = ()
    """The transitions, in an order in which they can be applied to a new resource."""
    uses: tuple[ResourceUse, ...] = ()
    id_format: str = "{hex12}"
    """Format of ids that the emulator generates; "{hexN}" is replaced by N random hexadecimal digits."""
    source: SourceReference | None = None


class BatchSpec(Record, frozen=True, kw_only=True):
    """`x-batch` on an operation with `x-speech` that accepts several requests at once and starts a job for each."""

    requests_location: RequestLocation = msgspec.field(name="items")
    """Location of the list of requests. The locations in `x-speech.request` are those in its first item."""
    item_operation_id: str = msgspec.field(name="item_operation")
    """Id of the operation that would accept an item as a single request."""
    jobs_location: Location = msgspec.field(name="results")
    """Location of the list of jobs in the status response, in the order of the requests."""
    job_id_field: str = msgspec.field(name="job_id")
    """Name of the field with the job id, in an item of the list of jobs."""
    index_field: str | None = msgspec.field(default=None, name="index")
    """Name of the field with the index of the request, counted from 0, in an item of the list of jobs."""
    state_field: str | None = msgspec.field(default=None, name="state")
    """Name of the field with the job state, in an item of the list of jobs."""
    charge_field: str | None = msgspec.field(default=None, name="charged")
    """Name of the field with the charge, in an item of the list of jobs."""
    audio_url_field: str | None = msgspec.field(default=None, name="url")
    """Name of the field with the URL of a successful job's audio, in an item of the list of jobs."""
    total_count_location: Location | None = msgspec.field(default=None, name="total")
    """Location of the number of items, in the response to the submit and in the status response."""
    ended_count_location: Location | None = msgspec.field(default=None, name="completed")
    """Location of the number of ended items, in the response to the submit and in the status response."""
    source: SourceReference | None = None


class ChatSpec(Record, frozen=True, kw_only=True):
    """`x-chat` on an operation that replies to a message with text and speech."""

    text_location: RequestLocation = msgspec.field(name="text")
    """Location of the user's message as text."""
    audio_location: RequestLocation | None = msgspec.field(default=None, name="audio")
    """Location of the user's message as audio."""
    transcript_location: Location | None = msgspec.field(default=None, name="transcript")
    """Location of the transcript of the user's message in the response."""
    reply_text_location: Location = msgspec.field(name="reply")
    """Location of the text of the reply."""
    reply_audio: ResponseAudio
    """Where and how the response has the speech of the reply."""
    emulated_target_name: str = msgspec.field(name="emulation_target")
    """Name of the target whose voice the emulator replies with."""
    voice_location: RequestLocation | None = msgspec.field(default=None, name="voice")
    """Location of the requested voice in the request."""
    charge_location: Location | None = msgspec.field(default=None, name="charged")
    source: SourceReference | None = None
