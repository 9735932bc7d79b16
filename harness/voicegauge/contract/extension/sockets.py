"""Defines `x-socket` on a channel of an AsyncAPI document: speech over a WebSocket, spoken or transcribed.

AsyncAPI describes the messages and their schemas. These records state what the messages mean: which one has text, which
one audio, what ends a turn, and what the limits are. A template of a message is written once. The client and the
emulator send it, and both recognize it in what they receive.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import field

from voicegauge.contract.extension.provider import PositiveFloat, PositiveInt, SourceReference
from voicegauge.contract.extension.speech import RAW_SAMPLE_CODECS, AudioCodec, BaseTargetSpec
from voicegauge.formats.locations import LocationValues, RequestLocation
from voicegauge.model.base import Record

# Defines the messages of a client.


ClientAction = Literal["session", "start", "text", "audio", "flush", "end", "cancel", "close", "keep-alive"]
"""What a message of the client asks for. `session`: settings, once after the connection was opened. `start`: begins a
turn. `text`: text to speak. `audio`: audio to transcribe; a channel has either this or `text`. `flush`: speak what was
sent so far, or end the turn that is transcribed. `end`: no more text follows in this turn. `cancel`: the speaker is
interrupted. `close`: end the connection. `keep-alive`: nothing, but the connection or turn stays."""

CancelEffect = Literal["stops", "finishes-segment", "finishes-turn"]
"""What a service does after `cancel`. `stops`: it sends no more audio. `finishes-segment`: what is being generated is
still sent, but not text that waits. `finishes-turn`: all text that was sent is still spoken."""


class ClientMessage(Record, frozen=True, kw_only=True):
    """A message that the client sends to perform one of the actions in `ClientAction`."""

    message: str
    """Name of the message in the AsyncAPI document."""
    value: dict[str, Any] | None = None
    """The message; `None` if it is binary audio. A text that is "{text}", "{audio}" (base64), "{context}", "{key}" or
    "{nonce}" (a number that the answer repeats) stands for the value itself."""
    recognized_by: dict[str, tuple[Any, ...]] = {}
    """Accepted values by JSON pointer, all of which a message has that asks for this; null accepts a missing value. By
    default the fixed members of `value`."""
    effect: CancelEffect | None = None
    """For `cancel`, where it is required: what the service does."""
    is_error_without_turn: bool = False
    """For `cancel`: whether the service reports an error if it is not speaking. By default it confirms the message."""
    source: SourceReference | None = None


# Defines the messages of a service.


ServerEventKind = Literal[
    "connected",
    "session",
    "turn-start",
    "audio",
    "timestamps",
    "flush-end",
    "turn-end",
    "cancel-end",
    "warning",
    "error",
    "other",
    "partial",
    "final",
    "eager-end",
    "resumed",
    "session-end",
]
"""What a message of the service reports. `connected`: the handshake was accepted; settings of the client may follow.
`session`: the connection is ready. `turn-start`, `turn-end`: a turn begins,
and is complete. `flush-end`: everything before a flush was sent. `cancel-end`: a cancellation was carried out.

