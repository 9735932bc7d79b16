"""The subjects of rules about WebSockets: connections, turns, and pairs of turns."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from voicegauge.contract.contract import BaseSocketTarget
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.extension.speech import RAW_SAMPLE_CODECS
from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_turns import (
    SocketConversation,
    SocketTurn,
    TranscribedConversation,
    read_conversation,
    read_transcribed_conversation,
)
from voicegauge.model.exchange import Exchange, SocketTraffic, build_socket_exchange
from voicegauge.rules.call import CheckSubject, quote_audio

if TYPE_CHECKING:
    from voicegauge.speech.decoding import DecodedAudio
    from voicegauge.speech.spoken_text import SpokenTextJudgement

ConnectionExpectation = Literal["accepted", "rejected", "limit"]
"""How a connection should end. `accepted`: after its turns; `rejected`: in the handshake, because of a wrong key;
`limit`: the service closes it, because a documented limit was exceeded."""


@dataclass(frozen=True, eq=False)
class SocketSubject(CheckSubject):
    """One WebSocket connection."""

    target: BaseSocketTarget  # type: ignore[assignment]
    traffic: SocketTraffic
    """The handshake, the messages and the close of the connection."""

    @property
    def operation(self) -> Operation:
        """The channel of the connection, as an operation of the contract."""
        return self.target.operation

    @functools.cached_property
    def exchange(self) -> Exchange:
        """The handshake of the connection as an exchange, with the messages that followed."""
        return build_socket_exchange(self.traffic)

    @property
    def can_be_sent_again(self) -> bool:
        """Whether a finding can name a command: that of the whole case."""
        return True

    @functools.cached_property
    def has_asked_to_close(self) -> bool:
        """Whether the client has sent the message that ends the connection."""
        return any(
            message.sender == "client"
            and not message.is_binary
            and "close" in self.target.socket.read_client_message(message.data).actions
            for message in self.traffic.messages
        )

    @property
    def extension_pointer(self) -> str:
        """JSON pointer to the `x-socket` of the channel."""
        return f"{self.operation.pointer}/x-socket"


@dataclass(frozen=True, eq=False)
class SocketConnection(SocketSubject):
    """A connection with all its messages."""

    expectation: ConnectionExpectation = "accepted"
    """How the connection should end, by what the case or the recorded client did."""
    upgrade_violation: str | None = None
    """Why an answer with status 101 does not open a WebSocket; `None` if it does, or if the answer was another."""
    rejection: str = ""
    """The beginning of the body of an answer that rejects the handshake; empty if there is none."""

    @functools.cached_property
    def conversation(self) -> SocketConversation:
        """The spoken turns, and the messages that belong to no turn."""
        return read_conversation(self.target.socket, self.traffic)

    @functools.cached_property
    def has_open_turn(self) -> bool:
        """Whether a turn was neither completed nor cancelled."""
        if self.target.spec.transcribes:
            transcribed = read_transcribed_conversation(self.target.socket, self.traffic)
            return any(turn.ended_ms is None for turn in transcribed.turns)
        return any(turn.finished_ms is None and turn.cancelled_ms is None for turn in self.conversation.turns)

    @functools.cached_property
    def has_begun(self) -> bool:
        """Whether the client has begun a turn: with a text, or with audio."""
        if self.target.spec.transcribes:
            transcribed = read_transcribed_conversation(self.target.socket, self.traffic)
            return transcribed.first_audio_ms is not None
        return bool(self.conversation.turns)


@dataclass(frozen=True, eq=False)
class TranscribedConnection(SocketSubject):
    """A connection on which speech was transcribed."""

    reference_text: str | None
    """What was said; `None` if it is not known."""
    waited_s: float
    """How long the client waited for the end of a turn that did not end, in seconds."""

    @functools.cached_property
    def transcribed(self) -> TranscribedConversation:
        """The texts and ends of turns that the service has reported."""
        return read_transcribed_conversation(self.target.socket, self.traffic)


@dataclass(frozen=True, eq=False)
class SpokenTurn(SocketSubject):
    """One turn of a connection that the service should have spoken."""

    turn: SocketTurn
    """The text that was sent, and what the service sent for it, with times."""
    audio_format: SocketFormat
    """The format in which the audio of the connection is encoded."""
    waited_s: float
    """How long the client waited, in seconds, if the turn did not end."""
    language: str | None = None
    """Language code of the text; `None` to recognize the language by its words."""

    @property
    def audio_evidence(self) -> str:
        """The evidence of a violation about sound: what was measured, and for which text."""
        return quote_audio(self.decoded_audio, self.turn.text)

    @functools.cached_property
    def decoded_audio(self) -> DecodedAudio | None:
        """The samples of the turn; `None` if there are none, or if they cannot be decoded."""
        from voicegauge.speech.decoding import RawAudioFormat, UndecodableAudioError, decode

        data, codec = self.turn.audio_bytes, self.audio_format.codec
        declared = (
            RawAudioFormat(format=codec, sample_rate_hz=self.audio_format.sample_rate_hz)
            if codec in RAW_SAMPLE_CODECS
            else None
        )
        if codec == "pcm_s16le" and len(data) % 2:
            data = data[:-1]  # another rule reports the missing byte
        try:
            return decode(data, declared_format=declared) if data else None
        except UndecodableAudioError:
            return None

    @property
    def is_silent(self) -> bool:
        """Whether the turn has no audible audio: none at all, none that can be decoded, or silence."""
        from voicegauge.speech.audio_measurement import is_silent

        decoded = self.decoded_audio
        return decoded is None or is_silent(decoded.samples, decoded.sample_rate_hz)

    @functools.cached_property
    def active_duration_s(self) -> float | None:
        """Duration of the audible speech in seconds; `None` if there is none."""
        from voicegauge.speech.audio_measurement import measure_active_duration_s

        decoded = self.decoded_audio
        if decoded is None or self.is_silent:
            return None
        return measure_active_duration_s(decoded.samples, decoded.sample_rate_hz)

    @functools.cached_property
    def spoken_text(self) -> SpokenTextJudgement | None:
        """What a complete turn says, compared with its text; `None` if they cannot be compared."""
        from voicegauge.speech.spoken_text import judge_spoken_text

        decoded = self.decoded_audio
        if decoded is None or not self._has_audible_speech or self._incomparable_text_reason is not None:
            return None
        return judge_spoken_text(decoded.samples, decoded.sample_rate_hz, self.turn.text, self.language or "en")

    @property
    def unjudged_words_reason(self) -> str | None:
        """Why it was not judged whether the turn says its text; `None` if it was.

        It is also `None` if the turn is incomplete or not audible, because other rules report that.
        """
        if not self._has_audible_speech:
            return None
        if self._incomparable_text_reason is not None or self.spoken_text is None:
            return self._incomparable_text_reason
        return self.spoken_text.explanation if self.spoken_text.verdict == "unclear" else None

    @property
    def _has_audible_speech(self) -> bool:
        return self.turn.is_complete and not self.turn.errors and not self.is_silent

    @property
    def _incomparable_text_reason(self) -> str | None:
        from voicegauge.speech.spoken_text import explain_why_not_judged, is_ordinary_text

        if not is_ordinary_text(self.turn.text):
            return "the text consists of few or no words"
        return explain_why_not_judged(self.turn.text, self.language, speed=None)


@dataclass(frozen=True, eq=False)
class TurnAmongOthers(SocketSubject):
    """A turn, with what the earlier turns of the run show about how well texts can be compared."""

    spoken_turn: SpokenTurn
    """The turn."""
    can_doubt_text: bool
    """Whether a text that fits the audio no better than other texts is reported, by `can_report_unfitting_text`."""


TurnComparison = Literal["pieces", "flush", "parallel", "format", "after-cancel"]
"""How the second turn of a pair differs: its text came in pieces; a flush came in its middle; another turn was spoken
at the same time; it has another format; it follows a cancelled turn."""
DESCRIPTION_BY_COMPARISON: dict[TurnComparison, str] = {
    "pieces": "when it comes in pieces",
    "flush": "with a flush in its middle",
    "parallel": "while another turn is spoken on the same connection",
    "format": "in another format",
    "after-cancel": "after a turn that was cancelled",
}
"""The words in a finding's message that say how the second turn of a pair differs from the first."""


@dataclass(frozen=True, eq=False)
class TurnPair(SocketSubject):
    """Two complete turns with the same text."""

    base_turn: SpokenTurn
    """The first turn, whose text was sent whole and alone."""
    changed_turn: SpokenTurn
    comparison: TurnComparison
    """How `changed_turn` differs from `base_turn`."""

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointer to the `x-socket` of the channel, at which a dispute can be recorded."""
        return (self.extension_pointer,)
