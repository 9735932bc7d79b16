"""Answers speech requests with audio, with a stream of audio, or with a job.

Each chunk of a stream is sent when a synthesis that runs at `emulation.pacing.speed` times real time would have
produced it.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import math
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from voicegauge.contract.contract import Target
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.speech import AudioPacing, ResponseAudio
from voicegauge.contract.operation import Operation
from voicegauge.emulator._endpoint_context import EndpointContext, PlannedSpeech, fill_constant_placeholders
from voicegauge.emulator._output import EmulatedResponse, StreamPiece
from voicegauge.emulator._provider_state import EmulatedAccount
from voicegauge.emulator._request import (
    ParsedRequest,
    Rejection,
    can_have_value_at,
    reject_unknown_model,
    write_value_at,
)
from voicegauge.emulator._response_bodies import (
    SpeechTimingsGetter,
    compute_final_event_usage,
    write_body_values,
    write_timestamps,
)
from voicegauge.emulator._schema_values import (
    DEFAULT_ID_TEMPLATE,
    SchemaValueBuilder,
    create_seeded_random,
    fill_random_hex,
)
from voicegauge.emulator._speech_synthesis import (
    SpeechTiming,
    SynthesisRequest,
    SynthesizedSpeech,
    build_speech_timings,
    get_documented_field_name,
    read_speech_field,
    read_synthesis_request,
)
from voicegauge.emulator.process import SCENARIO_HEADER, STATE_SCENARIO_PREFIX
from voicegauge.formats.locations import MISSING, EventLocation, Location

if TYPE_CHECKING:
    from starlette.types import Receive, Send

    from voicegauge.emulator._provider_state import EmulatedClock


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
    """Duration of the whole audio in seconds."""
    first_audio_delay_s: float
    """Delay in seconds from the response's status and headers to the first audio."""
    audio_pacing: AudioPacing
    """Duration of the audio in each chunk, and the speed at which the audio is sent."""
    chunk_interval_jitter: float
    """Standard deviation of the logarithm of the intervals between chunks; 0 makes all intervals equal."""
    rng: random.Random
    """Draws the intervals between chunks."""
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
        """Return the pieces in which the audio `body` is sent, each with the wait before it."""
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
        if audio not in spec.events[audio].successor_names:  # then there is only one event with audio
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
            starting = [timing for timing in timings if start_s <= timing.start_s < end_s]
            piece.event_data = write_timestamps(piece.event_data, spec, starting)

    def _build_stream_piece(
        self, event_type: str, wait_s: float, audio_bytes: bytes = b"", event_number: int = 0
    ) -> StreamPiece:
        spec, schema = self._spec, self._spec.events[event_type].data_schema
        pointer = f"{self._pacer.operation.pointer}/x-stream/events/{event_type}/data_schema"
        value = None if schema is None else self._value_builder.build_minimal_value(schema, pointer)
        # What distinguishes the event may be a value that its schema does not require, such as the text of an error.
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
    """Return the bytes of a piece: an event as `stream_spec` frames it, or plain audio if `stream_spec` is `None`."""
    if stream_spec is None:
        return piece.audio_bytes
    text, value = piece.event_text, piece.event_data
    if piece.audio_bytes:
        sound = (
            piece.audio_bytes.hex()
            if stream_spec.audio.encoding == "hex"
            else base64.b64encode(piece.audio_bytes).decode()
        )
        sound = f"!{sound}" if piece.is_audio_corrupt else sound  # the character is in neither encoding
        if stream_spec.audio.location.pointer_tokens:
            value = write_value_at(value, _convert_to_body_location(stream_spec.audio.location), sound)
        else:
            text = sound
    if text is None:
        text = "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if stream_spec.framing == "json-lines":
        return f"{text}\n".encode()
    # Events that differ in what they have are not named as well. One without a name is a "message" (HTML standard).
    is_named = not stream_spec.event_type_location.is_in_data and not any(
        event.identifying_location for event in stream_spec.events.values()
    )
    named = f"event: {piece.event_type}\n" if is_named and piece.event_type not in (None, "message") else ""
    data = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"{named}{data}\n".encode()