Of transcription: `turn-start`, `turn-end`: somebody begins to speak, and has ended. `partial`: a text that may still
change. `final`: a text that does not change any more. `eager-end`: the turn has probably ended. `resumed`: it has not,
although `eager-end` said so. `session-end`: a summary, before the connection ends."""


class ServerMessage(Record, frozen=True, kw_only=True):
    """A message that the service sends to report an event."""

    message: str
    """Name of the message in the AsyncAPI document."""
    event: ServerEventKind
    """What the message reports."""
    value: dict[str, Any] | None = None
    """The message; `None` if it is binary audio. A text that is "{audio}" (base64), "{context}", "{words}", "{starts}",
    "{ends}", "{durations}", "{flush}" (number of the flush), "{nonce}" (that of the client), "{id}" (an id of the
    turn), "{duration_ms}" (of the audio of the turn), "{characters}" (of its text), "{reason}", or of transcription
    "{transcript}", "{word_items}" (a list of `word_item`), "{turn}" (number of the turn, from 0), "{sequence}" (number
    of the message, from 0), "{start_s}" and "{duration_s}" (of the audio that was transcribed) stands for the value
    itself. Text around "{id}" is kept."""
    word_item: dict[str, Any] | None = None
    """A word in "{word_items}", with the placeholders "{word}", "{start_s}" and "{end_s}"."""
    recognized_by: dict[str, tuple[Any, ...]] = {}
    """Accepted values by JSON pointer, as in `ClientMessage`; by default the fixed members of `value`."""
    time_unit_s: PositiveFloat = 1.0
    """Unit of "{starts}" and "{ends}" in seconds: 0.001 for milliseconds."""
    source: SourceReference | None = None


# Defines turns, limits and the emulation.


class TurnSpec(Record, frozen=True, kw_only=True):
    """When a turn is complete, and how turns relate to the connection."""

    ends_with: Literal["turn-end", "flush-end", "close"] = "turn-end"
    """The event after which a turn has no more audio; `close` if the connection is closed then."""
    is_only_one: bool = False
    """Whether a connection has one turn only."""
    accepts_pieces: bool = True
    """Whether the text of a turn may be sent in several messages."""
    speaks_after_end: bool = False
    """Whether the service speaks only after the end of the turn. By default it may begin with the first text."""
    flushes_before_end: bool = False
    """Whether a client flushes before it ends a turn, because the end alone drops text that waits."""
    audio_is_between_start_and_end: bool = False
    """Whether a document states that all audio of a turn arrives between its start and its end message."""
    source: SourceReference | None = None


class CountLimit(Record, frozen=True, kw_only=True):
    """A limit of a count, and what the service does beyond it."""

    max_count: PositiveInt
    """The highest number that is allowed."""
    window_s: PositiveFloat | None = None
    """Length of the time window in which the service counts, in seconds; `None` if it counts what is open at the same
    time."""
    close_code: int | None = None
    """Code with which the connection is closed; `None` if the service sends a warning or an error instead."""
    source: SourceReference | None = None


class TimeLimit(Record, frozen=True, kw_only=True):
    """A time limit after which the service closes the connection, or ends the turn."""

    max_s: PositiveFloat
    """The longest time that is allowed, in seconds."""
    close_code: int | None = None
    """Code with which the connection is closed; `None` if only the turn ends."""
    source: SourceReference | None = None


class SocketLimits(Record, frozen=True, kw_only=True):
    """The documented limits of a connection."""

    contexts: CountLimit | None = None
    """Limit of the number of contexts that are open at the same time on one connection."""
    flushes: CountLimit | None = None
    """Limit of the number of flushes of a client."""
    inactivity: TimeLimit | None = None
    """Time without a message of the client."""
    context_expiry: TimeLimit | None = None
    """Time after the last audio of a context that was not ended."""
    message_bytes: CountLimit | None = None
    """Size of one message of the client."""


class TranscriptSpec(Record, frozen=True, kw_only=True):
    """What the texts of a channel that transcribes mean, and which order of its messages a document states."""

    turn_text: Literal["finals", "end"] = "end"
    """Where the text of a turn is: `finals`, in its joined `final` messages; `end`, in the message that reports its
    end."""
    end_repeats_eager_end: bool = False
    """Whether a document states that the text of an end equals that of the `eager-end` before it."""
    resumes_after_eager_end_only: bool = False
    """Whether a document states that `resumed` follows an `eager-end` only."""
    source: SourceReference | None = None


class TranscriptEmulation(Record, frozen=True, kw_only=True):
    """When the emulator sends texts. The numbers are invented: they are not measurements of the provider."""

    partial_interval_s: PositiveFloat = 0.5
    """Duration of audio between two `partial` messages."""
    eager_end_s: PositiveFloat = 0.3
    """Duration of silence after which a turn has probably ended."""
    turn_end_s: PositiveFloat = 0.6
    """Duration of silence after which a turn has ended."""


class SocketFormat(Record, frozen=True, kw_only=True):
    """A format of the audio, and how a client asks for it or names it."""

    codec: AudioCodec
    """The codec, such as pcm_s16le, mulaw, mp3."""
    sample_rate_hz: PositiveInt
    request_constants: LocationValues = field(default_factory=LocationValues)
    """Values by location that ask for the format, as in `SocketTargetSpec.request_constants`."""

    @property
    def sample_width_bytes(self) -> int | None:
        """Size of one sample in bytes; `None` for a compressed codec."""
        if self.codec not in RAW_SAMPLE_CODECS:
            return None
        return {"pcm_s16le": 2, "pcm_s16be": 2, "pcm_s24le": 3, "pcm_f32le": 4}.get(self.codec, 1)

    @property
    def bytes_per_second(self) -> int | None:
        """Size of one second of audio in bytes; `None` for a compressed codec."""
        return None if self.sample_width_bytes is None else self.sample_rate_hz * self.sample_width_bytes


class SocketTargetSpec(BaseTargetSpec, frozen=True, kw_only=True):
    """One model or mode of a channel.

    `request_constants` at "query.X", "path.X" and "header.X" belong to the URL and the handshake, those at "body#/X" to
    the messages that `x-socket.settings_messages` names.
    """

    formats: dict[str, SocketFormat]
    """The formats by name. The first one is used unless another one is requested."""
    price_of: str | None = None
    """Name of a target over HTTP of the provider, whose price and account plans this one has; instead of `pricing`."""
    emulated_voice: str | None = None
    """The espeak-ng variant of the emulator; by default that of all targets."""
    emulated_words_per_minute: int = 165
    """Speaking rate of the emulator."""


class SocketEmulation(Record, frozen=True, kw_only=True):
    """The pace of the emulator. The numbers are invented: they are not measurements of the provider."""

    first_audio_ms: float = 90.0
    """Time from the request to speak to the first audio."""
    frame_audio_s: PositiveFloat = 0.04
    """Duration of the audio in one message."""
    speed_factor: PositiveFloat = 4.0
    """Speed at which audio is sent, relative to real time."""


class SocketSpec(Record, frozen=True, kw_only=True):
    """`x-socket` on a channel: text to speech, or speech to text, over a WebSocket."""

    id: str
    """Id of the channel, which takes the place of an operation id: `speakOverWebSocket`."""
    client_operation: Literal["publish", "subscribe", "send", "receive"] | None = None
    """The operation of the AsyncAPI document that has the messages of the client, because documents disagree about the
    point of view. By default `publish` in 2.6 and `receive` in 3.0, as the specification says for a server."""
    handshake_alternatives: tuple[tuple[RequestLocation, ...], ...] = ()
    """Groups of locations in the query and the headers: each handshake has a value at one location of each group, such
    as a version that is in the URL where a browser cannot set the header."""
    client_messages: dict[ClientAction, ClientMessage]
    """What the client sends, by the action that it asks for."""
    server_messages: tuple[ServerMessage, ...]
    """What the service sends."""
    settings_messages: tuple[ClientAction, ...] = ("text",)
    """The messages of the client that have the constants, the voice and the language of a target."""
    voice_location: RequestLocation | None = None
    """Location of the voice in a handshake or a message; `None` if a client cannot choose it."""
    language_location: RequestLocation | None = None
    """Location of the language in a handshake or a message; `None` if a client cannot choose it."""
    turn: TurnSpec = TurnSpec()
    """When a turn of the channel is complete."""
    transcript: TranscriptSpec = TranscriptSpec()
    """What the texts of a channel that transcribes mean; without effect for a channel that speaks."""
    limits: SocketLimits = SocketLimits()
    close_codes: dict[str, str] = {}
    """Meaning by code with which the service closes the connection; empty if no document lists the codes."""
    targets: dict[str, SocketTargetSpec]
    emulation: SocketEmulation = SocketEmulation()
    transcript_emulation: TranscriptEmulation = TranscriptEmulation()
    source: SourceReference | None = None

    @property
    def transcribes(self) -> bool:
        """Whether the client sends audio, which the service transcribes."""
        return "audio" in self.client_messages

    @property
    def has_contexts(self) -> bool:
        """Whether messages name the turn that they belong to."""
        text = self.client_messages.get("text")
        return text is not None and has_placeholder(text.value, "{context}")

    @property
    def sends_key_in_message(self) -> bool:
        """Whether the first message has the API key, instead of the handshake."""
        session = self.client_messages.get("session")
        return session is not None and has_placeholder(session.value, "{key}")

    @property
    def cancel_effect(self) -> CancelEffect | None:
        """What a cancellation does; `None` if a client cannot cancel."""
        cancel = self.client_messages.get("cancel")
        return cancel.effect if cancel is not None else None

    def has_event(self, kind: ServerEventKind) -> bool:
        """Whether a message of this kind is documented."""
        return any(message.event == kind for message in self.server_messages)


def has_placeholder(template: Any, placeholder: str) -> bool:
    """Whether a template contains a placeholder such as "{context}" at any depth."""
    if isinstance(template, dict):
        return any(has_placeholder(item, placeholder) for item in template.values())
    if isinstance(template, list):
        return any(has_placeholder(item, placeholder) for item in template)
    return isinstance(template, str) and placeholder in template
