"""`x-resource`, `x-batch` and `x-chat`: resources of an account, batches of jobs, and conversations."""

from __future__ import annotations

from voicegauge.contract.extension.sources import SourceReference
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.formats import Location
from voicegauge.model import Record


class ResourceListing(Record, frozen=True, kw_only=True):
    """The operation that lists the resources of an account."""

    operation: str
    count: Location | None = None
    """Location of their number in the response."""
    limit: Location | None = None
    """Location of the maximum number in the response."""


class ResourceTransition(Record, frozen=True, kw_only=True):
    """An operation that changes the state of a resource."""

    operation: str
    id: Location
    """Location of the resource id in its request."""
    state: str


class ResourceUse(Record, frozen=True, kw_only=True):
    """An operation whose requests may name a resource."""

    operation: str
    id: Location
    """Location of the resource id in its request."""
    replaces: tuple[Location, ...] = ()
    """Locations in its request that the id replaces: they are not sent together with it."""
    states: tuple[str, ...] = ()
    """The states in which the resource may be used; empty for any state."""
    server: str | None = None
    """`x-name` of the server for such requests, if it is not the operation's default."""
    source: SourceReference | None = None


class ResourceDeletion(Record, frozen=True, kw_only=True):
    """The operation that deletes a resource."""

    operation: str
    id: Location
    """Location of the resource id in its request."""


class ResourceSpec(Record, frozen=True, kw_only=True):
    """`x-resource` on the operation that creates a resource: saved on the server, and visible to its account only."""

    name: str
    """What a resource is called: "saved voice"."""
    id: Location
    """Location of the id in the response that creates it. Its last key is also the name of the id in lists."""
    state: Location | None = None
    """Location of the state, in the same way; `None` if resources have no states."""
    states: tuple[str, ...] = ()
    """All states; the first is that of a new resource."""
    list: ResourceListing | None = None
    delete: ResourceDeletion | None = None
    transitions: tuple[ResourceTransition, ...] = ()
    """In an order in which they can be applied to a new resource."""
    uses: tuple[ResourceUse, ...] = ()
    id_format: str = "{hex12}"
    """Format of ids that the emulator generates; "{hexN}" is replaced by N random hexadecimal digits."""
    source: SourceReference | None = None


class BatchSpec(Record, frozen=True, kw_only=True):
    """`x-batch` on an operation with `x-speech` that accepts several requests at once and starts a job for each."""

    items: Location
    """Location of the list of requests; `x-speech.request` has the locations in its first item."""
    item_operation: str
    """Id of the operation that each item is a request to."""
    results: Location
    """Location of the list of their jobs in the status response, in the order of the request."""
    job_id: str
    """The field with the job id, in an item of `results`."""
    index: str | None = None
    """The field with the index of the item, from 0, in an item of `results`."""
    state: str | None = None
    """The field with the job state, in an item of `results`."""
    charged: str | None = None
    """The field with the charge, in an item of `results`."""
    url: str | None = None
    """The field with the URL of the audio of a successful job, in an item of `results`."""
    total: Location | None = None
    """Location of the number of items, in the response to the submit and in the status response."""
    completed: Location | None = None
    """Location of the number of ended items, in both responses."""
    source: SourceReference | None = None


class ChatSpec(Record, frozen=True, kw_only=True):
    """`x-chat` on an operation that replies to a message with text and speech."""

    text: Location
    """Location of the user's message as text."""
    audio: Location | None = None
    """Location of the user's message as audio."""
    transcript: Location | None = None
    """Location of the transcript of the user's message in the response."""
    reply: Location
    """Location of the text of the reply."""
    reply_audio: ResponseAudio
    """The speech of the reply in the response."""
    emulation_target: str
    """Name of the target whose voice the emulator replies with."""
    voice: Location | None = None
    """Location of the requested voice."""
    charged: Location | None = None
    source: SourceReference | None = None
