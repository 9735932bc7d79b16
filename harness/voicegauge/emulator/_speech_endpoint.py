"""Answers speech requests with audio or with a job."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Literal

import msgspec

from voicegauge.contract.extension.speech import AudioPacing, ResponseAudio
from voicegauge.contract.targets import Target
from voicegauge.emulator._accounts import EmulatedAccount
from voicegauge.emulator._endpoint_context import EndpointContext, PlannedSpeech, fill_constant_placeholders
from voicegauge.emulator._request import ParsedRequest, Rejection, can_have_value_at, reject_unknown_model
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._response_bodies import (
    SpeechTimingsGetter,
    compute_final_event_usage,
    write_timestamps,
    write_values,
)
from voicegauge.emulator._response_streams import StreamPacer, find_audio_pacing, read_requested_final_event
from voicegauge.emulator._schema_values import DEFAULT_ID_TEMPLATE, create_seeded_random, fill_random_hex
from voicegauge.emulator._speech_synthesis import (
    SpeechTiming,
    SynthesisRequest,
    SynthesizedSpeech,
    build_speech_timings,
    get_documented_field_name,
    read_speech_field,
    read_synthesis_request,
)
from voicegauge.emulator.settings import SCENARIO_HEADER
from voicegauge.formats.locations import MISSING

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
    if isinstance(text, str):
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
        """Return the speech, or create a job and return the response that accepts it.

        Raises:
            Rejection: the request violates a limit, or the balance is too low.
        """
        context = self._context
        speech = self.plan_speech(request, account)
        charge = context.job_store.charge_target_price(account, speech.target, speech.billable_character_count)
        if speech.target.response.status_operation_id is None:
            processing_s = speech.queue_time_s + speech.processing_time_s
            pace = find_audio_pacing(speech.target)
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

        Raises:
            Rejection: the target requires a key and none was sent, the request exceeds a limit, or the emulator does
                not support the requested synthesis.
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
            raise Rejection("invalid", field, detail, keyword="maxLength")

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
        write_values(response, fill_constant_placeholders(target, rng), can_have_value_at)
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
