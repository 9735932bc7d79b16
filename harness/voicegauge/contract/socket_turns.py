"""Recognizes the target of a WebSocket, and reads its turns: the spoken or transcribed texts, with their times.

In speech synthesis, a turn is one text that is spoken: from its first text to its last audio. Turns are read from the
recorded messages only, so that live traffic, recordings and proxied traffic are read in the same way.

In transcription, a turn is everything that one speaker says before somebody else speaks. A service reports the text of
a turn several times while it changes, and once more when it believes that the turn has ended.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract.contract import BaseSocketTarget, Contract
from voicegauge.contract.extension.sockets import ServerEventKind, SocketFormat
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import parse_text_value
from voicegauge.contract.socket_messages import ClientIntent, ServerEvent, SocketChannel, read_message
from voicegauge.formats.locations import MISSING, Location, read_pointer
from voicegauge.model.exchange import SocketMessage, SocketTraffic


class RecognizedTarget(NamedTuple):
    """The target and the audio format that a client has asked for."""

    target: BaseSocketTarget
    audio_format: SocketFormat | None
    """The audio format; `None` if the target does not have the requested one."""


def find_socket_operation(contract: Contract, url: str) -> Operation | None:
    """Return the channel whose server and path match `url`; `None` if there is none.

    The scheme of `url` (http, https, ws or wss) is ignored. Of several channels, the one with the fewest path
    parameters is returned.
    """
    parts = urlsplit(url)
    found: list[tuple[int, Operation]] = []
    for operation in contract.socket_operations.values():
        server = urlsplit(operation.server.url)
        base_path = server.path.rstrip("/")
        if parts.netloc.lower() != server.netloc.lower() or not f"{parts.path}/".startswith(f"{base_path}/"):
            continue
        parameters = operation.match_path(parts.path[len(base_path) :] or "/")
        if parameters is not None:
            found.append((len(parameters), operation))
    return min(found, key=lambda pair: pair[0], default=(0, None))[1]


def find_handshake_violation(
    operation: Operation, query: Mapping[str, str], find_header: Callable[[str], str | None]
) -> str | None:
    """Return how a handshake breaks the description of its channel; `None` if it does not.

    A violation is a missing required parameter, a value of a documented parameter that is not documented, or that no
    parameter of several alternatives is sent.
    Undocumented parameters are not judged, because documents of WebSockets leave many out.

    Args:
        operation: the channel.
        query: the parameters of the URL.
        find_header: returns the value of a header; `None` if there is none.
    """
    for parameter in operation.parameters:
        if parameter.message_part not in ("query", "header"):
            continue
        text = query.get(parameter.name) if parameter.message_part == "query" else find_header(parameter.name)
        if text is None:
            if parameter.is_required:
                return f"the {parameter.message_part} parameter {parameter.name} is missing"
            continue
        # The pointer of a parameter in the bindings of a channel is that of its schema.
        value = parse_text_value(parameter.schemas, parameter.schema, text)
        violation = next(parameter.schemas.iterate_violations(parameter.pointer, value), None)
        if violation is not None:
            return f"{parameter.name}: {violation.message}"
    assert operation.socket is not None, "only channels have handshakes"
    for locations in operation.socket.spec.handshake_alternatives:
        values = (query.get(one.name) if one.message_part == "query" else find_header(one.name) for one in locations)
        if all(value is None for value in values):
            named = " nor ".join(f"the {one.message_part} parameter {one.name}" for one in locations)
            return f"neither {named} is sent"
    return None


def recognize_target(operation: Operation, traffic: SocketTraffic) -> RecognizedTarget | None:
    """Return the target and the format that the client of a connection has asked for.

    A constant that the client did not send says nothing about a target, and neither does another value of a
    header, such as the version of the API. The result is `None` if the sent values contradict every target, for example
    because the contract does not have the model.
    """
    values = _read_sent_values(operation, traffic)
    rated = [(_count_sent_constants(values, one), one) for one in operation.socket_targets]
    fitting = [(count, target) for count, target in rated if count is not None]
    if not fitting:
        return None
    # The target with the most constants is the most specific one; of equal ones, the first in the contract.
    target = max(fitting, key=lambda pair: pair[0])[1]
    return RecognizedTarget(target, _find_requested_format(values, target))


def _find_requested_format(values: Mapping[Location, Any], target: BaseSocketTarget) -> SocketFormat | None:
    """Return the format whose constants were sent, else the default; `None` if an unknown format was named."""
    formats = target.target_spec.formats.values()
    for audio_format in formats:
        constants = audio_format.request_constants
        if constants and all(_matches_constant(values.get(at, MISSING), value) for at, value in constants.items()):
            return audio_format
    is_another = any(location in values for one in formats for location in one.request_constants)
    return None if is_another else target.default_format


def _count_sent_constants(values: Mapping[Location, Any], target: BaseSocketTarget) -> int | None:
    """Return how many constants of a target were sent; `None` if another value was sent for one of them."""
    count, spec = 0, target.target_spec
    for location, constant in spec.request_constants.items():
        value = values.get(location, MISSING)
        if value is MISSING:
            continue
        if _matches_constant(value, constant):
            count += 1
        elif location.message_part != "header" and not spec.allows_value(location, value):
            return None
    return count


def _matches_constant(value: Any, constant: Any) -> bool:
    """Whether a sent value matches a constant. Values in a URL are text; a sent object may have more members."""
    if isinstance(constant, dict):
        return isinstance(value, dict) and all(
            name in value and _matches_constant(value[name], item) for name, item in constant.items()
        )
    if isinstance(value, str) and not isinstance(constant, str):
        return value.lower() == str(constant).lower()
    return bool(value == constant)


def _read_sent_values(operation: Operation, traffic: SocketTraffic) -> dict[Location, Any]:
    """Return the values at the locations of constants in the handshake and in the client's first messages."""
    assert operation.socket is not None, "only channels have sockets"
    targets = operation.socket.spec.targets.values()
    wanted = {location for one in targets for location in one.request_constants}
    wanted |= {location for one in targets for audio in one.formats.values() for location in audio.request_constants}
    url = urlsplit(traffic.request.url)
    match = operation.match_path_end(url.path)
    values_by_part: dict[str, Mapping[str, str]] = {
        "query": dict(parse_qsl(url.query, keep_blank_values=True)),
        "path": match.path_parameters if match is not None else {},
    }
    values: dict[Location, Any] = {}
    for location in wanted:
        if location.message_part == "header":
            found: Any = traffic.request.find_header(location.name)
        else:
            found = values_by_part.get(location.message_part, {}).get(location.name)
        if found is not None:
            values[location] = found
    waiting = {location for location in wanted if location.is_in_body}
    for message in traffic.messages:
        if not waiting:
            break
        if message.sender == "client" and not message.is_binary:
            data = read_message(message.data)
            for location in list(waiting):
                value = read_pointer(data, location.pointer_tokens)
                if value is not MISSING:
                    values[location] = value
                    waiting.discard(location)
    return values


