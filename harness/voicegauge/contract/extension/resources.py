"""Defines `x-resource`, `x-batch` and `x-chat`: resources of an account, batches of jobs, and conversations."""

from __future__ import annotations

from voicegauge.contract.extension.response_audio import ResponseAudio
from voicegauge.contract.extension.sources import SourceReference
from voicegauge.formats import Location, RequestLocation
from voicegauge.model import Record


class ResourceListing(Record, frozen=True, kw_only=True):
    """The operation that lists the resources of an account."""

    operation: str
    count: Location | None = None
    """Location of the number of resources in the response."""
    limit: Location | None = None
    """Where the response states how many resources the account may have."""
    has_stock: bool = False
    """Whether the list also has what the provider offers to every account, such as stock voices."""


class ResourceTransition(Record, frozen=True, kw_only=True):
    """An operation that changes the state of a resource."""

    operation: str
    id: RequestLocation
    """Location of the resource id in the request."""
    state: str


class ResourceUse(Record, frozen=True, kw_only=True):
    """An operation whose requests may name a resource."""

    operation: str
    id: RequestLocation
    """Location of the resource id in the request."""
    replaces: tuple[RequestLocation, ...] = ()
    """Locations in the request whose values are not sent, because the resource id replaces them."""
    states: tuple[str, ...] = ()
    """The states in which the resource may be used; empty if it may be used in any state."""
    server: str | None = None
    """`x-name` of the server for requests that name a resource; `None` means the operation's default server."""
    source: SourceReference | None = None


class ResourceDeletion(Record, frozen=True, kw_only=True):
    """The operation that deletes a resource."""

    operation: str
    id: RequestLocation
    """Location of the resource id in the request."""


class ResourceSpec(Record, frozen=True, kw_only=True):
    """`x-resource` on the operation that creates a resource: saved on the server, and visible to its account only."""

    name: str
    """What a resource is called in messages: "saved voice"."""
    id: Location
    """Location of the id in the response that creates a resource. The last key of the location is also the name of the
    id in lists."""
    state: Location | None = None
    """Location of the state in the response that creates a resource. The last key of the location is also the name of
    the state in lists. `None` if resources have no states."""
    states: tuple[str, ...] = ()
    """All states. The first is the state of a new resource."""
    list: ResourceListing | None = None
    delete: ResourceDeletion | None = None
    transitions: tuple[ResourceTransition, ...] = ()
    """The transitions, in an order in which they can be applied to a new resource."""
    uses: tuple[ResourceUse, ...] = ()
    id_format: str = "{hex12}"
    """Format of ids that the emulator generates; "{hexN}" is replaced by N random hexadecimal digits."""
    source: SourceReference | None = None


class BatchSpec(Record, frozen=True, kw_only=True):
    """`x-batch` on an operation with `x-speech` that accepts several requests at once and starts a job for each."""

    items: RequestLocation
    """Location of the list of requests. The locations in `x-speech.request` are those in its first item."""
    item_operation: str
    """Id of the operation that would accept an item as a single request."""
    results: Location
    """Location of the list of jobs in the status response, in the order of the requests."""
    job_id: str
    """Name of the field with the job id, in an item of `results`."""
    index: str | None = None
    """Name of the field with the index of the request, counted from 0, in an item of `results`."""
    state: str | None = None
    """Name of the field with the job state, in an item of `results`."""
    charged: str | None = None
    """Name of the field with the charge, in an item of `results`."""
    url: str | None = None
    """Name of the field with the URL of a successful job's audio, in an item of `results`."""
    total: Location | None = None
    """Location of the number of items, in the response to the submit and in the status response."""
    completed: Location | None = None
    """Location of the number of ended items, in the response to the submit and in the status response."""
    source: SourceReference | None = None


class ChatSpec(Record, frozen=True, kw_only=True):
    """`x-chat` on an operation that replies to a message with text and speech."""

    text: RequestLocation
    """Location of the user's message as text."""
    audio: RequestLocation | None = None
    """Location of the user's message as audio."""
    transcript: Location | None = None
    """Location of the transcript of the user's message in the response."""
    reply: Location
    """Location of the text of the reply."""
    reply_audio: ResponseAudio
    """Where and how the response has the speech of the reply."""
    emulation_target: str
    """Name of the target whose voice the emulator replies with."""
    voice: RequestLocation | None = None
    """Location of the requested voice in the request."""
    charged: Location | None = None
    source: SourceReference | None = None
