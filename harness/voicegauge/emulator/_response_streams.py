"""Builds streamed responses.

Each chunk is sent when a synthesis that runs at `emulation.pacing.speed` times real time would have produced it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.speech import AudioPacing
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import Target
from voicegauge.emulator._request import Rejection, write_value_at
from voicegauge.emulator._response import EmulatedResponse, StreamPiece
from voicegauge.emulator._response_bodies import SpeechTimingsGetter, write_timestamps
from voicegauge.emulator._schema_values import SchemaValueBuilder
from voicegauge.emulator._speech_synthesis import select_timings
from voicegauge.emulator.settings import SCENARIO_HEADER
from voicegauge.formats.locations import MISSING, EventLocation, Location

if TYPE_CHECKING:
    from starlette.types import Receive, Send

    from voicegauge.emulator._job_state import EmulatedClock


STATE_SCENARIO_PREFIX = "state:"
"""Prefix of scenario header values that name the final state of a job or the final event of a stream."""
_CHUNK_SIZE_MULTIPLE_BYTES = 12
"""All chunk sizes are multiples of this number of bytes, so that a chunk has whole samples of every raw format, and
whole groups of base64 (3 bytes)."""
_FAILURE_EVENT_TEXT = "the text could not be spoken"
"""Text of the events with which a stream fails."""


@dataclass(frozen=True)
class StreamPacer:
    """Splits an audio body into pieces and decides when each is sent."""

    operation: Operation
    stream_spec: StreamSpec | None
    """The events of the response; `None` for chunks of plain audio."""
    audio_duration_s: float
    first_audio_delay_s: float
    """Delay in seconds from the response's status and headers to the first audio."""
    audio_pacing: AudioPacing
    """Duration of the audio in each chunk, and the speed at which the audio is sent."""
    chunk_interval_jitter: float
    """Standard deviation of the logarithm of the intervals between chunks; 0 makes all intervals equal."""
    rng: random.Random
    scale_duration: Callable[[float], float]
    """Function that applies the emulator's time scale to a duration."""
    get_speech_timings: SpeechTimingsGetter
    sample_rate_hz: int | None = None
    """Sample rate of the audio, for events that state it; `None` if it is not known."""
    final_event_type: str | None = None
    """Type of the event with which the stream must end; `None` if the request does not ask for one."""
    final_event_values: Mapping[EventLocation, float] = field(default_factory=dict)
    """Values of the event that ends the stream in success, such as the tokens used, by location in the event."""

    def split_into_pieces(self, body: bytes) -> list[StreamPiece]:
        """Split `body` into the pieces to send."""
        waits = self._generate_waits_s()
        spec = self.stream_spec
        if spec is None:
            return [StreamPiece(next(waits), audio_bytes=chunk) for chunk in self._split_into_chunks(body)]
        sequence = _EventSequence(self, spec)
        return list(sequence.build_pieces(self._split_into_chunks(body), waits))

    def _split_into_chunks(self, body: bytes) -> list[bytes]:
        count = max(1, math.ceil(self.audio_duration_s / self.audio_pacing.chunk_audio_s))
        size = max(
            _CHUNK_SIZE_MULTIPLE_BYTES,
            math.ceil(len(body) / count / _CHUNK_SIZE_MULTIPLE_BYTES) * _CHUNK_SIZE_MULTIPLE_BYTES,
        )
        return [body[start : start + size] for start in range(0, len(body), size)]

    def _generate_waits_s(self) -> Iterator[float]:
        yield self.first_audio_delay_s
        step_s = self.audio_pacing.chunk_audio_s / self.audio_pacing.speed_factor
        while True:
            yield self.scale_duration(step_s * self.rng.lognormvariate(0, self.chunk_interval_jitter))


class _EventSequence:
    """Produces the events of one stream in an order that its contract allows."""

    def __init__(self, pacer: StreamPacer, stream_spec: StreamSpec) -> None:
        self._pacer, self._spec = pacer, stream_spec
        self._timings = [(spec, pacer.get_speech_timings(spec.text_unit)) for spec in stream_spec.audio.timestamps]
        self._value_builder = SchemaValueBuilder(pacer.operation.contract.schemas, _FAILURE_EVENT_TEXT)

    def build_pieces(self, chunks: Sequence[bytes], waits_s: Iterator[float]) -> Iterator[StreamPiece]:
        spec, audio, final_event_type = self._spec, self._spec.audio.event_type, self._pacer.final_event_type
        ends = (
            [final_event_type]
            if final_event_type
            else [name for name, known in spec.events.items() if known.terminal_outcome == "success"]
        )
        fails = final_event_type is not None and spec.events[final_event_type].terminal_outcome == "failure"
        *lead, _ = _find_shortest_event_path(spec, next(iter(spec.events)), [audio])
        for event in lead:
            yield self._build_stream_piece(event, 0.0)
        if audio not in spec.events[audio].successor_names:
            chunks = [b"".join(chunks)]
        for number, chunk in enumerate(chunks):
            piece = self._build_stream_piece(audio, next(waits_s), chunk, number)
            self._write_timings_of_chunk(piece, number, len(chunks))
            yield piece
            if fails:
                break  # a failed stream ends after part of its audio
        for event in _find_shortest_event_path(spec, audio, ends)[1:] if ends else []:
            yield self._build_stream_piece(event, 0.0)
        if spec.end_marker is not None:
            yield StreamPiece(0.0, event_text=spec.end_marker)

    def _write_timings_of_chunk(self, piece: StreamPiece, chunk_number: int, chunk_count: int) -> None:
        """Write the times of the characters or words that start in a chunk into the event that has the chunk."""
        audio_s = self._pacer.audio_duration_s
        start_s = chunk_number / chunk_count * audio_s
        end_s = (chunk_number + 1) / chunk_count * audio_s if chunk_number + 1 < chunk_count else math.inf
        for spec, timings in self._timings:
            piece.event_data = write_timestamps(piece.event_data, spec, select_timings(timings, start_s, end_s))

    def _build_stream_piece(
        self, event_type: str, wait_s: float, audio_bytes: bytes = b"", event_number: int = 0
    ) -> StreamPiece:
        spec, schema = self._spec, self._spec.events[event_type].data_schema
        pointer = f"{self._pacer.operation.pointer}/x-stream/events/{event_type}/data_schema"
        value = None if schema is None else self._value_builder.build_minimal_value(schema, pointer)
        marker = spec.events[event_type].identifying_location
        if marker is not None and not audio_bytes and marker.read_event(None, b"", value) is MISSING:
            value = write_value_at(value, _convert_to_body_location(marker), _FAILURE_EVENT_TEXT)
        if spec.event_type_location.is_in_data:
            value = write_value_at(value, _convert_to_body_location(spec.event_type_location), event_type)
        if audio_bytes and spec.audio.sequence_number_location is not None:
            value = write_value_at(value, _convert_to_body_location(spec.audio.sequence_number_location), event_number)
        if audio_bytes and spec.audio.sample_rate_location is not None and self._pacer.sample_rate_hz is not None:
            rate_location = _convert_to_body_location(spec.audio.sample_rate_location)
            value = write_value_at(value, rate_location, self._pacer.sample_rate_hz)
        for location, amount in (
            self._pacer.final_event_values.items() if spec.events[event_type].terminal_outcome == "success" else ()
        ):
            value = write_value_at(value, _convert_to_body_location(location), amount)
        return StreamPiece(wait_s, event_type, value, audio_bytes)


