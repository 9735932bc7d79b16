"""`x-resource`, `x-batch` and `x-chat`: what a provider keeps from one call to the next."""

from __future__ import annotations

from voicegauge.contract.extension.sources import SourceReference
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.formats import Location
from voicegauge.model import Record


class ResourceListing(Record, frozen=True, kw_only=True):
    """The operation that lists what an account has made."""

    operation: str
    count: Location | None = None
    """The place of the answer that counts them."""
    limit: Location | None = None
    """The place of the answer that says how many an account may have."""


class ResourceTransition(Record, frozen=True, kw_only=True):
    """An operation that brings a thing into a state."""

    operation: str
    id: Location
    """The place of the id in its request."""
    state: str


class ResourceUse(Record, frozen=True, kw_only=True):
    """An operation that takes the id of a thing."""

    operation: str
    id: Location
    """The place of the id in its request."""
    replaces: tuple[Location, ...] = ()
    """Places of its request that the id stands for: they are left out."""
    states: tuple[str, ...] = ()
    """In which it may be used; in any where none is named."""
    server: str | None = None
    """The `x-name` of the server that takes it, where that is not the operation's own."""
    source: SourceReference | None = None


class ResourceDeletion(Record, frozen=True, kw_only=True):
    """The operation that deletes a thing."""

    operation: str
    id: Location
    """The place of the id in its request."""


class ResourceSpec(Record, frozen=True, kw_only=True):
    """`x-resource` on the operation that makes a thing which is there in later calls, for its account alone."""

    name: str
    """What a thing is called: "saved voice"."""
    id: Location
    """The place of its id in the answer that makes it, and its name in each item of a list."""
    state: Location | None = None
    """The place of its state, likewise; `None` where it has none."""
    states: tuple[str, ...] = ()
    """All of them, the first being that of a new thing."""
    list: ResourceListing | None = None
    delete: ResourceDeletion | None = None
    transitions: tuple[ResourceTransition, ...] = ()
    """In the order in which they can be called on a new thing."""
    uses: tuple[ResourceUse, ...] = ()
    id_format: str = "{hex12}"
    """How the emulator forms ids; "{hexN}" stands for N hexadecimal digits."""
    source: SourceReference | None = None


class BatchSpec(Record, frozen=True, kw_only=True):
    """`x-batch` on an operation with `x-speech` that takes many requests at once, each a job of its own."""

    items: Location
    """The place of the list in the request; `x-speech.request` names places in its first item."""
    item_operation: str
    """The operation that an item is a request to."""
    results: Location
    """The place of the list of their jobs in the status answer, in the order of the request."""
    job_id: str
    """The name, in an item of `results`, of its job's id."""
    index: str | None = None
    """Likewise the number of the item, from 0."""
    state: str | None = None
    charged: str | None = None
    url: str | None = None
    """Likewise where its audio is, once it has succeeded."""
    total: Location | None = None
    """The place of the number of items, in both answers."""
    completed: Location | None = None
    """The place of the number of items that have ended, in both answers."""
    source: SourceReference | None = None


class ChatSpec(Record, frozen=True, kw_only=True):
    """`x-chat` on an operation that answers what is said to it in words and in speech."""

    text: Location
    """The place of what is said, as text."""
    audio: Location | None = None
    """The place of what is said, as a recording."""
    transcript: Location | None = None
    """The place of the answer that repeats what was said."""
    reply: Location
    """The place of the answer in words."""
    reply_audio: ResponseAudio
    """Where the answer is in speech."""
    emulation_target: str
    """The target whose voice the emulator answers with."""
    voice: Location | None = None
    """The place of the voice that is asked for."""
    charged: Location | None = None
    source: SourceReference | None = None
