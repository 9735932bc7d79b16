"""One emulated WebSocket connection: speaks what the client sends, at the pace of the contract."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voicegauge.contract.contract import SocketTarget
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.socket_messages import ClientIntent
from voicegauge.emulator._endpoint_context import (
    NORMAL_CLOSE_CODE,
    POLICY_CLOSE_CODE,
    TOO_BIG_CLOSE_CODE,
    ConnectionEndedError,
    EmulatedConnection,
    list_setting_locations,
)
from voicegauge.emulator._output import SocketOutput, SocketOutputPurpose, SocketTurnState
from voicegauge.emulator._speech_synthesis import (
    DEFAULT_ESPEAK_VARIANT,
    FALLBACK_LANGUAGE,
    SynthesisRequest,
    SynthesizedSpeech,
    build_speech_timings,
    synthesize,
)
from voicegauge.formats.locations import MISSING, Location, read_pointer
from voicegauge.speech.espeak import MAX_SPOKEN_TEXT_CHARACTERS, guess_language, has_voice_for

_SENTENCE_PATTERN = re.compile(r".*?[.!?]+(?=\s)\s*", re.DOTALL)
"""Matches the first complete sentence of a text, with the space after it."""
_LEADING_SILENCE_S = 0.1
"""Duration of the silence before the first speech of a turn, in seconds."""
_FAST_MESSAGE_INTERVAL_S = 0.002
"""Time between two audio messages with a clock on which nothing takes time. A cancellation can arrive between them."""
_FAST_MESSAGE_AUDIO_S = 0.2
"""Duration of the audio in a message with such a clock."""
_MAX_TURNS = 200
"""Maximum number of open turns of one connection, whatever the contract allows, and of remembered ended contexts."""
_MAX_WAITING_WORK_ITEMS = 1000
"""Maximum number of work items that wait in a turn."""
_COMPRESSED_AUDIO_BYTES_PER_S = 16_000
"""Size of one second of compressed audio, for the pace of its messages."""
_LATE_MESSAGE_TIMEOUT_S = 0.02
"""Time for which messages are still read after the message that closes the connection."""


_WorkItem = tuple[SocketOutputPurpose, str]
"""What to do next in a turn: the purpose, and the text to speak, or the number of the flush, or an empty text."""


@dataclass
class _Turn:
    """One turn of the connection, or of one of its contexts."""

    context: str | None
    """The context that the client has named; `None` without contexts."""
    target: SocketTarget
    audio_format: SocketFormat
    language: str
    """Tag of the language that is spoken, unless the script of a text says otherwise."""
    unspoken_text: str = ""
    """Text that waits for the end of its sentence."""
    work_items: asyncio.Queue[_WorkItem] = field(default_factory=lambda: asyncio.Queue(_MAX_WAITING_WORK_ITEMS))
    work_task: asyncio.Task[None] | None = None
    """The task that performs the work items."""
    index: int = 0
    """Number of the turn in its connection, from 0."""
    id: str = ""
    """Id of the turn in messages of the service."""
    character_count: int = 0
    """Number of characters of the text that the client has sent."""
    nonce: Any = None
    """Number of the latest flush or cancellation of the client; `None` if it sends none."""
    flush_count: int = 0
    """Number of times that the client has flushed the turn."""
    message_count: int = 0
    """Number of messages with text so far."""
    audio: bytearray = field(default_factory=bytearray)
    """All encoded audio that was made for the turn."""
    spoken_duration_s: float = 0.0
    """Duration of the audio that was made for the turn."""
    is_text_complete: bool = False
    """Whether the client has said that no more text follows."""
    has_ended: bool = False
    """Whether the turn has ended, so that nothing more is sent for it."""
    is_busy: bool = False
    """Whether a work item is being performed."""
    has_spoken: bool = False
    """Whether audio was made for the turn."""
    next_audio_due_s: float = 0.0
    """Time of `time.perf_counter` at which the next audio is due."""

    @property
    def bytes_per_second(self) -> int:
        return self.audio_format.bytes_per_second or _COMPRESSED_AUDIO_BYTES_PER_S


class EmulatedSpeechConnection(EmulatedConnection):
    """One accepted connection on which texts are spoken."""

    def __init__(self, *connection: Any, abort_connection: Callable[[], None]) -> None:
        """Create a connection without turns.

        Args:
            connection: the arguments of `EmulatedConnection`.
            abort_connection: ends the connection without a close frame.
        """
        super().__init__(*connection)
        self._abort_connection = abort_connection
        self._turns: dict[str | None, _Turn] = {}
        self._ended_contexts: deque[str | None] = deque(maxlen=_MAX_TURNS)
        self._latest_ended_turn: _Turn | None = None
        self._stale_audio = b""
        """Audio of the latest turn that was cancelled, until the next turn speaks."""
        self._turn_count = 0
        self._flush_times: deque[float] = deque()
        self._expiry_timers: dict[str | None, asyncio.TimerHandle] = {}
        self._message_settings: dict[Location, Any] = {}
        self._created_id_count = 0
        self._has_key = False

    def _has_more_to_send(self) -> bool:
        turns = [*self._turns.values(), *([self._latest_ended_turn] if self._latest_ended_turn is not None else [])]
        return any(turn.is_busy or not (turn.has_ended or turn.work_items.empty()) for turn in turns)

    async def _stop_unfinished_work(self) -> None:
        for timer in self._expiry_timers.values():
            timer.cancel()
        work_tasks = [turn.work_task for turn in self._turns.values() if turn.work_task is not None]
        for work_task in work_tasks:
            work_task.cancel()
        await asyncio.gather(*work_tasks, return_exceptions=True)

    def _create_id(self) -> str:
        self._created_id_count += 1
        return f"{self._settings.seed % 0x10000:04x}{self._created_id_count:08x}"

    # Messages of the client.

    async def _answer_message(self, event: Mapping[str, Any]) -> None:
        text = event.get("text")
        if text is None:
            self._client_monitor.report("client-message-invalid", "a binary message")
            await self._report_error_or_close("binary messages are not accepted")
            return
        data = str(text).encode(errors="surrogatepass")
        size_limit = self._spec.limits.message_bytes
        if size_limit is not None and len(data) > size_limit.max_count:
            self._client_monitor.report(
                "client-message-invalid", f"{len(data)} bytes, more than {size_limit.max_count}"
            )
            await self._close(size_limit.close_code or TOO_BIG_CLOSE_CODE, "message too big")
            return
        intent = self._channel.read_client_message(data)
        violation = next(self._channel.iterate_violations("client", data, is_binary=False), None)
        if violation is not None:
            self._client_monitor.report("client-message-invalid", violation.reason, intent.context)
            await self._report_error_or_close(violation.reason, context=intent.context)
            return
        if not intent.actions:
            return
        self._client_monitor.judge_message(intent)
        if "session" in intent.actions:
            self._has_key = await self._accept_key_message(intent, self._list_socket_faults(self._find_target()))
            if not self._has_key:
                return
        if "close" in intent.actions:
            await self._speak_remaining_text()
            await self._read_late_messages()
            await self._close(NORMAL_CLOSE_CODE, "")
            return
        await self._perform_intent(intent)

    async def _read_late_messages(self) -> None:
        """Judge what the client sends after the message that closes the connection. Nothing is answered."""
        with contextlib.suppress(TimeoutError):  # before the close frame, after which nothing is received
            async with asyncio.timeout(_LATE_MESSAGE_TIMEOUT_S):
                while (event := await self._receive())["type"] == "websocket.receive":
                    self._client_monitor.judge_message(
                        self._channel.read_client_message(str(event.get("text") or "").encode())
                    )

    async def _perform_intent(self, intent: ClientIntent) -> None:
        self._remember_settings(intent)
        if self._spec.sends_key_in_message and not self._has_key:
            await self._close(POLICY_CLOSE_CODE, "the first message must have the key")
            return
        if "cancel" in intent.actions:
            await self._cancel_turns(intent)
            return
        if not intent.actions & {"start", "text", "flush", "end"}:
            return
        turn = await self._find_or_open_turn(intent)
        if turn is None:
            return
        if "text" in intent.actions:
            await self._add_text(turn, intent.text)
        turn.nonce = intent.nonce
        if "flush" in intent.actions:
            await self._flush_turn(turn)
        if "end" in intent.actions:
            turn.is_text_complete = True
            await self._queue_complete_sentences(turn)
            await self._queue_remaining_text(turn)
            await turn.work_items.put(("end", ""))

    def _remember_settings(self, intent: ClientIntent) -> None:
        for location in filter(lambda one: one.is_in_body, list_setting_locations(self._spec)):
            value = read_pointer(intent.message, location.pointer_tokens)
            if value is not MISSING:
                self._message_settings[location] = value

    def _read_setting(self, location: Location) -> Any:
        return self._message_settings.get(location, MISSING) if location.is_in_body else super()._read_setting(location)

    def _find_target(self) -> SocketTarget:
        """Return the target whose constants the client has sent; the first one if it has sent those of none."""
        targets = [one for one in self._operation.contract.socket_targets.values() if one.operation is self._operation]
        return max(targets, key=lambda target: self._count_sent_constants(target.target_spec.request_constants))

    def _find_format(self, target: SocketTarget) -> SocketFormat:
        for audio_format in target.target_spec.formats.values():
            constants = audio_format.request_constants
            if constants and self._count_sent_constants(constants) == len(constants):
                return audio_format
        return target.default_format

    async def _find_or_open_turn(self, intent: ClientIntent) -> _Turn | None:
        key = intent.context if self._spec.has_contexts else None
        turn = self._turns.get(key)
        if turn is not None:
            self._stop_context_expiry(key)
            return turn
        if self._spec.has_contexts and key in self._ended_contexts:
            # Its end may have been sent twice; another text needs another context.
            if "text" in intent.actions:
                await self._report_error_or_close(f"the context {key} has ended", context=key)
            return None
        if not intent.actions & {"start", "text"}:
            return None
        limit = self._spec.limits.contexts
        faults = self._list_socket_faults(self._find_target())
        if limit is not None and len(self._turns) >= limit.max_count and not any(one.ignores_limits for one in faults):
            self._client_monitor.report(
                "client-too-many-contexts", f"more than {limit.max_count} contexts are open", key
            )
            outputs = [SocketOutput("close", values={"code": limit.close_code, "reason": "max_active_conversations"})]
            await self._send_outputs(None, self._apply_faults_to_outputs(None, "limit", outputs))
            return None
        if len(self._turns) >= _MAX_TURNS:
            await self._close(POLICY_CLOSE_CODE, "too many turns")
            return None
        target = self._find_target()
        turn = _Turn(
            key,
            target,
            self._find_format(target),
            self._choose_language(target),
            index=self._turn_count,
            id=self._create_id(),
        )
        self._turn_count += 1
        self._turns[key] = turn
        turn.work_task = asyncio.create_task(self._perform_work_items(turn))
        return turn

    def _choose_language(self, target: SocketTarget) -> str:
        location = self._spec.language_location
        value = self._read_setting(location) if location is not None else MISSING
        chosen = value if isinstance(value, str) else target.target_spec.default_language or FALLBACK_LANGUAGE
        return chosen if has_voice_for(chosen) else FALLBACK_LANGUAGE

    async def _add_text(self, turn: _Turn, text: str) -> None:
        for fault in self._list_socket_faults(turn.target):
            if fault.change_text_piece is not None:
                text = fault.change_text_piece(turn.message_count, text)
        turn.message_count += 1
        if not self._spec.turn.accepts_pieces:
            turn.unspoken_text, turn.character_count = "", 0  # an earlier text was never asked for, and is not read
        turn.character_count += len(text)
        turn.unspoken_text += text
        if len(turn.unspoken_text) > MAX_SPOKEN_TEXT_CHARACTERS:
            await self._report_error_or_close(
                f"a sentence has more than {MAX_SPOKEN_TEXT_CHARACTERS} characters", context=turn.context
            )
            turn.unspoken_text = ""
            return
        if not self._spec.turn.speaks_after_end:
            await self._queue_complete_sentences(turn)

    async def _queue_complete_sentences(self, turn: _Turn) -> None:
        while (found := _SENTENCE_PATTERN.match(turn.unspoken_text)) is not None:
            turn.unspoken_text = turn.unspoken_text[found.end() :]
            await turn.work_items.put(("speech", found[0]))

    async def _queue_remaining_text(self, turn: _Turn) -> None:
        rest, turn.unspoken_text = turn.unspoken_text.strip(), ""
        if rest:
            await turn.work_items.put(("speech", rest))

    async def _flush_turn(self, turn: _Turn) -> None:
        limit = self._spec.limits.flushes
        if limit is not None:
            now_s = time.perf_counter()
            window_s = (limit.window_s or 60.0) * max(self._settings.time_scale, 0.0)  # flushes follow as much faster
            while self._flush_times and now_s - self._flush_times[0] > window_s:
                self._flush_times.popleft()
            is_enforced = self._settings.enforces_rate_limits
            if is_enforced and len(self._flush_times) >= limit.max_count:
                self._client_monitor.report(
                    "client-too-many-flushes", f"more than {limit.max_count} flushes in {limit.window_s or 60:g} s"
                )
                await self._report_event("warning", context=turn.context, reason="too many flushes")
                return
            self._flush_times.append(now_s)
        turn.flush_count += 1
        await self._queue_remaining_text(turn)
        await turn.work_items.put(("flush", str(turn.flush_count)))

    async def _cancel_turns(self, intent: ClientIntent) -> None:
        turn = self._turns.get(intent.context if self._spec.has_contexts else None)
        # Where a turn is spoken as a whole, nothing is spoken before the client has ended it.
        is_speaking = turn is not None and (turn.is_text_complete or not self._spec.turn.speaks_after_end)
        if not is_speaking and self._spec.client_messages["cancel"].is_error_without_turn:
            await self._report_error_or_close("nothing is spoken that could be cancelled", context=intent.context)
            return
        if turn is None:
            await self._report_event("cancel-end", context=intent.context, nonce=intent.nonce)
            return
        turn.nonce = intent.nonce
        if any(fault.ignores_cancel for fault in self._list_socket_faults(turn.target)):
            await self._report_event("cancel-end", context=turn.context, nonce=intent.nonce)
            return
        effect = self._spec.cancel_effect
        turn.unspoken_text = ""
        if effect == "finishes-turn":
            await turn.work_items.put(("end", ""))
            return
        while not turn.work_items.empty():
            turn.work_items.get_nowait()
            turn.work_items.task_done()  # or a close of the connection would wait for it
        self._stale_audio = bytes(turn.audio)
        if effect == "stops":
            if turn.work_task is not None:
                turn.work_task.cancel()
                await asyncio.gather(turn.work_task, return_exceptions=True)
            self._forget_turn(turn)
            await self._report_cancellation(turn)
        else:
            await turn.work_items.put(("cancel", ""))

    async def _speak_remaining_text(self) -> None:
        """Speak what was sent, before the connection is closed."""
        turns = list(self._turns.values())
        for turn in turns:
            await self._queue_remaining_text(turn)
            if self._spec.has_contexts:
                await turn.work_items.put(("end", ""))
        await asyncio.gather(*(turn.work_items.join() for turn in turns))

    # Speech of one turn.

    async def _perform_work_items(self, turn: _Turn) -> None:
        """Speak what the client asks for in a turn, until it ends."""
        with contextlib.suppress(ConnectionEndedError):
            while not turn.has_ended:
                purpose, text = await turn.work_items.get()
                turn.is_busy = True
                try:
                    await self._perform_work_item(turn, purpose, text)
                finally:
                    turn.is_busy = False
                turn.work_items.task_done()

    async def _perform_work_item(self, turn: _Turn, purpose: SocketOutputPurpose, text: str) -> None:
        """Speak or end what `purpose` says, and send the messages that report it.

        `text` is the text to speak or, at the end of a flush, its number.
        """
        if purpose == "speech":
            await self._speak_text(turn, text)
        elif purpose == "flush":
            outputs = self._build_outputs(turn, "flush-end", flush=int(text), nonce=turn.nonce, id=turn.id)
            await self._send_outputs(turn, self._apply_faults_to_outputs(turn, "flush", outputs))
            if self._spec.turn.ends_with == "flush-end":
                self._begin_next_turn(turn)
        elif purpose == "cancel":
            await self._report_cancellation(turn)
            if self._spec.has_contexts:
                await self._end_turn(turn)
            else:
                self._begin_next_turn(turn)
        else:
            await self._end_turn(turn)

    async def _speak_text(self, turn: _Turn, text: str) -> None:
        self._stop_context_expiry(turn.context)  # it counts from the last audio
        speech = await synthesize(self._build_synthesis(turn, text))
        outputs: list[SocketOutput] = []
        if not turn.has_spoken:
            outputs += self._build_outputs(turn, "turn-start", id=turn.id)
        outputs += self._build_timestamp_outputs(turn, text, speech)
        pace = self._spec.emulation
        frame_audio_s = (
            max(pace.frame_audio_s, _FAST_MESSAGE_AUDIO_S) if self._has_emulated_clock else pace.frame_audio_s
        )
        frame_bytes = max(round(frame_audio_s * turn.bytes_per_second), 4)
        # A multiple of 12 bytes has whole samples of every raw format, and whole groups of base64.
        frame_bytes -= frame_bytes % 12 if frame_bytes > 12 else 0
        audio = speech.audio_bytes
        outputs += [
            SocketOutput("audio", audio[start : start + frame_bytes], turn.context, {"id": turn.id})
            for start in range(0, len(audio), frame_bytes)
        ]
        turn.spoken_duration_s += speech.audio_duration_s
        now_s = time.perf_counter()
        # The first audio of a turn takes the documented time; audio after a pause is due at once.
        if not turn.has_spoken or turn.next_audio_due_s < now_s:
            first_s = 0.0 if self._has_emulated_clock else pace.first_audio_ms / 1000 * self._settings.time_scale
            turn.next_audio_due_s = now_s + (first_s if not turn.has_spoken else 0.0)
        changed = self._apply_faults_to_outputs(turn, "speech", outputs)
        turn.has_spoken = True
        turn.audio += audio
        await self._send_outputs(turn, changed)
        self._start_context_expiry(turn)

    def _build_synthesis(self, turn: _Turn, text: str) -> SynthesisRequest:
        spec = turn.target.target_spec
        synthesis = SynthesisRequest(
            text=text,
            language=guess_language(text, turn.language),
            espeak_variant=spec.emulated_voice or DEFAULT_ESPEAK_VARIANT,
            words_per_minute=spec.emulated_words_per_minute,
            pitch=50,
            sample_rate_hz=turn.audio_format.sample_rate_hz,
            leading_silence_s=0.0 if turn.has_spoken else _LEADING_SILENCE_S,
            audio_format=turn.audio_format.codec,
            seed=self._settings.seed,
        )
        for fault in self._list_socket_faults(turn.target):
            synthesis = synthesis if fault.change_synthesis is None else fault.change_synthesis(synthesis)
        return synthesis

    def _build_timestamp_outputs(self, turn: _Turn, text: str, speech: SynthesizedSpeech) -> list[SocketOutput]:
        if not self._spec.has_event("timestamps"):
            return []
        lead_s = 0.0 if turn.has_spoken else _LEADING_SILENCE_S
        timings = build_speech_timings(text, "word", speech, leading_silence_s=lead_s)
        starts = [turn.spoken_duration_s + timing.start_s for timing in timings]
        ends = [turn.spoken_duration_s + (timing.end_s or timing.start_s) for timing in timings]
        words = [timing.text for timing in timings]
        return self._build_outputs(turn, "timestamps", words=words, starts=starts, ends=ends)

    def _begin_next_turn(self, turn: _Turn) -> None:
        """Let the next text begin another turn: without contexts, turns are spoken one after the other."""
        turn.has_spoken, turn.spoken_duration_s, turn.index, turn.id = False, 0.0, turn.index + 1, self._create_id()
        turn.is_text_complete = False
        turn.character_count = len(turn.unspoken_text)  # text after a flush belongs to the next turn
        self._turn_count = turn.index + 1

    async def _end_turn(self, turn: _Turn) -> None:
        end = {"id": turn.id, "duration_ms": round(turn.spoken_duration_s * 1000), "characters": turn.character_count}
        outputs = self._build_outputs(turn, "turn-end", **end)
        turn.has_ended = self._spec.has_contexts or self._spec.turn.is_only_one
        if self._spec.turn.is_only_one:
            outputs.append(SocketOutput("close", values={"code": NORMAL_CLOSE_CODE, "reason": ""}))
        changed = self._apply_faults_to_outputs(turn, "end", outputs)
        if turn.has_ended:
            # Before anything is sent: the client may begin a turn with the same name as soon as it reads the end.
            self._forget_turn(turn)
        await self._send_outputs(turn, changed)
        if not turn.has_ended:
            self._begin_next_turn(turn)

    def _forget_turn(self, turn: _Turn) -> None:
        self._stop_context_expiry(turn.context)
        self._turns.pop(turn.context, None)
        self._ended_contexts.append(turn.context)
        self._client_monitor.note_end_by_service(turn.context, turn.unspoken_text)
        self._latest_ended_turn = turn

    def _start_context_expiry(self, turn: _Turn) -> None:
        """Let the context of a turn end some time after its last audio, if the contract says so."""
        limit = self._spec.limits.context_expiry
        if limit is None or self._has_emulated_clock:
            return
        self._stop_context_expiry(turn.context)
        delay_s = limit.max_s * (self._settings.time_scale or 1.0)
        loop = asyncio.get_running_loop()
        self._expiry_timers[turn.context] = loop.call_later(delay_s, turn.work_items.put_nowait, ("end", ""))

    def _stop_context_expiry(self, context: str | None) -> None:
        timer = self._expiry_timers.pop(context, None)
        if timer is not None:
            timer.cancel()

    # Sending.

    @property
    def _has_emulated_clock(self) -> bool:
        return self._settings.clock != "real"

    def _build_outputs(self, turn: _Turn, event_kind: Any, **values: Any) -> list[SocketOutput]:
        """Return the message that reports an event of `turn`, as a list; empty if the contract has no such message."""
        if not self._spec.has_event(event_kind):
            return []
        return [SocketOutput(event_kind, context=turn.context, values=values)]

    def _apply_faults_to_outputs(
        self, turn: _Turn | None, purpose: SocketOutputPurpose, outputs: list[SocketOutput]
    ) -> list[SocketOutput]:
        target = turn.target if turn is not None else self._find_target()
        faults = [fault for fault in self._list_socket_faults(target) if fault.change_outputs is not None]
        is_first_speech = purpose == "speech" and turn is not None and not turn.has_spoken
        # Offered once, to the first speech after the cancellation.
        stale_audio = self._stale_audio if is_first_speech else b""
        self._stale_audio = b"" if is_first_speech else self._stale_audio
        other = next((one for one in self._turns.values() if one is not turn), None)
        source = other if other is not None and other.audio else self._latest_ended_turn
        source = turn if purpose in ("end", "flush") else source  # what comes after the end is more of the same turn
        state = SocketTurnState(
            target=target,
            purpose=purpose,
            context=turn.context if turn is not None else None,
            bytes_per_second=turn.bytes_per_second if turn is not None else 1,
            sample_width_bytes=target.default_format.sample_width_bytes or 1,
            was_flushed=turn is not None and turn.flush_count > 0,
            other_context=other.context if other is not None else None,
            other_audio=bytes(source.audio) if source is not None else b"",
            stale_audio=stale_audio,
            is_first_speech=is_first_speech,
            turn_index=turn.index if turn is not None else 0,
        )
        for fault in faults:
            assert fault.change_outputs is not None
            outputs = fault.change_outputs(state, outputs)
        return outputs

    async def _report_cancellation(self, turn: _Turn) -> None:
        outputs = self._build_outputs(turn, "cancel-end", nonce=turn.nonce, id=turn.id)
        await self._send_outputs(turn, self._apply_faults_to_outputs(turn, "cancel", outputs))

    async def _send_outputs(self, turn: _Turn | None, outputs: list[SocketOutput]) -> None:
        pace = self._spec.emulation
        interval_s = pace.frame_audio_s / pace.speed_factor * self._settings.time_scale
        interval_s = min(interval_s, _FAST_MESSAGE_INTERVAL_S) if self._has_emulated_clock else interval_s
        for output in outputs:
            if output.delay_s:
                await asyncio.sleep(output.delay_s * self._settings.time_scale)
            if output.kind == "audio" and turn is not None:
                await asyncio.sleep(max(turn.next_audio_due_s - time.perf_counter(), 0.0))
                # What is late by more than an interval is not caught up: a pause would be followed by a burst.
                turn.next_audio_due_s = max(turn.next_audio_due_s, time.perf_counter() - interval_s) + interval_s
            await self._send_output(output)

    async def _send_output(self, output: SocketOutput) -> None:
        if output.kind == "abort":
            self._is_closed = True
            self._abort_connection()
            raise ConnectionEndedError
        if output.kind == "close":
            await self._close(output.values.get("code"), str(output.values.get("reason", "")))
            return
        if output.kind == "raw":
            await self._send_text(output.text)
            return
        if output.kind == "audio" and self._channel.sends_binary_audio:
            await self._send_event({"type": "websocket.send", "bytes": output.audio})
            return
        values: dict[str, Any] = {"id": self._create_id(), "sequence": self._created_id_count, **output.values}
        if output.kind == "audio":
            values["audio"] = output.audio
        if output.context is not None:
            values["context"] = output.context
        message = self._channel.build_server_message(output.kind, **values)
        if message is not None and output.changed_members:
            message = json.dumps({**json.loads(message), **output.changed_members})
        if message is not None:
            await self._send_text(message)

    async def _report_event(self, event_kind: Any, *, context: str | None = None, **values: Any) -> None:
        """Send an event that belongs to no speech, if the contract has such a message.

        `context` is the one that the event is about; `None` if it is about the connection.
        """
        named = {} if context is None else {"context": context}
        own = {"reason": "", "nonce": None, "id": self._create_id(), "sequence": self._created_id_count}
        message = self._channel.build_server_message(event_kind, **{**own, **named, **values})
        if message is not None:
            await self._send_text(message)
