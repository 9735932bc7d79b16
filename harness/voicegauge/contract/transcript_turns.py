"""Reads what a service has transcribed: from a response, and from the messages of a WebSocket connection.

A turn is what one speaker says before somebody else speaks. A service reports its text several times, as it changes,
and once more when it believes that the turn has ended.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

from voicegauge.contract.extension.audio_input import TranscriptionResponse
from voicegauge.contract.extension.sockets import ServerEventKind
from voicegauge.contract.parsed_exchange import ParsedExchange
from voicegauge.contract.socket_messages import ServerEvent, SocketChannel
from voicegauge.formats.locations import EVERY_ITEM, read_pointer_values
from voicegauge.formats.subtitles import Cue, read_subtitles
from voicegauge.model.socket import SocketTraffic
from voicegauge.model.socket_messages import SocketMessage

# Reads transcripts from responses, as a contract describes them.


JOINED_TEXT_SEPARATOR = " "
"""What separates the texts of several places, when they are joined to one transcript."""


def read_transcript(exchange: ParsedExchange, response: TranscriptionResponse) -> str | None:
    """Return the transcript in a response: of subtitles, the text of all cues; `None` if the response has none.

    Raises:
        UnreadableSubtitlesError: the subtitles do not have the documented format.
    """
    cues = read_cues(exchange, response)
    if cues is not None:
        return JOINED_TEXT_SEPARATOR.join(cue.text for cue in cues if cue.text)
    location = response.text_location
    if EVERY_ITEM in location.pointer_tokens:
        texts = [
            text
            for text in read_pointer_values(exchange.response_json, location.pointer_tokens)
            if isinstance(text, str)
        ]
        return JOINED_TEXT_SEPARATOR.join(text.strip() for text in texts) if texts else None
    text = exchange.read_response_value(location)
    return text if isinstance(text, str) else None


def read_cues(exchange: ParsedExchange, response: TranscriptionResponse) -> list[Cue] | None:
    """Return the cues of a response that is documented as subtitles; `None` for any other response.

    Raises:
        UnreadableSubtitlesError: the subtitles do not have the documented format.
    """
    text = exchange.read_response_value(response.text_location)
    if response.subtitle_format is None or not isinstance(text, str):
        return None
    return read_subtitles(text, response.subtitle_format)


# Reads what a service has transcribed on a WebSocket connection from its messages.


TEXT_EVENTS: frozenset[ServerEventKind] = frozenset(("partial", "final", "eager-end", "resumed", "turn-end"))
"""The events that have a text of the turn."""


class TranscribedText(NamedTuple):
    """One text of a turn, with its time in milliseconds after the connection was opened."""

    at_ms: float
    kind: ServerEventKind
    text: str
    """The whole text of the turn so far, with the parts that were final before."""


@dataclass
class TranscribedTurn:
    """One turn, as the service reports it."""

    index: int
    texts: list[TranscribedText] = field(default_factory=list)
    """Every text that was reported for the turn. The last one is that of its end, if an end was reported."""
    ended_ms: float | None = None
    """When its end was reported; `None` if it was not."""
    final_text: str = ""
    """The joined texts that were reported as final."""

    @property
    def text(self) -> str:
        """The text that was reported at the end of the turn, or else the latest one."""
        return self.texts[-1].text if self.texts else ""


@dataclass
class TranscribedConversation:
    """The turns of one connection, and what belongs to none."""

    turns: list[TranscribedTurn] = field(default_factory=list)
    """The turns that have a text, or whose end was reported."""
    events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Every event in the order of arrival, with its time in milliseconds after the connection was opened."""
    session_events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    """Those that report that the connection is ready."""
    errors: list[str] = field(default_factory=list)
    """Texts of errors that the service reported."""
    first_audio_ms: float | None = None
    """When the client sent its first audio; `None` if it sent none."""
    flushes_ms: list[float] = field(default_factory=list)
    """When the client asked for the end of a turn."""

    @property
    def text(self) -> str:
        """The joined texts of all turns."""
        return " ".join(turn.text for turn in self.turns if turn.text)


class TranscriptReader:
    """Reads turns message by message, while the connection is open."""

    def __init__(self, channel: SocketChannel) -> None:
        """Begin without turns."""
        self._channel, self._spec = channel, channel.spec
        self.conversation = TranscribedConversation()
        self._turn: TranscribedTurn | None = None
        """The turn that has not ended."""

    def add_message(self, message: SocketMessage) -> None:
        """Add a message of either side."""
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
        of_text = [event for event in events if event.kind in TEXT_EVENTS]
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
        whole = _join(turn.final_text, text) if joins else text
        if joins and "final" in kinds:
            turn.final_text = whole
        kind: ServerEventKind = "turn-end" if "turn-end" in kinds else events[0].kind
        turn.texts.append(TranscribedText(at_ms, kind, whole))
        if kind == "turn-end":
            turn.ended_ms = at_ms
            self._turn = None


def _join(first: str, second: str) -> str:
    return " ".join(part for part in (first.strip(), second.strip()) if part)


def read_transcribed_conversation(channel: SocketChannel, traffic: SocketTraffic) -> TranscribedConversation:
    """Return what the service has transcribed on a connection."""
    reader = TranscriptReader(channel)
    for message in traffic.messages:
        reader.add_message(message)
    return reader.conversation


def count_words_taken_back(turn: TranscribedTurn) -> int:
    """Return how many words of a turn were taken back.

    Those are, for each text and the one after it, the words that are not in the same order in the one after it: the
    number of words minus the length of the longest common subsequence. Punctuation and case do not count.
    """
    words = [_split_into_words(one.text) for one in turn.texts]
    return sum(len(before) - _find_common_length(before, after) for before, after in itertools.pairwise(words))


def count_partial_words(turn: TranscribedTurn) -> int:
    """Return the number of words in all texts of a turn but the last: those that could be taken back."""
    return sum(len(_split_into_words(one.text)) for one in turn.texts[:-1])


def _split_into_words(text: str) -> list[str]:
    kept = "".join(sign if sign.isalnum() or sign == "'" else " " for sign in text.casefold())
    return kept.split()


def _find_common_length(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence."""
    lengths = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for index, other in enumerate(second, start=1):
            above = lengths[index]
            lengths[index] = diagonal + 1 if word == other else max(above, lengths[index - 1])
            diagonal = above
    return lengths[-1]