@dataclass
class SocketTurn:
    """One turn, with the times of its messages in milliseconds after the connection was opened."""

    index: int
    """Number of the turn in its connection, from 0."""
    context: str | None
    """Name of the turn in its messages; `None` if the channel has no contexts."""
    text: str = ""
    """The text to speak, joined from the pieces in which the client sent it."""
    first_text_ms: float | None = None
    """When the client sent the first text; `None` if it sent none."""
    last_text_ms: float | None = None
    """When the client sent the last text; `None` if it sent none."""
    flushes_ms: list[float] = field(default_factory=list)
    """When the client sent each flush."""
    end_ms: float | None = None
    """When the client said that no more text follows; `None` if it did not."""
    cancelled_ms: float | None = None
    """When the client cancelled the turn; `None` if it did not."""
    audio: list[tuple[float, bytes]] = field(default_factory=list)
    """Time and bytes of every audio message that belongs to the turn."""
    events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Time and content of every other event, and of audio, in the order of arrival."""
    started_ms: float | None = None
    """When the service reported the start of the turn; `None` if it did not."""
    finished_ms: float | None = None
    """When the service reported that the turn is complete, or the client cancelled it before asking for speech; `None`
    if neither happened."""
    cancel_confirmed_ms: float | None = None
    """When the service reported that the cancellation was carried out; `None` if it did not."""
    errors: list[str] = field(default_factory=list)
    """Texts of errors that the service reported."""

    @property
    def audio_bytes(self) -> bytes:
        """All audio of the turn: the received pieces, joined."""
        return b"".join(piece for _, piece in self.audio)

    @property
    def first_audio_ms(self) -> float | None:
        """When the first audio arrived, in ms after the connection was opened; `None` if none did."""
        return next((at for at, piece in self.audio if piece), None)

    @property
    def last_audio_ms(self) -> float | None:
        """When the last audio arrived, in ms after the connection was opened; `None` if none did."""
        return next((at for at, piece in reversed(self.audio) if piece), None)

    @property
    def is_complete(self) -> bool:
        """Whether the service reported the end, and the turn was not cancelled."""
        return self.finished_ms is not None and self.cancelled_ms is None

    def count_completed_flushes(self) -> int:
        """Return how many flushes the service has reported as carried out."""
        return sum(event.kind == "flush-end" for _, event in self.events)

    def iterate_audio_after(self, time_ms: float) -> Iterator[tuple[float, bytes]]:
        """Yield time and bytes of the audio that arrived later than `time_ms` after the connection was opened."""
        return ((at, piece) for at, piece in self.audio if at > time_ms and piece)


@dataclass
class SocketConversation:
    """The turns of one connection, and the events that belong to no turn."""

    turns: list[SocketTurn] = field(default_factory=list)
    stray_events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Events that belong to no turn: they name a context that the client has not opened, or no turn is open."""
    session_events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Events of the connection itself: its start, and errors and warnings without a context."""


class TurnReader:
    """Reads the turns that a service speaks, message by message, while the connection is open."""

    def __init__(self, channel: SocketChannel) -> None:
        """Create a reader that has read no message."""
        self._channel, self._spec = channel, channel.spec
        self._has_contexts = channel.spec.has_contexts
        self.conversation = SocketConversation()
        self._by_context: dict[str | None, SocketTurn] = {}
        """The latest turn of each context; without contexts, the turn that the client is writing."""
        self._unfinished: list[SocketTurn] = []
        """Turns without contexts whose end the service has not reported, the oldest first."""
        self._awaited_cancel_error_count = 0
        """Number of cancellations when nothing was spoken, and whose documented error is to come."""

    def add_message(self, message: SocketMessage) -> list[tuple[SocketTurn | None, ServerEvent]]:
        """Add a message, and return the events that it reports, each with its turn; none for a message of a client."""
        if message.sender == "client":
            if not message.is_binary:
                self._add_client_message(message)
            return []
        events = self._channel.read_server_message(message.data, is_binary=message.is_binary)
        return [(self._add_event(message.at_ms, event), event) for event in events]

    def _add_client_message(self, message: SocketMessage) -> None:
        intent, at = self._channel.read_client_message(message.data), message.at_ms
        if not intent.actions & {"start", "text", "flush", "end", "cancel"}:
            return
        turn = self._find_or_begin_turn(intent)
        if turn is None:
            return
        if "text" in intent.actions:
            turn.text += intent.text
            turn.first_text_ms = at if turn.first_text_ms is None else turn.first_text_ms
            turn.last_text_ms = at
        if "flush" in intent.actions:
            turn.flushes_ms.append(at)
        # Where a flush ends turns, the client has no other message for it.
        if "end" in intent.actions or (self._spec.turn.ends_with == "flush-end" and "flush" in intent.actions):
            turn.end_ms = at if turn.end_ms is None else turn.end_ms
        if "cancel" in intent.actions:
            self._cancel_turn(turn, at)

    def _cancel_turn(self, turn: SocketTurn, at_ms: float) -> None:
        """Note that the client cancelled `turn`.

        If nothing is spoken yet or any more, and an error will answer, no message ends the turn: it ends at once.
        """
        is_unasked = turn.end_ms is None and self._spec.turn.speaks_after_end
        if (
            (is_unasked or turn.finished_ms is not None)
            and self._note_cancel_without_speech()
            and turn in self._unfinished
        ):
            self._unfinished.remove(turn)
            turn.finished_ms = at_ms
        turn.cancelled_ms = at_ms if turn.cancelled_ms is None else turn.cancelled_ms

    def _note_cancel_without_speech(self) -> bool:
        """Note that a cancellation came while nothing was spoken; return whether a documented error will answer it."""
        is_error = not self._has_contexts and self._spec.client_messages["cancel"].is_error_without_turn
        self._awaited_cancel_error_count += is_error
        return is_error

    def _find_or_begin_turn(self, intent: ClientIntent) -> SocketTurn | None:
        """Return the turn that a message of the client continues, or a new one; `None` if it begins none."""
        key = intent.context if self._has_contexts else None
        turn = self._by_context.get(key)
        begins = bool(intent.actions & {"start", "text"})
        is_over = turn is None or turn.finished_ms is not None or turn.cancelled_ms is not None
        if not self._has_contexts and turn is not None and turn.end_ms is not None:
            is_over = is_over or begins  # the text of the next turn may be sent before the audio of this one has ended
        if not is_over or (turn is not None and not begins):
            return turn
        if not begins:
            return None
        turn = SocketTurn(len(self.conversation.turns), key)
        self.conversation.turns.append(turn)
        self._by_context[key] = turn
        if not self._has_contexts:
            # A turn that was answered with an error instead of audio has no end: what follows belongs to the next one.
            self._unfinished = [one for one in self._unfinished if one.audio or not one.errors]
            self._unfinished.append(turn)
        return turn

    def _add_event(self, at_ms: float, event: ServerEvent) -> SocketTurn | None:
        turn = self._find_turn_of_event(event)
        if turn is None:
            of_session = event.kind in ("connected", "session", "error", "warning", "other")
            places = self.conversation.session_events if of_session else self.conversation.stray_events
            places.append((at_ms, event))
            return None
        turn.events.append((at_ms, event))
        if event.kind in ("turn-start", "audio") and turn.cancelled_ms is None:
            self._awaited_cancel_error_count = 0  # what was sent before this turn has been answered, or will not be
        if event.kind == "audio":
            turn.audio.append((at_ms, event.audio or b""))
        elif event.kind == "turn-start":
            turn.started_ms = at_ms
        elif event.kind == "error":
            turn.errors.append(event.reason)
        elif event.kind == "cancel-end":
            turn.cancel_confirmed_ms = at_ms
        if self._ends_turn(turn, event.kind):
            turn.finished_ms = at_ms if turn.finished_ms is None else turn.finished_ms
            if event.kind != "cancel-end" and turn.cancelled_ms is not None:
                self._note_cancel_without_speech()
            if turn in self._unfinished:
                self._unfinished.remove(turn)
        return turn

    def _is_error_of_cancel_without_speech(self, event: ServerEvent) -> bool:
        """Whether an event is the error that answers a cancellation that came while nothing was spoken."""
        if event.kind != "error" or not self._awaited_cancel_error_count:
            return False
        self._awaited_cancel_error_count -= 1
        return True

    def _find_turn_of_event(self, event: ServerEvent) -> SocketTurn | None:
        if self._is_error_of_cancel_without_speech(event):
            return None
        if self._has_contexts:
            # Of a single turn, a service may leave the context out. An error may concern the whole connection.
            if event.context is None and len(self.conversation.turns) == 1 and event.kind not in ("error", "session"):
                return self.conversation.turns[0]
            return self._by_context.get(event.context)
        if event.kind in ("connected", "session", "warning"):
            return None
        if self._unfinished:
            return self._unfinished[0]
        # After its end, the last turn has what arrives too late.
        return self.conversation.turns[-1] if self.conversation.turns and event.kind == "audio" else None

    def _ends_turn(self, turn: SocketTurn, kind: ServerEventKind) -> bool:
        """Whether an event of this kind completes the turn."""
        ends_with = self._spec.turn.ends_with
        if kind == "cancel-end":
            return turn.cancelled_ms is not None
        if ends_with == "flush-end":
            return kind == "flush-end" and turn.count_completed_flushes() >= len(turn.flushes_ms)
        return kind == "turn-end"


def read_conversation(channel: SocketChannel, traffic: SocketTraffic) -> SocketConversation:
    """Return the turns of a connection.

    If a turn ends with the connection, a normal close of the service completes it.
    """
    reader = TurnReader(channel)
    for message in traffic.messages:
        reader.add_message(message)
    # 1000: the service has said all that it would (RFC 6455, section 7.4.1). Any other code cuts the turn off.
    if channel.spec.turn.ends_with == "close" and traffic.close is not None and traffic.close.code == 1000:
        for turn in reader.conversation.turns:
            if turn.finished_ms is None and traffic.close.closed_by == "server":
                turn.finished_ms = traffic.close.at_ms
    return reader.conversation


# Reads what a service has transcribed on a WebSocket connection from its messages.


EVENT_KINDS_WITH_TEXT: frozenset[ServerEventKind] = frozenset(("partial", "final", "eager-end", "resumed", "turn-end"))
"""The events that have a text of the turn."""


class TranscribedText(NamedTuple):
    """One text of a turn, with its time in milliseconds after the connection was opened."""

    at_ms: float
    kind: ServerEventKind
    """The event that brought the text."""
    text: str
    """The whole text of the turn so far, with the parts that were final before."""


@dataclass
class TranscribedTurn:
    """One turn of a speaker, as the service that transcribes it reports it."""

    index: int
    """Number of the turn in its connection, from 0."""
    texts: list[TranscribedText] = field(default_factory=list)
    """Every text that was reported for the turn. The last one is that of its end, if an end was reported."""
    ended_ms: float | None = None
    """When its end was reported, in milliseconds after the connection was opened; `None` if it was not."""
    final_text: str = ""
    """The joined texts that were reported as final."""

    @property
    def text(self) -> str:
        """The text that was reported at the end of the turn, or else the latest one."""
        return self.texts[-1].text if self.texts else ""


@dataclass
class TranscribedConversation:
    """The turns and events of one connection that transcribes.

    Times are in milliseconds after the connection was opened.
    """

    turns: list[TranscribedTurn] = field(default_factory=list)
    """The turns that have a text, or whose end was reported."""
    events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Every event in the order of arrival, with its time in milliseconds after the connection was opened."""
    session_events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Events which report that the connection is ready."""
    errors: list[str] = field(default_factory=list)
    """Texts of errors that the service reported."""
    first_audio_ms: float | None = None
    """When the client sent its first audio; `None` if it sent none."""
    flushes_ms: list[float] = field(default_factory=list)
    """When the client asked for the end of a turn."""
    ended_turn_count: int = 0
    """Number of turns whose end was reported."""
    last_end_ms: float | None = None
    """When the latest end of a turn was reported; `None` if none was."""
    has_too_much_text: bool = False
    """Whether the service reported more than `MAX_TRANSCRIPT_CHARACTERS`; the rest is left out."""

    @property
    def text(self) -> str:
        """The joined texts of all turns."""
        return " ".join(turn.text for turn in self.turns if turn.text)


MAX_TRANSCRIPT_CHARACTERS = 8 * 2**20
"""Maximum number of characters of all texts of one connection. A turn of a minute that is reported four times a second
has a hundred thousand. The number grows with the square of the length of a turn, because each text is that of the whole
turn."""
MAX_COMPARED_WORDS = 2_000
"""Largest number of words of a text that are compared with the text before it, from the first difference on."""


class TranscriptReader:
    """Reads the turns that a service transcribes, message by message, while the connection is open."""

    def __init__(self, channel: SocketChannel) -> None:
        """Create a reader that has read no message."""
        self._channel, self._spec = channel, channel.spec
        self.conversation = TranscribedConversation()
        self._turn: TranscribedTurn | None = None
        """The turn that has not ended."""
        self._character_count = 0

    def add_message(self, message: SocketMessage) -> None:
        """Add the next message of the connection, of the client or of the service."""
        transcribed = self.conversation
        if message.sender == "client":
            intent = self._channel.read_client_message(message.data, is_binary=message.is_binary)
            if intent.audio and transcribed.first_audio_ms is None:
                transcribed.first_audio_ms = message.at_ms
            if "flush" in intent.actions:
                transcribed.flushes_ms.append(message.at_ms)
            return
        events = self._channel.read_server_message(message.data, is_binary=message.is_binary)
        for event in events:
            transcribed.events.append((message.at_ms, event))
            if event.kind == "session":
                transcribed.session_events.append((message.at_ms, event))
            elif event.kind == "error":
                transcribed.errors.append(event.reason)
        # One message may report a final text and the end of the turn: it is one text.
        of_text = [event for event in events if event.kind in EVENT_KINDS_WITH_TEXT]
        if of_text:
            self._add_text(message.at_ms, of_text)

    def _add_text(self, at_ms: float, events: list[ServerEvent]) -> None:
        kinds = {event.kind for event in events}
        text = next((event.transcript for event in events if event.transcript is not None), "") or ""
        if self._turn is None:
            if not text.strip() and "turn-end" not in kinds:
                return  # nothing was transcribed yet
            self._turn = TranscribedTurn(len(self.conversation.turns))
            self.conversation.turns.append(self._turn)
        turn = self._turn
        joins = self._spec.transcript.turn_text == "finals"
        whole = " ".join(filter(None, (turn.final_text.strip(), text.strip()))) if joins else text
        self._character_count += len(whole) + 1  # one more, so that empty texts come to the limit too
        if self._character_count > MAX_TRANSCRIPT_CHARACTERS:
            self.conversation.has_too_much_text = True
            return
        if joins and "final" in kinds:
            turn.final_text = whole
        # The end outranks the other events of a message: a turn that has ended must not wait for another end.
        kind: ServerEventKind = "turn-end" if "turn-end" in kinds else events[0].kind
        turn.texts.append(TranscribedText(at_ms, kind, whole))
        if kind == "turn-end":
            turn.ended_ms = self.conversation.last_end_ms = at_ms
            self.conversation.ended_turn_count += 1
            self._turn = None


def read_transcribed_conversation(channel: SocketChannel, traffic: SocketTraffic) -> TranscribedConversation:
    """Return what the service has transcribed on a connection."""
    reader = TranscriptReader(channel)
    for message in traffic.messages:
        reader.add_message(message)
    return reader.conversation


def count_words_taken_back(turn: TranscribedTurn) -> int:
    """Return how many words of a turn were taken back.

    For each text and the next one, these are the words that the next text does not have in the same order: the number
    of words minus the length of the longest common subsequence. Punctuation and case are ignored.
    """
    words = [_split_into_words(one.text) for one in turn.texts]
    return sum(len(before) - _measure_common_subsequence(before, after) for before, after in itertools.pairwise(words))


def count_partial_words(turn: TranscribedTurn) -> int:
    """Return the number of words that could be taken back: those in all texts of a turn except the last one."""
    return sum(len(_split_into_words(one.text)) for one in turn.texts[:-1])


def _split_into_words(text: str) -> list[str]:
    kept = "".join(sign if sign.isalnum() or sign == "'" else " " for sign in text.casefold())
    return kept.split()


def _measure_common_subsequence(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence; words beyond `MAX_COMPARED_WORDS` count as equal."""
    from rapidfuzz.distance import LCSseq

    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
    rest = first[same : same + MAX_COMPARED_WORDS], second[same : same + MAX_COMPARED_WORDS]
    uncompared = max(len(first) - same - MAX_COMPARED_WORDS, 0)
    return same + int(LCSseq.similarity(*rest)) + uncompared