def read_requested_final_event(stream_spec: StreamSpec | None, scenario_header: str) -> str | None:
    """Return the event with which the scenario header asks a stream to end; `None` if it asks for none.

    `stream_spec` describes the stream; it is `None`, and so is the result, for a response without a stream of events.

    Raises:
        Rejection: the stream has no such final event.
    """
    name = scenario_header.removeprefix(STATE_SCENARIO_PREFIX)
    if stream_spec is None or not scenario_header.startswith(STATE_SCENARIO_PREFIX):
        return None
    if name not in stream_spec.events or stream_spec.events[name].terminal_outcome is None:
        raise Rejection("invalid", None, f"{SCENARIO_HEADER}: no event {name!r} ends this stream")
    return name


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

    await _run_until_first_coroutine_ends(send_pieces(), _wait_for_disconnect(receive))


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _run_until_first_coroutine_ends(*coroutines: Awaitable[None]) -> None:
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


# Selects the target that a request addresses.


def select_target(request: ParsedRequest) -> Target:
    """Return the target whose constants, required fields and languages best match the request.

    If none matches, it is the first target of the operation.

    Raises:
        Rejection: no target matches, unsupported values are rejected, and the contract documents an error for unknown
            models or for invalid requests.
    """
    targets = [t for t in request.operation.contract.targets.values() if t.operation is request.operation]
    scored = [
        (score, target) for target in targets if (score := _compute_target_match_score(request, target)) is not None
    ]
    if scored:
        return max(scored, key=lambda pair: pair[0])[1]
    if request.rejects_unsupported_values:
        reject_unknown_model(request, targets, rejects_every_other_value=True)
    return targets[0]


def _compute_target_match_score(request: ParsedRequest, target: Target) -> tuple[int, bool] | None:
    """Return a score of how well a request matches a target; `None` if it contradicts one of the target's constants."""
    score = 0
    for location, constant in target.target_spec.request_constants.items():
        value = request.read_value(location)
        if value is not MISSING and not target.target_spec.allows_value(location, value):
            return None
        score += 2 * (value == constant)
    for word in target.target_spec.required_fields:
        # A target that needs what the request lacks would reject it; one that needs what it has was probably meant.
        score += -1 if request.read_value(target.speech.request_fields[word].location) is MISSING else 1
    language = read_speech_field(request, target, "language")
    return (
        score,
        language is MISSING
        or not target.target_spec.supported_languages
        or language in target.target_spec.supported_languages,
    )


def remove_target_specific_audio(target: Target) -> Target:
    """Return `target` without its own description of the audio in responses.

    The responses of the returned target carry audio like those of the operation's other targets.
    """
    spec = msgspec.structs.replace(target.target_spec, response_audio=None)
    return target if target.target_spec.response_audio is None else dataclasses.replace(target, target_spec=spec)


def count_billable_characters(request: ParsedRequest, target: Target, synthesis: SynthesisRequest) -> int:
    """Return the number of characters to charge: those of the text in the request, not of the text that is spoken."""
    text = read_speech_field(request, target, "text")
    if isinstance(text, str):  # otherwise the text is in a list, or comes from audio
        return target.count_charged_characters(text, includes_template=True)
    return target.count_charged_characters(synthesis.text)


def find_response_audio(target: Target) -> ResponseAudio:
    """Return how and where responses carry a target's audio.

    The audio is in the response to the request itself or, if the request starts a job, in a later response.
    """
    if target.response.audio is not None:
        return target.response.audio
    assert target.job_operation is not None
    assert target.job_operation.job is not None
    return target.job_operation.job.speech_audio


# Responds to speech operations with audio, with streamed audio, or by accepting a job.


