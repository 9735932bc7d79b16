"""Responds to speech operations with audio, with streamed audio, or by accepting a job."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from voicegauge.contract import Target
from voicegauge.contract.extension import AudioPacing
from voicegauge.emulator.audio import (
    SpeechTiming,
    SynthesisRequest,
    build_speech_timings,
    get_documented_field_name,
    read_speech_field,
    read_synthesis_request,
)
from voicegauge.emulator.endpoints.context import EndpointContext
from voicegauge.emulator.endpoints.job_store import PlannedSpeech, fill_constant_placeholders
from voicegauge.emulator.endpoints.target_selection import (
    count_billable_characters,
    find_response_audio,
    remove_target_specific_audio,
    select_target,
)
from voicegauge.emulator.http import (
    DEFAULT_ID_TEMPLATE,
    ParsedRequest,
    Rejection,
    create_seeded_random,
    fill_random_hex,
)
from voicegauge.emulator.responses import (
    EmulatedResponse,
    SpeechTimingsGetter,
    StreamPacer,
    compute_final_event_usage,
    find_audio_pacing,
    read_requested_final_event,
    write_timestamps,
)
from voicegauge.emulator.settings import SCENARIO_HEADER
from voicegauge.emulator.state import EmulatedAccount


class SpeechEndpoint:
    """Responds to speech requests."""

    def __init__(self, context: EndpointContext) -> None:
        """Create an endpoint that responds as the contract of `context` documents."""
        self._context = context
        self._text_counts: Counter[str] = Counter()

    async def respond(
        self, request: ParsedRequest, account: EmulatedAccount, *, rejects_unsupported_values: bool
    ) -> EmulatedResponse:
        """Return the speech, or create a job and return the response that accepts it.

        Raises:
            Rejection: the request violates a limit, or the balance is too low.
        """
        context = self._context
        speech = self.plan_speech(request, account, rejects_unsupported_values=rejects_unsupported_values)
        charge = context.job_store.charge_target_price(account, speech.target, speech.billable_character_count)
        if speech.target.response.status_operation_id is None:
            processing_s = speech.queue_time_s + speech.processing_time_s
            pace = find_audio_pacing(speech.target)
            # A streamed response starts before the audio is complete, so its pieces wait instead.
            await context.clock.sleep(speech.submit_latency_s + (processing_s if pace is None else 0))
            audio = await context.downloads.synthesize_with_faults(speech.target, speech.synthesis)
            response = self._build_speech_response(request, speech, account, audio.audio_bytes, charge)
            get_speech_timings = self._create_speech_timings_getter(request, speech, audio.audio_duration_s)
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

    def plan_speech(
        self, request: ParsedRequest, account: EmulatedAccount, *, rejects_unsupported_values: bool
    ) -> PlannedSpeech:
        """Return what to synthesize for a request, and how long each phase takes.

        Raises:
            Rejection: the target requires a key and none was sent, the request exceeds a limit, or the emulator does
                not support the requested synthesis.
        """
        context = self._context
        target = select_target(request, rejects_unsupported_values=rejects_unsupported_values)
        if context.fault_injector.is_check_skipped("response-kind", request.operation):
            target = remove_target_specific_audio(target)
        if (
            account.is_keyless
            and target.needs_key
            and not context.fault_injector.is_check_skipped("key", request.operation)
        ):
            raise Rejection("unauthorized", None, f"{target.name} needs a key")
        location = find_response_audio(target)
        if rejects_unsupported_values:
            self._check_text_length(request, target)
        synthesis = read_synthesis_request(
            request,
            target,
            location,
            context.settings.seed,
            rejects_unsupported_values=rejects_unsupported_values,
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
            self._context.clock.scale_duration(milliseconds / 1000 * rng.lognormvariate(0, emulation.jitter))
            for milliseconds in (emulation.submit_response_ms, emulation.queue_ms, processing_ms)
        )
        return submit_s, queue_s, processing_s

    def _check_text_length(self, request: ParsedRequest, target: Target) -> None:
        text = request.read_value(target.speech.request_fields["text"].location)
        limit = self._context.accounts.find_plan_limits(request.operation.limits).max_text_characters
        if isinstance(text, str) and limit is not None and len(text) > limit:
            field = get_documented_field_name(target.speech.request_fields["text"])
            raise Rejection("invalid", field, f"{field} is longer than {limit} characters")

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
        context.response_builder.write_constants(response, fill_constant_placeholders(target, rng))
        return response

    def _create_speech_timings_getter(
        self, request: ParsedRequest, planned_speech: PlannedSpeech, audio_duration_s: float
    ) -> SpeechTimingsGetter:
        """Return a function that returns when each character or word of the text is spoken, with faults applied."""
        text = read_speech_field(request, planned_speech.target, "text")
        text = (
            planned_speech.target.speech.request_fields["text"].remove_template(text) if isinstance(text, str) else ""
        )

        def get_speech_timings(unit: Literal["character", "word"]) -> list[SpeechTiming]:
            timings = build_speech_timings(
                text,
                unit,
                leading_silence_s=planned_speech.synthesis.leading_silence_s,
                audio_duration_s=audio_duration_s,
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
            chunk_interval_jitter=response.target.target_spec.emulation.jitter,
            rng=self._context.job_store.create_next_rng(),
            scale_duration=self._context.clock.scale_duration,
            final_event_values=compute_final_event_usage(response.target, character_count),
            final_event_type=read_requested_final_event(
                response.target.stream, (response.request.incoming_request.find_header(SCENARIO_HEADER) or "").strip()
            ),
        )
        response.split_into_pieces = pacer.split_into_pieces