def _find_shortest_event_path(stream_spec: StreamSpec, start_event: str, end_events: Sequence[str]) -> list[str]:
    """Return the shortest path of event types from `start_event` to one of `end_events`.

    If there is no such path, only `start_event` is returned.
    """
    paths = deque([[start_event]])
    seen = {start_event}
    while paths:
        path = paths.popleft()
        if path[-1] in end_events:
            return path
        for following in stream_spec.events[path[-1]].successor_names:
            if following not in seen:
                seen.add(following)
                paths.append([*path, following])
    return [start_event]


def _convert_to_body_location(location: EventLocation) -> Location:
    """Convert a location in an event's data to one in a body, so that the functions for bodies can write to it."""
    return Location("body", pointer_tokens=location.pointer_tokens)


def encode_piece(piece: StreamPiece, stream_spec: StreamSpec | None) -> bytes:
    """Return the bytes of a piece: plain audio, or a server-sent event."""
    if stream_spec is None:
        return piece.audio_bytes
    text, value = piece.event_text, piece.event_data
    if piece.audio_bytes:
        sound = (
            piece.audio_bytes.hex()
            if stream_spec.audio.encoding == "hex"
            else base64.b64encode(piece.audio_bytes).decode()
        )
        sound = f"!{sound}" if piece.is_audio_corrupt else sound
        if stream_spec.audio.location.pointer_tokens:
            value = write_value_at(value, _convert_to_body_location(stream_spec.audio.location), sound)
        else:
            text = sound
    if text is None:
        text = "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if stream_spec.framing == "json-lines":
        return f"{text}\n".encode()
    # Events that differ in what they have are not named as well.
    is_named = not stream_spec.event_type_location.is_in_data and not any(
        event.identifying_location for event in stream_spec.events.values()
    )
    named = f"event: {piece.event_type}\n" if is_named and piece.event_type not in (None, "message") else ""
    data = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"{named}{data}\n".encode()


def read_requested_final_event(stream_spec: StreamSpec | None, scenario_header: str) -> str | None:
    """Return the event with which the scenario header asks a stream to end; `None` if it asks for none.

    Raises:
        Rejection: the stream has no such final event.
    """
    name = scenario_header.removeprefix(STATE_SCENARIO_PREFIX)
    if stream_spec is None or not scenario_header.startswith(STATE_SCENARIO_PREFIX):
        return None
    if name not in stream_spec.events or stream_spec.events[name].terminal_outcome is None:
        raise Rejection("invalid", None, f"{SCENARIO_HEADER}: no event {name!r} ends this stream")
    return name


def find_audio_pacing(target: Target) -> AudioPacing | None:
    """Return the pacing that the contract sets for a target's streamed audio; `None` if the audio is sent at once."""
    return target.target_spec.emulation.pacing or (AudioPacing() if target.stream is not None else None)


async def send_stream(
    response: EmulatedResponse, pieces: Sequence[StreamPiece], clock: EmulatedClock, receive: Receive, send: Send
) -> None:
    """Send each piece of `response` at its time, until all are sent or the client disconnects.

    If a fault cuts the response, the connection is closed after half of the pieces.
    """
    spec = response.stream_spec

    async def send_pieces() -> None:
        next_at = asyncio.get_running_loop().time()
        for piece in pieces[: len(pieces) // 2] if response.is_connection_cut else pieces:
            next_at += piece.wait_before_s + piece.stall_s
            await asyncio.sleep(piece.stall_s)
            # The wait ends at an absolute time, so that delays do not add up.
            await clock.sleep(next_at - asyncio.get_running_loop().time())
            await send({"type": "http.response.body", "body": encode_piece(piece, spec), "more_body": True})
        if not response.is_connection_cut:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    await _run_until_first_ends(send_pieces(), _wait_for_disconnect(receive))


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _run_until_first_ends(*coroutines: Awaitable[None]) -> None:
    """Run `coroutines` until the first one ends, and cancel the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
