"""Audio that goes out piece by piece as it is made: as server-sent events, or as bytes.

The real time of a chunk is its audio's length over the `speed` of the contract's `emulation.pace`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicegauge.contract import KIND_FIELD, Operation, Target, parse_location
from voicegauge.contract.extension import AudioPacing, StreamSpec
from voicegauge.emulator.http import Rejection, SchemaValueBuilder, write_at
from voicegauge.emulator.settings import SCENARIO_HEADER

if TYPE_CHECKING:
    from starlette.types import Receive, Send

    from voicegauge.emulator.audio import SynthesisRequest
    from voicegauge.emulator.responses.response import EmulatedResponse
    from voicegauge.emulator.state import EmulatedClock

STATE_SCENARIO_PREFIX = "state:"
"""In the scenario header: how a job or a stream shall end."""
_UNIT = 12
"""Bytes that pieces are multiples of: whole samples of every raw format, and whole groups of base64."""
_REASON = "the text could not be spoken"


@dataclass
class StreamPiece:
    """A piece of a stream before it is written."""

    wait_s: float
    """After the piece before it."""
    kind: str | None = None
    """Of its event; `None` for plain bytes and for the end marker."""
    value: Any = None
    """The event's data, without its audio."""
    audio: bytes = b""
    text: str | None = None
    """The data as it is written, where it is no JSON."""
    late_s: float = 0.0
    """A wait that is real whatever the clock: it is there to be measured."""
    corrupt: bool = False
    """Its audio is written in no encoding."""


@dataclass(frozen=True)
class StreamPacing:
    """How a reply whose body is audio goes out."""

    operation: Operation
    audio_s: float
    first_s: float
    """From the head of the answer to the first audio."""
    pace: AudioPacing
    jitter: float
    rng: random.Random
    scale: Callable[[float], float]
    end: str | None = None
    """The kind of event that the stream shall end with, where it was asked for."""

    def pieces(self, body: bytes) -> list[StreamPiece]:
        """What is sent of `body`."""
        waits = self._waits()
        spec = self.operation.stream
        if spec is None:
            return [StreamPiece(next(waits), audio=chunk) for chunk in self._chunks(body)]
        return list(_EventSequence(self.operation, spec).pieces(self._chunks(body), waits, self.end))

    def _chunks(self, body: bytes) -> list[bytes]:
        count = max(1, math.ceil(self.audio_s / self.pace.chunk_s))
        size = max(_UNIT, math.ceil(len(body) / count / _UNIT) * _UNIT)
        return [body[start : start + size] for start in range(0, len(body), size)]

    def _waits(self) -> Iterator[float]:
        yield self.first_s
        step_s = self.pace.chunk_s / self.pace.speed
        while True:
            yield self.scale(step_s * self.rng.lognormvariate(0, self.jitter))


class _EventSequence:
    """The events of one stream, in an order that its contract allows."""

    def __init__(self, operation: Operation, spec: StreamSpec) -> None:
        self._spec, self._at = spec, f"{operation.pointer}/x-stream/events"
        self._value_builder = SchemaValueBuilder(operation.contract.schemas, _REASON)

    def pieces(self, chunks: Sequence[bytes], waits: Iterator[float], end: str | None) -> Iterator[StreamPiece]:
        spec, audio = self._spec, self._spec.audio.event
        ends = [end] if end else [name for name, event in spec.events.items() if event.end == "success"]
        fails = end is not None and spec.events[end].end == "failure"
        *lead, _ = _way(spec, next(iter(spec.events)), [audio])
        for kind in lead:
            yield self._piece(kind, 0.0)
        if audio not in spec.events[audio].next:
            chunks = [b"".join(chunks)]
        for number, chunk in enumerate(chunks):
            yield self._piece(audio, next(waits), chunk, number)
            if fails:
                break  # in the middle of the speech
        for kind in _way(spec, audio, ends)[1:]:
            yield self._piece(kind, 0.0)
        if spec.marker is not None:
            yield StreamPiece(0.0, text=spec.marker)

    def _piece(self, kind: str, wait_s: float, audio: bytes = b"", number: int = 0) -> StreamPiece:
        spec, schema = self._spec, self._spec.events[kind].schema
        value = None if schema is None else self._value_builder.sample(schema, f"{self._at}/{kind}/schema")
        if spec.kind != KIND_FIELD:
            value = write_at(value, _body(spec.kind), kind)
        if audio and spec.audio.index is not None:
            value = write_at(value, _body(spec.audio.index), number)
        return StreamPiece(wait_s, kind, value, audio)


