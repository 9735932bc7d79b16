"""Audio that goes out piece by piece as it is made: as server-sent events, or as bytes.

The real time of a piece is its audio's length over the `speed` of the contract's `emulation.pace`.
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
from voicegauge.emulator.http import Refusal, Shaper
from voicegauge.emulator.responses.bodies import put
from voicegauge.emulator.settings import SCENARIO_HEADER

if TYPE_CHECKING:
    from starlette.types import Receive, Send

    from voicegauge.emulator.audio import Utterance
    from voicegauge.emulator.responses.reply import Reply
    from voicegauge.emulator.state import EmulatedClock

STATE_SCENARIO = "state:"
"""In the scenario header: how a job or a stream shall end."""
_UNIT = 12
"""Bytes that pieces are multiples of: whole samples of every raw format, and whole groups of base64."""
_REASON = "the text could not be spoken"


@dataclass
class Beat:
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
    spoiled: bool = False
    """Its audio is written in no encoding."""


@dataclass(frozen=True)
class Pacing:
    """How a reply whose body is audio goes out."""

    operation: Operation
    audio_s: float
    first_s: float
    """From the head of the answer to the first audio."""
    pace: AudioPacing
    jitter: float
    rng: random.Random
    scaled: Callable[[float], float]
    end: str | None = None
    """The kind of event that the stream shall end with, where it was asked for."""

    def beats(self, body: bytes) -> list[Beat]:
        """What is sent of `body`."""
        waits = self._waits()
        spec = self.operation.stream
        if spec is None:
            return [Beat(next(waits), audio=piece) for piece in self._pieces(body)]
        return list(_Score(self.operation, spec).beats(self._pieces(body), waits, self.end))

    def _pieces(self, body: bytes) -> list[bytes]:
        count = max(1, math.ceil(self.audio_s / self.pace.chunk_s))
        size = max(_UNIT, math.ceil(len(body) / count / _UNIT) * _UNIT)
        return [body[start : start + size] for start in range(0, len(body), size)]

    def _waits(self) -> Iterator[float]:
        yield self.first_s
        step_s = self.pace.chunk_s / self.pace.speed
        while True:
            yield self.scaled(step_s * self.rng.lognormvariate(0, self.jitter))


class _Score:
    """The events of one stream, in an order that its contract allows."""

    def __init__(self, operation: Operation, spec: StreamSpec) -> None:
        self._spec, self._at = spec, f"{operation.pointer}/x-stream/events"
        self._shaper = Shaper(operation.contract.schemas, _REASON)

    def beats(self, pieces: Sequence[bytes], waits: Iterator[float], end: str | None) -> Iterator[Beat]:
        spec, audio = self._spec, self._spec.audio.event
        ends = [end] if end else [name for name, event in spec.events.items() if event.end == "success"]
        fails = end is not None and spec.events[end].end == "failure"
        *lead, _ = _way(spec, next(iter(spec.events)), [audio])
        for kind in lead:
            yield self._beat(kind, 0.0)
        if audio not in spec.events[audio].next:
            pieces = [b"".join(pieces)]
        for number, piece in enumerate(pieces):
            yield self._beat(audio, next(waits), piece, number)
            if fails:
                break  # in the middle of the speech
        for kind in _way(spec, audio, ends)[1:]:
            yield self._beat(kind, 0.0)
        if spec.marker is not None:
            yield Beat(0.0, text=spec.marker)

    def _beat(self, kind: str, wait_s: float, audio: bytes = b"", number: int = 0) -> Beat:
        spec, schema = self._spec, self._spec.events[kind].schema
        value = None if schema is None else self._shaper.sample(schema, f"{self._at}/{kind}/schema")
        if spec.kind != KIND_FIELD:
            value = put(value, _body(spec.kind), kind)
        if audio and spec.audio.index is not None:
            value = put(value, _body(spec.audio.index), number)
        return Beat(wait_s, kind, value, audio)


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


def _body(place: str) -> str:
    """A place of an event's data as one of a body."""
    return f"body{place.removeprefix('data')}"


def written(beat: Beat, spec: StreamSpec | None) -> bytes:
    """The bytes of a piece on the wire."""
    if spec is None:
        return beat.audio
    text, value = beat.text, beat.value
    if beat.audio:
        sound = beat.audio.hex() if spec.audio.encoding == "hex" else base64.b64encode(beat.audio).decode()
        sound = f"!{sound}" if beat.spoiled else sound
        if parse_location(_body(spec.audio.at)).tokens:
            value = put(value, _body(spec.audio.at), sound)
        else:
            text = sound
    if text is None:
        text = "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    named = f"event: {beat.kind}\n" if spec.kind == KIND_FIELD and beat.kind not in (None, "message") else ""
    data = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"{named}{data}\n".encode()


def wanted_end(operation: Operation, scenario: str) -> str | None:
    """The event that the scenario header asks a stream to end with.

    Raises:
        Refusal: it names none.
    """
    spec, name = operation.stream, scenario.removeprefix(STATE_SCENARIO)
    if spec is None or not scenario.startswith(STATE_SCENARIO):
        return None
    if name not in spec.events or spec.events[name].end is None:
        raise Refusal("invalid", None, f"{SCENARIO_HEADER}: no event {name!r} ends this stream")
    return name


def pace_of(target: Target) -> AudioPacing | None:
    """How a target's audio is sent piece by piece; `None` where it is sent at once."""
    return target.spec.emulation.pace or (AudioPacing() if target.operation.stream is not None else None)


def length_s(data: bytes, wanted: Utterance) -> float:
    """The length of audio that the emulator has made."""
    from voicegauge.speech.audio import RawAudioFormat, decode

    raw = RawAudioFormat(format=wanted.format, sample_rate_hz=wanted.sample_rate_hz)
    return decode(data, declared=raw).audio_s


async def send_beats(reply: Reply, beats: Sequence[Beat], clock: EmulatedClock, receive: Receive, send: Send) -> None:
    """Send the body of `reply` piece by piece, each in its time, until the client leaves.

    A reply that is cut breaks off in the middle.
    """
    spec = reply.operation.stream if reply.operation is not None else None

    async def pieces() -> None:
        hour = asyncio.get_running_loop().time()
        for beat in beats[: len(beats) // 2] if reply.cut else beats:
            hour += beat.wait_s + beat.late_s
            await asyncio.sleep(beat.late_s)
            await clock.sleep(hour - asyncio.get_running_loop().time())
            await send({"type": "http.response.body", "body": written(beat, spec), "more_body": True})
        if not reply.cut:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    await _until_either(pieces(), _left(receive))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_either(*courses: Awaitable[None]) -> None:
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
