"""Streams a recording over a WebSocket as it would be spoken, and notes when which text of it arrives."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from voicegauge.client.client import Client
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.socket_link import SocketLink
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.targets import TranscriptionSocketTarget
from voicegauge.contract.transcript_turns import TranscribedConversation, TranscriptReader
from voicegauge.model.socket_messages import SocketMessage

FRAME_S = 0.02
"""Duration of the audio in one message, in seconds, as telephony and browsers send it."""
DEFAULT_TURN_END_TIMEOUT_S = 10.0
"""Time in seconds that the service has to report the end of the last turn after the end of the audio."""


class StreamedAudio(NamedTuple):
    """A recording, encoded in the audio format that the target expects."""

    data: bytes
    bytes_per_second: int
    sample_width_bytes: int
    """Size of one sample: a message has whole samples."""


class StreamTimes(NamedTuple):
    """When the frames of a stream were sent, in milliseconds after the connection was opened."""

    frame_s: float
    """Duration of a frame in seconds."""
    started_ms: float
    sent_ms: list[float]
    """Time of each frame."""

    def find_spoken_ms(self, second: float) -> float:
        """Return the time, in milliseconds, at which the sample at `second` seconds was spoken.

        It is computed from the time at which its frame was sent, as if each frame were sent as soon as it is recorded.
        If this machine sends a frame late, the delay is therefore counted as one of the speaker, not of the service.
        """
        if not self.sent_ms:
            return self.started_ms + second * 1000
        index = min(max(math.ceil(second / self.frame_s - 1e-9) - 1, 0), len(self.sent_ms) - 1)
        return self.sent_ms[index] - ((index + 1) * self.frame_s - second) * 1000


class TranscriptionSession(SocketLink[TranscriptionSocketTarget]):
    """One connection to a target, on which audio is transcribed."""

    def __init__(
        self,
        client: Client,
        target: TranscriptionSocketTarget,
        *,
        audio_format: SocketFormat | None = None,
        key: ApiKeyOrSentinel = USE_CLIENT_KEY,
        timeout_s: float = DEFAULT_TURN_END_TIMEOUT_S,
    ) -> None:
        """Prepare a session.

        Args:
            client: builds the handshake with base URL and key.
            target: the target that transcribes.
            audio_format: format of the audio that will be sent; by default the target's first.
            key: replaces the client's key; `None` sends none.
            timeout_s: time in seconds that the service has to report the end of a turn.
        """
        self._reader = TranscriptReader(target.socket)
        super().__init__(client, target, audio_format=audio_format, key=key, timeout_s=timeout_s)

    def _read_message(self, message: SocketMessage) -> None:
        self._reader.add_message(message)

    @property
    def _is_ready(self) -> bool:
        return bool(self._reader.conversation.session_events)

    @property
    def transcribed(self) -> TranscribedConversation:
        """What the service has transcribed so far."""
        return self._reader.conversation

    async def stream(
        self, audio: StreamedAudio, *, should_stop: Callable[[], bool] = lambda: False, is_paced: bool = True
    ) -> StreamTimes:
        """Send audio in frames, each at the time at which a microphone would have recorded it.

        Args:
            audio: the audio, with the silence that follows its speech.
            should_stop: returns whether the rest need not be sent, such as the silence after the turn was ended.
            is_paced: whether frames are sent at their time; otherwise at once, which shows no times.

        Returns:
            When which part was sent.

        Raises:
            TransportError: the connection has ended.
        """
        size = round(FRAME_S * audio.bytes_per_second)
        size -= size % audio.sample_width_bytes
        times = StreamTimes(size / audio.bytes_per_second, self.connection.now_ms, [])
        started_s = time.perf_counter()
        for start in range(0, len(audio.data), size):
            frame = audio.data[start : start + size]
            if should_stop():
                break
            wait_s = (start + len(frame)) / audio.bytes_per_second - (time.perf_counter() - started_s)
            if not is_paced:
                await asyncio.sleep(0)  # lets texts arrive meanwhile
            elif wait_s > 0:
                await asyncio.sleep(wait_s)
            times.sent_ms.append(self.connection.now_ms)
            self._send("audio", None, audio=frame)
        return times

    def flush(self) -> bool:
        """Ask for the end of the turn of what was sent so far; return whether the contract has such a message."""
        return self._send("flush", None)

    async def wait_for_turn_end(self, turn_count: int = 1, timeout_s: float | None = None) -> bool:
        """Wait until the ends of a number of turns were reported; return whether they were in time."""

        def has_ended() -> bool:
            ended = sum(turn.ended_ms is not None for turn in self.transcribed.turns)
            return ended >= turn_count or bool(self.transcribed.errors) or not self.connection.is_open

        return await self._wait(has_ended, self.timeout_s if timeout_s is None else timeout_s)

    async def wait_for_close(self, timeout_s: float) -> bool:
        """Wait until the service closes the connection; return whether it did in time."""
        return await self._wait(lambda: not self.connection.is_open, timeout_s)