def _way(spec: StreamSpec, start: str, ends: Sequence[str]) -> list[str]:
    """The shortest way from `start` to one of `ends`, both included; `start` alone where none leads there."""
    ways = deque([[start]])
    seen = {start}
    while ways:
        way = ways.popleft()
        if way[-1] in ends:
            return way
        for following in spec.events[way[-1]].next:
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return [start]


def _body(location: str) -> str:
    """A place of an event's data as one of a body."""
    return f"body{location.removeprefix('data')}"


def written(piece: StreamPiece, spec: StreamSpec | None) -> bytes:
    """The bytes of a piece on the wire."""
    if spec is None:
        return piece.audio
    text, value = piece.text, piece.value
    if piece.audio:
        sound = piece.audio.hex() if spec.audio.encoding == "hex" else base64.b64encode(piece.audio).decode()
        sound = f"!{sound}" if piece.corrupt else sound
        if parse_location(_body(spec.audio.at)).tokens:
            value = write_at(value, _body(spec.audio.at), sound)
        else:
            text = sound
    if text is None:
        text = "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    named = f"event: {piece.kind}\n" if spec.kind == KIND_FIELD and piece.kind not in (None, "message") else ""
    data = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"{named}{data}\n".encode()


def requested_end_event(operation: Operation, scenario: str) -> str | None:
    """The event that the scenario header asks a stream to end with.

    Raises:
        Refusal: it names none.
    """
    spec, name = operation.stream, scenario.removeprefix(STATE_SCENARIO_PREFIX)
    if spec is None or not scenario.startswith(STATE_SCENARIO_PREFIX):
        return None
    if name not in spec.events or spec.events[name].end is None:
        raise Rejection("invalid", None, f"{SCENARIO_HEADER}: no event {name!r} ends this stream")
    return name


def streaming_pace(target: Target) -> AudioPacing | None:
    """How a target's audio is sent piece by piece; `None` where it is sent at once."""
    return target.spec.emulation.pace or (AudioPacing() if target.operation.stream is not None else None)


def audio_length_s(data: bytes, wanted: SynthesisRequest) -> float:
    """The length of audio that the emulator has made."""
    from voicegauge.speech.audio import RawAudioFormat, decode

    raw = RawAudioFormat(format=wanted.format, sample_rate_hz=wanted.sample_rate_hz)
    return decode(data, declared=raw).audio_s


async def send_stream(
    response: EmulatedResponse, pieces: Sequence[StreamPiece], clock: EmulatedClock, receive: Receive, send: Send
) -> None:
    """Send the body of `response` piece by piece, each in its time, until the client leaves.

    A reply that is cut breaks off in the middle.
    """
    spec = response.operation.stream if response.operation is not None else None

    async def send_all() -> None:
        deadline_s = asyncio.get_running_loop().time()
        for piece in pieces[: len(pieces) // 2] if response.cut else pieces:
            deadline_s += piece.wait_s + piece.late_s
            await asyncio.sleep(piece.late_s)
            await clock.sleep(deadline_s - asyncio.get_running_loop().time())
            await send({"type": "http.response.body", "body": written(piece, spec), "more_body": True})
        if not response.cut:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    await _run_until_first(send_all(), _wait_for_disconnect(receive))


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _run_until_first(*courses: Awaitable[None]) -> None:
    """Wait for the first of `courses` to end, and end the others."""
    tasks = [asyncio.ensure_future(course) for course in courses]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
