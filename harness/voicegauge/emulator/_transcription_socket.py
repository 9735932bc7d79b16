"""One emulated WebSocket connection that transcribes: reports texts while the client sends audio.

Speech and silence are distinguished by their level. The texts are those of the embedded ASR engine, which transcribes
the turn again for each of them: as with other services, a word may change when more was said.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Send

from voicegauge.contract.extension.sockets import ServerEventKind, SocketFormat, has_placeholder
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import TranscriptionSocketTarget
from voicegauge.emulator._accounts import REJECTED_KEY_PREFIX
from voicegauge.emulator._emulated_connection import (
    NORMAL_CLOSE_CODE,
    POLICY_CLOSE_CODE,
    TOO_BIG_CLOSE_CODE,
    ConnectionEndedError,
    EmulatedConnection,
    SocketServices,
)
from voicegauge.emulator._socket_steps import SocketFault, TextStep
from voicegauge.emulator._transcription import (
    split_into_timed_words,
    split_transcript_into_timed_phrases,
    transcribe_samples,
)
from voicegauge.formats.locations import Location
from voicegauge.speech.decoding import RawAudioFormat, decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

_FRAME_S = 0.02
_SPEECH_LEVEL_DBFS = -45.0
"""Level above which a frame is speech."""
_LEAD_S = 0.2
"""Duration before the first frame of speech that belongs to a turn, because a word may begin softly."""
_MAX_TURN_S = 30.0
"""Longest turn: the ASR engine hears no more at once."""
_MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass
class _Turn:
    """The turn that is spoken now."""

    index: int
    first_sample: int
    """Number of its first sample in the connection."""
    last_speech_sample: int
    reported_until: int
    """Number of the sample up to which a text was reported."""
    has_probably_ended: bool = False
    eager_text: str | None = None
    """The text of the latest `eager-end`."""


@dataclass
class _Samples:
    """The samples of the connection that may still be needed."""

    samples: Samples
    first_sample: int = 0
    undecoded: bytearray = field(default_factory=bytearray)


class EmulatedTranscription(EmulatedConnection):
    """One accepted connection on which audio is transcribed."""

    def __init__(
        self,
        operation: Operation,
        values: Mapping[Location, Any],
        services: SocketServices,
        receive: Receive,
        send: Send,
    ) -> None:
        """Begin without audio.

        Args:
            operation: the channel.
            values: what the handshake has at the locations of targets' constants.
            services: what all connections share.
            receive: receives messages.
            send: sends messages.
        """
        import numpy as np

        super().__init__(operation, services, receive, send)
        self._values, self._faults = values, services.fault_injector
        self._target = self._find_target()
        self._format = self._find_format()
        self._audio = _Samples(np.zeros(0, np.float32))
        self._frame = round(_FRAME_S * self._format.sample_rate_hz)
        self._examined = 0
        """Number of samples in which speech and silence were distinguished."""
        self._turn: _Turn | None = None
        self._turn_count = self._message_count = 0
        self._jobs: asyncio.Queue[tuple[ServerEventKind, int, int, _Turn]] = asyncio.Queue()
        """Texts to report: the kind, the first and last sample that they are about, and the turn."""
        self._worker: asyncio.Task[None] | None = None
        """Reports the texts, while the connection is open."""

    def _find_target(self) -> TranscriptionSocketTarget:
        contract = self._operation.contract
        targets = [one for one in contract.transcription_socket_targets.values() if one.operation is self._operation]

        def count_equal(target: TranscriptionSocketTarget) -> int:
            constants = target.target_spec.request_constants
            return sum(self._values.get(location) == value for location, value in constants.items())

        return max(targets, key=count_equal)

    def _find_format(self) -> SocketFormat:
        def count_equal(audio_format: SocketFormat) -> int:
            constants = audio_format.request_constants
            return sum(self._values.get(location) == str(value) for location, value in constants.items())

        return max(self._target.target_spec.formats.values(), key=count_equal)

    def _list_faults(self) -> list[SocketFault]:
        return self._faults.list_socket_faults(self._target)

    async def run(self) -> None:
        """Hear audio, and report texts, until the connection ends."""
        self._worker = asyncio.create_task(self._process_jobs())
        await super().run()

    async def _stop(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    # Messages of the client.

    async def _take_message(self, event: Mapping[str, Any]) -> None:
        binary = event.get("bytes")
        is_binary = binary is not None
        data = bytes(binary) if binary is not None else str(event.get("text")).encode(errors="surrogatepass")
        if len(data) > _MAX_MESSAGE_BYTES:
            await self._close(TOO_BIG_CLOSE_CODE, "message too big")
            return
        violation = next(self._channel.iterate_violations("client", data, is_binary=is_binary), None)
        if violation is not None:
            self._client.report("client-message-invalid", violation.reason)
            await self._reject(violation.reason)
            return
        intent = self._channel.read_client_message(data, is_binary=is_binary)
        self._client.take(intent)
        if "session" in intent.actions:
            is_missing = not intent.key or intent.key.startswith(REJECTED_KEY_PREFIX)
            if self._spec.sends_key_in_message and is_missing and not any(f.ignores_key for f in self._list_faults()):
                await self._close(POLICY_CLOSE_CODE, "unauthorized")
                return
            await self._report("session")
        if intent.audio:
            await self._hear(intent.audio)
        if "flush" in intent.actions:
            await self._end_turn()
        if "close" in intent.actions:
            await self._end_turn()
            await self._jobs.join()
            await self._report("session-end", duration_s=round(self._sample_count / self._format.sample_rate_hz, 3))
            await self._close(NORMAL_CLOSE_CODE, "")

    @property
    def _sample_count(self) -> int:
        return self._audio.first_sample + len(self._audio.samples)

    async def _hear(self, audio: bytes) -> None:
        """Add audio, and report what the speech and the silence in it mean."""
        import numpy as np

        buffer, width = self._audio, self._format.sample_width_bytes or 1
        buffer.undecoded += audio
        whole = len(buffer.undecoded) - len(buffer.undecoded) % width
        if not whole:
            return
        declared = RawAudioFormat(format=self._format.codec, sample_rate_hz=self._format.sample_rate_hz)
        samples = decode(bytes(buffer.undecoded[:whole]), declared_format=declared).samples
        del buffer.undecoded[:whole]
        buffer.samples = np.concatenate((buffer.samples, samples))
        while self._examined + self._frame <= self._sample_count:
            start = self._examined - buffer.first_sample
            power = float(np.mean(np.square(buffer.samples[start : start + self._frame], dtype=np.float64)))
            self._examined += self._frame
            await self._follow_frame(is_speech=10 * np.log10(power + 1e-12) > _SPEECH_LEVEL_DBFS)
        self._forget_samples()

    def _forget_samples(self) -> None:
        rate = self._format.sample_rate_hz
        kept = self._turn.first_sample if self._turn is not None else self._examined - round(_LEAD_S * rate)
        surplus = kept - self._audio.first_sample
        if surplus > rate and self._jobs.empty():
            self._audio.samples = self._audio.samples[surplus:]
            self._audio.first_sample += surplus

    async def _follow_frame(self, *, is_speech: bool) -> None:
        """Follow a frame, which ends at `_examined`."""
        rate, turn, spec = self._format.sample_rate_hz, self._turn, self._spec.transcript_emulation
        now = self._examined
        if is_speech:
            if turn is None:
                first = max(now - self._frame - round(_LEAD_S * rate), self._audio.first_sample)
                turn = self._turn = _Turn(self._turn_count, first, now, now)
                self._turn_count += 1
                self._put("turn-start", turn)
            elif turn.has_probably_ended:
                turn.has_probably_ended = False
                self._put("resumed", turn)
            turn.last_speech_sample = now
        if turn is None:
            return
        silence_s = (now - turn.last_speech_sample) / rate
        if now - turn.reported_until >= spec.partial_interval_s * rate and not turn.has_probably_ended:
            turn.reported_until = now
            if self._jobs.empty():  # otherwise the next one reports more
                self._put("partial", turn)
        has_paused = silence_s >= spec.eager_end_s
        if has_paused and not turn.has_probably_ended and self._spec.has_event("eager-end"):
            turn.has_probably_ended = True
            self._put("eager-end", turn)
        limits = [fault.turn_end_s for fault in self._list_faults() if fault.turn_end_s is not None]
        turn_end_s = min([spec.turn_end_s, *limits])
        if silence_s >= turn_end_s or now - turn.first_sample >= _MAX_TURN_S * rate:
            await self._end_turn()

    async def _end_turn(self) -> None:
        if self._turn is not None:
            self._put("turn-end", self._turn)
            self._turn = None

    def _put(self, kind: ServerEventKind, turn: _Turn) -> None:
        self._jobs.put_nowait((kind, turn.first_sample, self._examined, turn))

    # What is reported.

    async def _process_jobs(self) -> None:
        """Report one text after the other."""
        with contextlib.suppress(ConnectionEndedError):
            while True:
                kind, first, last, turn = await self._jobs.get()
                try:
                    await self._report_text(kind, first, last, turn)
                finally:
                    self._jobs.task_done()

    async def _report_text(self, kind: ServerEventKind, first: int, last: int, turn: _Turn) -> None:
        if not self._spec.has_event(kind) and kind != "turn-end":
            return
        origin, rate = self._audio.first_sample, self._format.sample_rate_hz
        samples = self._audio.samples[max(first - origin, 0) : last - origin]
        text = await self._choose_text(kind, samples, turn)
        if text is None:
            return
        steps = [TextStep(kind, text)]
        for fault in self._list_faults():
            if fault.change_texts is not None:
                steps = fault.change_texts(steps)
        for step in itertools.chain.from_iterable(map(self._put_text_before_end, steps)):
            if step.delay_s:
                await asyncio.sleep(step.delay_s * self._settings.time_scale)
            if step.kind == "raw":
                await self._send_text(step.text)
                continue
            await self._report(
                step.kind,
                transcript=step.text,
                word_items=_build_words(samples, rate, step.text, first / rate),
                turn=turn.index,
                start_s=round(first / rate, 3),
                end_s=round(last / rate, 3),
                duration_s=round((last - first) / rate, 3),
            )

    def _put_text_before_end(self, step: TextStep) -> list[TextStep]:
        """Return a step, with a final text before the end of a turn whose message has no text."""
        ends = [one for one in self._spec.server_messages if one.event == "turn-end"]
        has_text = self._spec.transcript.turn_text == "end" or any(
            has_placeholder(one.value, "{transcript}") for one in ends
        )
        if step.kind != "turn-end" or has_text:
            return [step]
        return [replace(step, kind="final"), TextStep("turn-end")]

    async def _choose_text(self, kind: ServerEventKind, samples: Samples, turn: _Turn) -> str | None:
        """Return the text to report; `None` if nothing is to be reported."""
        if kind == "turn-start":
            return ""
        if kind == "turn-end" and turn.eager_text is not None:
            return turn.eager_text
        text = (await transcribe_samples(samples, self._format.sample_rate_hz)).strip()
        if kind == "eager-end":
            turn.eager_text = text or None
            turn.has_probably_ended = bool(text) and turn.has_probably_ended
            return text or None
        if kind != "turn-end":
            turn.eager_text = None
        return text

    async def _report(self, kind: Any, **values: Any) -> None:
        """Send an event, if the contract has such a message."""
        named = {"id": f"{self._settings.seed % 0x10000:04x}{self._message_count:08x}", "sequence": self._message_count}
        message = self._channel.build_server_message(kind, **{**named, **values})
        if message is not None:
            self._message_count += 1
            await self._send_text(message)

    async def _reject(self, reason: str) -> None:
        if self._spec.has_event("error"):
            await self._report("error", reason=reason)
        else:
            await self._close(POLICY_CLOSE_CODE, reason)


def _build_words(samples: Samples, sample_rate_hz: int, text: str, offset_s: float) -> list[dict[str, Any]]:
    """Return the words of a text with estimated times, in seconds after the first audio of the connection."""
    phrases = split_transcript_into_timed_phrases(samples, sample_rate_hz, text) if len(samples) else []
    return [
        {"word": one.words[0], "start_s": round(offset_s + one.start_s, 2), "end_s": round(offset_s + one.end_s, 2)}
        for one in split_into_timed_words(phrases)
    ]