class SpeechEndpoint:
    """Responds to speech requests."""

    def __init__(self, context: EndpointContext) -> None:
        """Create an endpoint that responds as the contract of `context` documents."""
        self._context = context
        self._text_counts: Counter[str] = Counter()

    async def respond(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedResponse:
        """Charge the account, and return the speech, or create a job and return the response that accepts it.

        Raises:
            Rejection: the request violates a limit, or the balance is too low.
        """
        context = self._context
        speech = self.plan_speech(request, account)
        charge = context.job_store.charge_target_price(account, speech.target, speech.billable_character_count)
        if speech.target.response.status_operation_id is None:
            processing_s = speech.queue_time_s + speech.processing_time_s
            # Without a pace, all audio is sent at once.
            pace = speech.target.target_spec.emulation.pacing
            pace = AudioPacing() if pace is None and speech.target.stream is not None else pace
            # A streamed response starts before the audio is complete, so its pieces wait instead.
            await context.clock.sleep(speech.submit_latency_s + (processing_s if pace is None else 0))
            audio = await context.downloads.synthesize_with_faults(speech.target, speech.synthesis)
            response = self._build_speech_response(request, speech, account, audio.audio_bytes, charge)
            get_speech_timings = self._create_speech_timings_getter(request, speech, audio)
            if speech.target.response.audio is not None:
                for spec in speech.target.response.audio.timestamps:
                    response.body = write_timestamps(response.body, spec, get_speech_timings(spec.text_unit))
            if pace is not None:
                self._set_up_stream(
                    response,
                    pace,
                    audio.audio_duration_s,
                    processing_s,
                    speech.billable_character_count,
                    get_speech_timings,
                )
            return response
        await context.clock.sleep(speech.submit_latency_s)
        job = context.job_store.create_job(request, speech, account, charge)
        wait = speech.target.response.wait_preference
        if wait is not None:
            await context.job_store.wait_for_end(job, wait.read_max_wait_s(request.read_value(wait.location)))
        balance = context.accounts.get_remaining_balance(account, request.operation)
        return context.response_builder.build_submit_response(request, job, balance=balance)

    def plan_speech(self, request: ParsedRequest, account: EmulatedAccount) -> PlannedSpeech:
        """Return what to synthesize for a request, and how long each phase takes.

        The characters count against the daily allowance of an account without a key.

        Raises:
            Rejection: the target requires a key and none was sent, the request exceeds a limit or the daily allowance,
                or the emulator does not support the requested synthesis.
        """
        context = self._context
        target = select_target(request)
        if context.fault_injector.is_check_skipped("response-kind", request.operation):
            target = remove_target_specific_audio(target)
        if (
            account.is_keyless
            and target.needs_key
            and not context.fault_injector.is_check_skipped("key", request.operation)
        ):
            raise Rejection("unauthorized", None, f"{target.name} needs a key")
        location = find_response_audio(target)
        if request.rejects_unsupported_values:
            self._check_text_length(request, target)
        synthesis = read_synthesis_request(
            request,
            target,
            location,
            context.settings.seed,
            read_field=context.fault_injector.read_speech_field,
            reads_markup=not context.fault_injector.is_check_skipped("markup", request.operation),
        )
        characters = count_billable_characters(request, target, synthesis)
        context.accounts.count_keyless_characters(account, request.operation, characters, context.clock.now())
        return PlannedSpeech(
            target, synthesis, characters, *self._draw_phase_durations_s(target, synthesis, characters)
        )

    def _draw_phase_durations_s(
        self, target: Target, synthesis: SynthesisRequest, character_count: int
    ) -> tuple[float, float, float]:
        """Return the submit, queue and processing time in seconds.

        The times are drawn from log-normal distributions around the documented durations.
        """
        emulation = target.target_spec.emulation
        text_key = f"{target.id}:{synthesis.text}"
        self._text_counts[text_key] += 1
        # Seeded by text and repetition, so that durations do not depend on the order of concurrent requests.
        rng = create_seeded_random(self._context.settings.seed, text_key, self._text_counts[text_key])
        processing_ms = emulation.base_processing_ms + emulation.processing_ms_per_character * character_count
        submit_s, queue_s, processing_s = (
            self._context.clock.scale_duration(
                milliseconds / 1000 * rng.lognormvariate(0, emulation.log_duration_deviation)
            )
            for milliseconds in (emulation.submit_response_ms, emulation.queue_ms, processing_ms)
        )
        return submit_s, queue_s, processing_s

    def _check_text_length(self, request: ParsedRequest, target: Target) -> None:
        text = request.read_value(target.speech.request_fields["text"].location)
        limit = self._context.accounts.find_plan_limits(request.operation.limits).max_text_characters
        if isinstance(text, str) and limit is not None and len(text) > limit:
            field = get_documented_field_name(target.speech.request_fields["text"])
            detail = f"{field} has {len(text):,} characters, more than {limit:,}: {text!r:.80}"
            raise Rejection("invalid", field, detail, schema_keyword="maxLength")

    def _build_speech_response(
        self,
        request: ParsedRequest,
        planned_speech: PlannedSpeech,
        account: EmulatedAccount,
        audio_bytes: bytes,
        charge: float | None,
    ) -> EmulatedResponse:
        context, target, synthesis = self._context, planned_speech.target, planned_speech.synthesis
        location = find_response_audio(target)
        rng = context.job_store.create_next_rng()
        media_id = fill_random_hex(target.target_spec.emulation.job_id_format or DEFAULT_ID_TEMPLATE, rng)
        if location.delivery_method == "url":
            context.downloads.add_speech(media_id, target, synthesis)
        url = context.response_builder.build_audio_url(
            request.incoming_request.base_url, location, media_id, synthesis.audio_format
        )
        balance = context.accounts.get_remaining_balance(account, request.operation)
        response = context.response_builder.build_speech_response(
            request, target, synthesis, audio_bytes, url, charge=charge, balance=balance
        )
        write_body_values(response, fill_constant_placeholders(target, rng), can_have_value_at)
        return response

    def _create_speech_timings_getter(
        self, request: ParsedRequest, planned_speech: PlannedSpeech, audio: SynthesizedSpeech
    ) -> SpeechTimingsGetter:
        """Return a function that returns when each character or word of the text is spoken, with faults applied."""
        text = read_speech_field(request, planned_speech.target, "text")
        text = (
            planned_speech.target.speech.request_fields["text"].remove_template(text) if isinstance(text, str) else ""
        )

        def get_speech_timings(unit: Literal["character", "word"]) -> list[SpeechTiming]:
            timings = build_speech_timings(
                text, unit, audio, leading_silence_s=planned_speech.synthesis.leading_silence_s
            )
            return self._context.fault_injector.change_speech_timings(timings, planned_speech.target)

        return get_speech_timings

    def _set_up_stream(
        self,
        response: EmulatedResponse,
        audio_pacing: AudioPacing,
        audio_duration_s: float,
        first_audio_delay_s: float,
        character_count: int,
        get_speech_timings: SpeechTimingsGetter,
    ) -> None:
        assert response.request is not None
        assert response.target is not None
        operation = response.request.operation
        pacer = StreamPacer(
            operation=operation,
            stream_spec=response.target.stream,
            audio_duration_s=audio_duration_s,
            first_audio_delay_s=first_audio_delay_s,
            audio_pacing=audio_pacing,
            get_speech_timings=get_speech_timings,
            chunk_interval_jitter=response.target.target_spec.emulation.log_duration_deviation,
            rng=self._context.job_store.create_next_rng(),
            scale_duration=self._context.clock.scale_duration,
            final_event_values=compute_final_event_usage(response.target, character_count),
            final_event_type=read_requested_final_event(
                response.target.stream, (response.request.incoming_request.find_header(SCENARIO_HEADER) or "").strip()
            ),
        )
        response.split_into_pieces = pacer.split_into_pieces
