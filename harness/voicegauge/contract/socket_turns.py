"""Reads the turns of a WebSocket connection from its messages.

A turn is one text that is spoken: from its first text to its last audio. Turns are read from the recorded messages
only, so that live traffic, recordings and passed traffic are read in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from voicegauge.contract.extension.sockets import ServerEventKind
from voicegauge.contract.socket_messages import ClientIntent, ServerEvent, SocketChannel
from voicegauge.model.socket import SocketTraffic
from voicegauge.model.socket_messages import SocketMessage


@dataclass
class SocketTurn:
    """One turn, with the times of its messages in milliseconds after the connection was opened."""

    index: int
    """Number of the turn in its connection, from 0."""
    context: str | None
    """The context; `None` if messages do not name it."""
    text: str = ""
    """The joined text."""
    first_text_ms: float | None = None
    last_text_ms: float | None = None
    flushes_ms: list[float] = field(default_factory=list)
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
    """When the service reported that the turn is complete; `None` if it did not."""
    cancel_confirmed_ms: float | None = None
    """When the service reported that the cancellation was carried out; `None` if it did not."""
    errors: list[str] = field(default_factory=list)
    """Texts of errors that the service reported."""

    @property
    def audio_bytes(self) -> bytes:
        """All audio of the turn."""
        return b"".join(piece for _, piece in self.audio)

    @property
    def first_audio_ms(self) -> float | None:
        """When the first audio arrived; `None` if none did."""
        return next((at for at, piece in self.audio if piece), None)

    @property
    def last_audio_ms(self) -> float | None:
        """When the last audio arrived; `None` if none did."""
        return next((at for at, piece in reversed(self.audio) if piece), None)

    @property
    def is_complete(self) -> bool:
        """Whether the service reported the end, and the turn was not cancelled."""
        return self.finished_ms is not None and self.cancelled_ms is None

    def count_flush_ends(self) -> int:
        """Return how many flushes the service has reported as carried out."""
        return sum(event.kind == "flush-end" for _, event in self.events)

    def iterate_audio_after(self, time_ms: float) -> Iterator[tuple[float, bytes]]:
        """Yield the audio that arrived after a time."""
        return ((at, piece) for at, piece in self.audio if at > time_ms and piece)


@dataclass
class SocketConversation:
    """The turns of one connection, and what belongs to none."""

    turns: list[SocketTurn] = field(default_factory=list)
    stray_events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Events that belong to no turn: they name a context that the client has not opened, or no turn is open."""
    session_events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Events of the connection itself: its start, and errors and warnings without a context."""


class TurnReader:
    """Reads turns message by message, while the connection is open."""

    def __init__(self, channel: SocketChannel) -> None:
        """Begin without turns."""
        self._channel, self._spec = channel, channel.spec
        self.conversation = SocketConversation()
        self._by_context: dict[str | None, SocketTurn] = {}
        """The latest turn of each context; without contexts, the turn that the client is writing."""
        self._unfinished: list[SocketTurn] = []
        """Turns without contexts whose end the service has not reported, the oldest first."""

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
        turn = self._find_turn_to_write(intent)
        if turn is None:
            return
        if "text" in intent.actions:
            turn.text += intent.text
            turn.first_text_ms = at if turn.first_text_ms is None else turn.first_text_ms
            turn.last_text_ms = at
        if "flush" in intent.actions:
            turn.flushes_ms.append(at)
        if "end" in intent.actions or (self._spec.turn.ends_with == "flush-end" and "flush" in intent.actions):
            turn.end_ms = at if turn.end_ms is None else turn.end_ms
        if "cancel" in intent.actions:
            turn.cancelled_ms = at if turn.cancelled_ms is None else turn.cancelled_ms

    def _find_turn_to_write(self, intent: ClientIntent) -> SocketTurn | None:
        """Return the turn that a message of the client continues, or a new one; `None` if it begins none."""
        key = intent.context if self._spec.has_contexts else None
        turn = self._by_context.get(key)
        begins = bool(intent.actions & {"start", "text"})
        is_over = turn is None or turn.finished_ms is not None or turn.cancelled_ms is not None
        if not self._spec.has_contexts and turn is not None and turn.end_ms is not None:
            is_over = is_over or begins  # the text of the next turn may be sent before the audio of this one has ended
        if not is_over or (turn is not None and not begins):
            return turn
        if not begins:
            return None
        turn = SocketTurn(len(self.conversation.turns), key)
        self.conversation.turns.append(turn)
        self._by_context[key] = turn
        if not self._spec.has_contexts:
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
            if turn in self._unfinished:
                self._unfinished.remove(turn)
        return turn

    def _find_turn_of_event(self, event: ServerEvent) -> SocketTurn | None:
        if self._spec.has_contexts:
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
        ends_with = self._spec.turn.ends_with
        if kind == "cancel-end":
            return turn.cancelled_ms is not None
        if ends_with == "flush-end":
            return kind == "flush-end" and turn.count_flush_ends() >= len(turn.flushes_ms)
        return kind == "turn-end"


def read_conversation(channel: SocketChannel, traffic: SocketTraffic) -> SocketConversation:
    """Return the turns of a connection.

    If a turn ends with the connection, a normal close of the service completes it.
    """
    reader = TurnReader(channel)
    for message in traffic.messages:
        reader.add_message(message)
    if channel.spec.turn.ends_with == "close" and traffic.close is not None and traffic.close.code == 1000:
        for turn in reader.conversation.turns:
            if turn.finished_ms is None and traffic.close.closed_by == "server":
                turn.finished_ms = traffic.close.at_ms
    return reader.conversation
