"""The grammar of what takes longer than a response: jobs, streams, webhooks, and resources that a provider keeps.

OpenAPI's `callbacks` and `webhooks` document the callbacks; these records state when they are sent and what they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from voicegauge.contract.extension.provider import PositiveFloat, SourceReference, WebhookSignature
from voicegauge.contract.extension.speech import EventTimestamps, ResponseAudio, SpeechEmulation
from voicegauge.formats.bodies import quote_json
from voicegauge.formats.locations import MISSING, EventLocation, Location, RequestLocation
from voicegauge.formats.message_streams import EVENT_STREAM_MEDIA_TYPE, JSON_LINES_MEDIA_TYPE
from voicegauge.model.base import Record

# Defines `x-job` on a status operation: the states of a job, and how to poll the job.


MAX_QUOTED_STATE_CHARACTERS = 80
"""Maximum number of characters that are quoted of a flag that belongs to no state."""


class JobState(Record, frozen=True, kw_only=True):
    """A state of a job."""

    flag_value: bool | None = None
    """What `x-job.state_location` has in this state if it is a flag, such as whether the job is done; `None` if it has
    the name of the state. A flag that is missing is false."""
    identifying_location: Location | None = None
    """Location of a value that, of the states with the same `flag_value`, only this one has."""
    successor_names: tuple[str, ...] = ()
    """Names of the states that may follow directly. A job may pass through a state between two polls, so that the next
    observed state is a later one."""
    terminal_outcome: Literal["success", "failure"] | None = None
    """Whether this terminal state is a success or a failure; `None` if the state is not terminal."""
    is_charged: bool | None = None
    """Whether a job that ends in this state is charged; `None` if no document states it."""
    required_locations: tuple[Location, ...] = ()
    """Locations in the status response that must have a value in this state."""
    may_have_partial_audio: bool = False
    """Whether the response may have audio in this state, such as a finished part, although the job has not ended."""
    max_duration_s: float | None = None
    """The documented maximum time of a job in this state, in seconds."""


class PollSchedule(Record, frozen=True, kw_only=True):
    """When a client polls a job: the recommended intervals, which grow from poll to poll."""

    min_interval_s: PositiveFloat = 1.0
    """Interval with which polling begins, in seconds."""
    max_interval_s: PositiveFloat = 5.0
    """Interval at which it stops to grow, in seconds."""
    interval_factor: Annotated[float, Meta(ge=1)] = 1.5
    """Factor by which the interval grows after each poll, from the minimum to the maximum."""
    job_timeout_s: PositiveFloat = 300.0
    """Time after which the client gives up on a job, in seconds."""
    source: SourceReference | None = None


class SubmitResponseLocations(Record, frozen=True, kw_only=True):
    """Locations in the response to the submit; they may differ from those in a status response."""

    job_id_location: Location
    state_location: Location | None = None
    """Location of the state; `None` if the response to a submit has none."""
    polling_url_location: Location | None = None
    """Location of the polling URL. The URL is used only if its host is a server of the contract, because the host
    receives the key."""


class JobCancellation(Record, frozen=True, kw_only=True):
    """The operation that cancels a job, and the state that it leads to."""

    operation_id: str
    """Id of the operation that cancels a job."""
    resulting_state: str
    """The state of a cancelled job. States from which a job can be cancelled list it in `successor_names`."""


class JobSpec(Record, frozen=True, kw_only=True):
    """`x-job` on the operation that reports the status of a job: its states, and locations in its responses."""

    submit_response: SubmitResponseLocations
    job_id_location: Location | None = None
    """Location of the job id in the status response; `None` if the response does not repeat the id."""
    state_location: Location
    """Location of the state in the status response: of its name, or of a flag (`JobState.flag_value`)."""
    states: dict[str, JobState]
    """The states by name, in chronological order. A job starts in the first one."""
    audio: ResponseAudio | None = None
    """Where a successful job has its audio; `None` for a job whose result is not audio, such as the training of a
    voice."""
    result_operation_id: str | None = None
    """Id of the operation that fetches the result; `None` if the status response has the result."""
    failure_reason_location: Location | None = None
    """Location of the reason of a failure in the status response."""
    model_name_location: Location | None = None
    """Location of the name of the model in the status response."""
    creation_time_location: Location | None = None
    """Location of the time at which the job was created, in the status response."""
    update_time_location: Location | None = None
    """Location of the time of the last change, in the status response."""
    end_time_location: Location | None = None
    """Location of the time at which the job ended, in the status response."""
    charge_location: Location | None = None
    """Location of the charge in the status response."""
    poll_schedule: PollSchedule = PollSchedule()
    cancellation: JobCancellation | None = None
    ended_job_lifetime_s: PositiveFloat | None = None
    """How long an ended job can be polled, in seconds. After that the response is the example with the rejection reason
    `expired`, or the one with `not-found` if there is no such example."""

    @property
    def speech_audio(self) -> ResponseAudio:
        """Where the job of a speech request has its audio."""
        assert self.audio is not None, "the job of x-speech has audio"
        return self.audio

    @property
    def has_state_flag(self) -> bool:
        """Whether responses have a flag instead of the name of the state."""
        return any(state.flag_value is not None for state in self.states.values())

    def read_state(self, read_value: Callable[[Location], Any]) -> Any:
        """Return the name of the state in a status response; `MISSING` if there is none.

        A name that is not documented is returned, too, and the JSON of a flag that belongs to no documented state.

        Args:
            read_value: reads the value at a location of the response; returns `MISSING` if there is no value.
        """
        return self._read_state_at(self.state_location, read_value)

    def read_submit_state(self, read_value: Callable[[Location], Any]) -> Any:
        """Return the name of the state in the response to the submit, as `read_state` does."""
        location = self.submit_response.state_location
        return MISSING if location is None else self._read_state_at(location, read_value)

    def find_state(self, read_value: Callable[[Location], Any]) -> JobState | None:
        """Return the state that a status response reports; `None` if it reports none, or one that is not documented.

        Args:
            read_value: reads the value at a location of the response; returns `MISSING` if there is no value.
        """
        return self.states.get(str(self.read_state(read_value)))

    def build_state_value(self, state_name: str) -> str | bool:
        """Return what the location of the state has in a state: its name, or the flag."""
        state = self.states.get(state_name)
        return state_name if state is None or state.flag_value is None else state.flag_value

    def _read_state_at(self, location: Location, read_value: Callable[[Location], Any]) -> Any:
        value = read_value(location)
        if not self.has_state_flag:
            return value
        if value is MISSING and isinstance(read_value(Location("body")), dict):
            value = False  # as messages of Protocol Buffers are written in JSON
        if value is MISSING:
            return MISSING
        for name, state in self.states.items():
            at = state.identifying_location
            if state.flag_value is value and (at is None or read_value(at) not in (MISSING, None)):
                return name
        return quote_json(value, MAX_QUOTED_STATE_CHARACTERS)


class SubmitSpec(Record, frozen=True, kw_only=True):
    """`x-submit` on an operation that starts a job whose result is not audio."""

    status_operation_id: str
    """Id of the status operation."""
    emulation: SpeechEmulation = field(default_factory=SpeechEmulation)
    """How the emulator simulates the job: `job_id_format`, `queue_ms` and `base_processing_ms`. The numbers are
    invented."""


# Defines `x-stream` on an operation: a response of server-sent events, or of lines of JSON, with audio.


class EventSpec(Record, frozen=True, kw_only=True):
    """What a type of event in a stream means, and which types may follow."""

    successor_names: tuple[str, ...] = ()
    """Names of the event types that may follow directly."""
    terminal_outcome: Literal["success", "failure"] | None = None
    """Whether this event ends the stream in success or in failure; `None` if the stream goes on."""
    data_schema: dict[str, Any] | None = None
    """JSON Schema of the data, usually a `$ref`; `None` if the data is not JSON."""
    identifying_location: EventLocation | None = None
    """Location of a value that only events of this type have, for streams whose events do not name their type."""


class EventAudio(Record, frozen=True, kw_only=True):
    """Where events have audio. The joined chunks are the audio that `x-speech.response.audio` describes."""

    event_type: str
    """Name of the event type whose events have audio."""
    location: EventLocation
    """Location of the audio in the event: "data" for the whole data, or "data#/pointer"."""
    encoding: Literal["base64", "hex"] = "base64"
    sequence_number_location: EventLocation | None = None
    """Location of the sequence number of an audio event."""
    sample_rate_location: EventLocation | None = None
    """Location of the sample rate of the audio, in hertz, in an audio event."""
    timestamps: tuple[EventTimestamps, ...] = ()
    """When the characters or words are spoken."""


class StreamSpec(Record, frozen=True, kw_only=True):
    """`x-stream` on an operation whose response is a stream of events."""

    framing: Literal["sse", "json-lines"] = "sse"
    """How events are separated: server-sent events, or one JSON value per line."""
    media_type: str | None = None
    """Content-Type of the response; by default text/event-stream, or application/x-ndjson for lines of JSON."""
    event_type_location: EventLocation = field(default_factory=lambda: EventLocation("event"))
    """Location of the event type: "event" for the event field, or "data#/pointer"."""
    events: dict[str, EventSpec]
    """The event types by name, in chronological order. A stream begins with the first one, or with an event that ends
    the stream in failure."""
    audio: EventAudio
    ends_with_response: bool = False
    """Whether the end of the response ends the stream in success, without a final event."""
    end_marker: str | None = None
    """Data of a final message that is not an event, such as "[DONE]"."""
    failure_reason_location: EventLocation | None = None
    """Location of the reason in an event that ends the stream in failure."""
    max_gap_s: PositiveFloat | None = None
    """The documented maximum gap between two events, in seconds."""
    source: SourceReference | None = None

    @property
    def response_media_type(self) -> str:
        """The Content-Type of streamed responses."""
        return self.media_type or (EVENT_STREAM_MEDIA_TYPE if self.framing == "sse" else JSON_LINES_MEDIA_TYPE)

    def find_event_type(self, read_value: Callable[[EventLocation], Any]) -> str | None:
        """Return the type of an event; `None` if nothing in the event tells it.

        Args:
            read_value: reads the value at a location of the event; returns `MISSING` if there is no value.
        """
        marked = {name: one.identifying_location for name, one in self.events.items() if one.identifying_location}
        if marked:
            return next((name for name, at in marked.items() if read_value(at) not in (MISSING, None)), None)
        if self.framing == "json-lines" and not self.event_type_location.is_in_data:
            return next(iter(self.events))
        value = read_value(self.event_type_location)
        return value if isinstance(value, str) else None


# Defines `x-webhook` on an operation whose requests may have a webhook URL, to which the provider sends callbacks.


CallbackTiming = Literal["terminal", "progress", "any"]
"""Which callbacks are sent. `terminal`: one when the job has ended. `progress`: also others before. `any`: unknown."""


class WebhookModeField(Record, frozen=True, kw_only=True):
    """The field of a request that selects which callbacks are sent."""

    location: RequestLocation
    timing_by_value: dict[str, CallbackTiming]
    """Which callbacks are sent, for each value of the field."""
    default_value: str
    """The value that applies if a request does not have the field."""


class WebhookUrlField(Record, frozen=True, kw_only=True):
    """A field of the request that can contain the webhook URL."""

    location: RequestLocation
    mode_field: WebhookModeField | None = None
    """The field that selects which callbacks are sent; `None` if one callback is always sent when the job has ended."""


class CallbackBodyLocations(Record, frozen=True, kw_only=True):
    """Locations in a callback whose body differs from the status response."""

    id_location: Location
    """Location, in the callback, of the id from the response to the submit."""
    submit_id_location: Location | None = None
    """Location, in the response to the submit, of the id that callbacks repeat; `None` means
    `x-job.submit_response.job_id_location`."""
    state_location: Location
    """Location of the job state in the callback."""
    outcome_by_state: dict[str, Literal["success", "failure"]]
    """The outcome of the job for each state that a callback may report."""
    result_url_location: Location | None = None
    """Location of the URL of the result in the callback."""
    charge_location: Location | None = None
    creation_time_location: Location | None = None
    end_time_location: Location | None = None


class WebhookEmulation(Record, frozen=True, kw_only=True):
    """How the emulator sends callbacks. The numbers are invented."""

    progress_interval_s: float = 5.0
    """Seconds between two progress callbacks."""
    max_attempts: int = 3
    """Maximum number of attempts to deliver a callback until the receiver responds with a status below 500."""
    retry_delay_s: float = 1.0
    """Seconds between two attempts."""
    response_timeout_s: float = 5.0
    """Time limit for the response of the receiver."""


class WebhookSpec(Record, frozen=True, kw_only=True):
    """`x-webhook` on an operation whose requests may name a URL to which the provider sends callbacks."""

    url_fields: tuple[WebhookUrlField, ...]
    """The fields that can contain the webhook URL. If a request has several of them, the first one counts."""
    callback_operation_id: str
    """Id of the operation that documents the callback, in `callbacks` of this operation or in `webhooks`."""
    body_locations: CallbackBodyLocations | None = None
    """Locations in the body of a callback; `None` if a callback has the same body as the status response."""
    requires_https: bool = False
    """Whether URLs with plain http are rejected."""
    max_progress_interval_s: float | None = None
    """The documented maximum time between two progress callbacks, in seconds."""
    may_be_repeated: bool = False
    """Whether the same callback may be sent more than once."""
    signature: WebhookSignature | None = None
    """How callbacks are signed; `None` if no signature is documented."""
    emulation: WebhookEmulation = WebhookEmulation()
    source: SourceReference | None = None


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
    """Whether an account may have few of these resources, or creating one has consequences beyond the request. A live
    check creates one only if the user asks for every valid request."""
    id_format: str = "{hex12}"
    """Format of ids that the emulator generates; "{hexN}" is replaced by N random hexadecimal digits.

    If such ids do not fit the schema of the parameter that names a resource to delete, they are generated from it.
    """
    source: SourceReference | None = None


MAX_CURSOR_CHARACTERS = 1_000
"""Maximum length of the cursor of a page; a list with a longer one is not read on."""


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
    more_pages_location: Location | None = None
    """Location, in the response, of whether more pages follow."""
    total_count_location: Location | None = None
    """Location of the number of items of all pages in the response."""
    page_count_location: Location | None = None
    """Location of the number of pages in the response."""
    source: SourceReference | None = None

    def find_next_cursor(self, body: Any, page_count: int, item_count: int) -> str | int | None:
        """Return the cursor of the page after the one with `body`, as far as the response says that there is one.

        Args:
            body: the parsed body of the last page.
            page_count: number of pages so far.
            item_count: number of items of all of them.

        Returns:
            The cursor; `None` if the page is the last one or the response does not lead to another.
        """
        items = self.items_location.read_body(body)
        if not isinstance(items, list) or not items or not self._has_more_pages(body, page_count, item_count):
            return None
        if self.cursor_kind == "offset":
            return item_count
        if self.cursor_kind == "page":
            return self.first_page_number + page_count
        cursor: Any = items[-1].get(self.item_id_field) if isinstance(items[-1], dict) else None
        if self.cursor_kind == "token":
            cursor = self._read_value_of_body(self.next_cursor_location, body)
        return cursor if isinstance(cursor, str) and 0 < len(cursor) <= MAX_CURSOR_CHARACTERS else None

    def _has_more_pages(self, body: Any, page_count: int, item_count: int) -> bool:
        total_count = self._read_value_of_body(self.total_count_location, body)
        last_page = self._read_value_of_body(self.page_count_location, body)
        # Any sign of more is enough. Where signs contradict each other, one request too many is better than items that
        # are never seen.
        return (
            self._read_value_of_body(self.more_pages_location, body) is True
            or self._read_value_of_body(self.next_cursor_location, body) not in (MISSING, None, "")
            or (isinstance(total_count, int) and total_count > item_count)
            or (isinstance(last_page, int) and last_page > page_count)
        )

    @staticmethod
    def _read_value_of_body(location: Location | None, body: Any) -> Any:
        return MISSING if location is None else location.read_body(body)


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
