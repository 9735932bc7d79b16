"""The catalog of faults, which are mistakes that a provider might make; a small function injects each fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import JobSpec, ResourceSpec
from voicegauge.emulator.audio import SpeechTiming, SynthesisRequest
from voicegauge.emulator.faults import audio, bodies, http, jobs, parameters, streams, timestamps, uploads, webhooks
from voicegauge.emulator.http import ParsedRequest
from voicegauge.emulator.responses import EmulatedCallback, EmulatedResponse, StreamPiece
from voicegauge.emulator.state import EmulatedJob

SLOW_RESPONSE_DELAY_S = 3.0
"""Delay of the fault of slow responses, in seconds. It exceeds every emulated duration, but tests can wait for it."""


SkippableCheck = Literal[
    "key",
    "request",
    "items",
    "filters",
    "upload-size",
    "upload-format",
    "account",
    "deletion",
    "delisting",
    "state",
    "webhook-https",
    "cancelling",
    "expiry",
    "response-kind",
    "markup",
]
"""Checks and actions of a correct provider that a fault can leave out. Requests: authentication ("key"), the schema
("request"), the lengths of lists ("items"), filters of lists ("filters"), the limits of uploads, https for webhook
URLs, and the parsing of markup. Responses: the choice between a stream of events and audio alone ("response-kind").
Jobs: cancellation and expiry. Resources: the check of their owner ("account"), their deletion, their removal from lists
("delisting"), and the check of their state."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A mistake that the emulator can make. At least one of its hooks is set."""

    id: str
    description: str
    """One sentence about the behavior of a provider with this fault."""
    applies_to: Callable[[Target], bool] = lambda _: True
    """Function that returns whether the fault can be visible at a target, according to the target's contract."""
    change_response: Callable[[EmulatedResponse], None] | None = None
    """Function that changes a response before it is sent."""
    change_states: Callable[[JobSpec, tuple[str, ...]], tuple[str, ...]] | None = None
    """Function that returns the states that a job passes through."""
    choose_job: Callable[[EmulatedJob, Sequence[EmulatedJob]], EmulatedJob] | None = None
    """Function that returns the job which a status response reports, given the requested job and all jobs, oldest
    first."""
    change_synthesis: Callable[[SynthesisRequest], SynthesisRequest] | None = None
    """Function that returns the synthesis to perform."""
    change_timings: Callable[[list[SpeechTiming]], list[SpeechTiming]] | None = None
    """Function that returns the times of characters or words to send."""
    change_field: parameters.ChangeField | None = None
    """Function that returns the value of a speech field, to be used instead of the value in the request or the
    default."""
    change_stream: Callable[[Operation, list[StreamPiece]], list[StreamPiece]] | None = None
    """Function that returns the pieces of a streamed response."""
    change_charge: Callable[[float], float] | None = None
    """Function that returns the amount to charge."""
    change_callbacks: Callable[[EmulatedCallback], Iterable[EmulatedCallback]] | None = None
    """Function that returns the callbacks to send instead of a given callback."""
    find_rejection_reason: Callable[[ParsedRequest, int], str | None] | None = None
    """Function that returns a rejection reason, or `None` to accept the request. Its second argument is the number of
    requests to the operation so far, including this one."""
    skipped_check: SkippableCheck | None = None
    """The check that the emulator leaves out; `None` if it makes all checks."""
    delay_s: float = 0.0
    """Delay added to every response, in seconds."""


def _has_job(target: Target) -> bool:
    return target.response.job is not None


def _has_resource(condition: Callable[[ResourceSpec], bool]) -> Callable[[Target], bool]:
    """Return a predicate that tells whether the contract of a target has a resource that meets `condition`."""

    def applies_to(target: Target) -> bool:
        resources = (operation.resource for operation in target.contract.operations.values())
        return any(resource is not None and condition(resource) for resource in resources)

    return applies_to


_ALL_FAULTS = (
    Fault(
        id="wrong-type",
        description="A response field has the wrong JSON type.",
        change_response=bodies.change_field_type,
        applies_to=bodies.can_invalidate(bodies.change_field_type),
    ),
    Fault(
        id="missing-field",
        description="A required response field is missing.",
        change_response=bodies.remove_field,
        applies_to=bodies.can_invalidate(bodies.remove_field),
    ),
    Fault(
        id="renamed-field",
        description="A required response field has a wrong name.",
        change_response=bodies.rename_field,
        applies_to=bodies.can_invalidate(bodies.rename_field),
    ),
    Fault(
        id="null-field",
        description="A response field that must not be null is null.",
        change_response=bodies.nullify_field,
        applies_to=bodies.can_invalidate(bodies.nullify_field),
    ),
    Fault(
        id="wrong-error-shape",
        description="Error bodies do not have the documented shape.",
        change_response=bodies.change_error_shape,
        applies_to=bodies.has_error_schema,
    ),
    Fault(id="empty-body", description="Successful responses have no body.", change_response=bodies.remove_body),
    Fault(
        id="wrong-content-type",
        description="Successful responses declare a wrong media type.",
        change_response=bodies.change_content_type,
    ),
    Fault(
        id="unknown-status",
        description="A job passes through an undocumented state.",
        change_states=jobs.add_unknown_state,
        applies_to=_has_job,
    ),
    Fault(
        id="backwards-transition",
        description="A job returns to an earlier state.",
        change_states=jobs.repeat_states,
        applies_to=jobs.can_repeat_states,
    ),
    Fault(
        id="terminal-flip",
        description="A job that succeeded is reported as failed later.",
        change_states=jobs.fail_after_success,
        applies_to=jobs.can_fail,
    ),
    Fault(
        id="failure-undone",
        description="A job that failed is reported as succeeded later.",
        change_states=jobs.succeed_after_failure,
        applies_to=jobs.can_fail,
    ),
    Fault(
        id="stuck-job",
        description="A job never reaches a terminal state.",
        change_states=jobs.never_end,
        applies_to=_has_job,
    ),
    Fault(
        id="completed-without-output",
        description="A job succeeds, but the status response carries no audio.",
        change_response=jobs.remove_output,
        applies_to=jobs.has_output_in_status,
    ),
    Fault(
        id="failed-without-reason",
        description="Every job fails, and the status response states no reason.",
        change_states=jobs.end_in_failure,
        change_response=jobs.remove_failure_reason,
        applies_to=jobs.has_failure_reason,
    ),
    Fault(
        id="bad-timestamps",
        description="The creation time of a job is later than its end.",
        change_response=jobs.set_creation_after_end,
        applies_to=jobs.has_timestamps,
    ),
    Fault(
        id="created-changed",
        description="The creation time of a job changes between status responses.",
        change_response=jobs.change_creation_time,
        applies_to=jobs.has_creation_time,
    ),
    Fault(
        id="id-changed",
        description="Status responses carry a wrong job id.",
        change_response=jobs.change_id,
        applies_to=jobs.has_id_in_status,
    ),
    Fault(
        id="wrong-model",
        description="Status responses name another model than the requested one.",
        change_response=jobs.change_model,
        applies_to=jobs.has_model_in_status,
    ),
    Fault(
        id="crosstalk",
        description="Status responses report the latest job instead of the requested one.",
        choose_job=jobs.choose_latest_job,
        applies_to=_has_job,
    ),
    Fault(
        id="ignores-cancelling",
        description="A cancelled job continues although the cancellation was accepted.",
        skipped_check="cancelling",
        applies_to=jobs.has_cancellation,
    ),
    Fault(
        id="never-expires",
        description="A job can be polled after its documented expiry.",
        skipped_check="expiry",
        applies_to=jobs.has_expiry,
    ),
    Fault(
        id="wrong-polling-url",
        description="The polling URL belongs to another job.",
        change_response=jobs.change_polling_url,
        applies_to=jobs.has_polling_url,
    ),
    Fault(
        id="wrong-charge",
        description="The charge is higher than the documented price.",
        change_charge=jobs.overcharge,
        applies_to=jobs.has_charge,
    ),
    Fault(
        id="excess-usage",
        description="A response reports more tokens or seconds than the documents allow for the text.",
        change_response=jobs.report_excess_usage,
        applies_to=jobs.has_reported_usage,
    ),
    Fault(id="silent-audio", description="The audio is digital silence.", change_synthesis=audio.silence_speech),
    Fault(
        id="wrong-format",
        description="The audio has another format than declared.",
        change_synthesis=audio.change_format,
    ),
    Fault(
        id="other-sample-rate",
        description="The audio has half of the sample rate that is documented for its format.",
        change_synthesis=audio.halve_sample_rate,
        applies_to=audio.states_sample_rate,
    ),
    Fault(
        id="other-bit-rate",
        description="MP3 has half of the bit rate that is documented for its format.",
        change_synthesis=audio.lower_bitrate,
        applies_to=audio.states_bitrate,
    ),
    Fault(
        id="text-ignored",
        description="Another text is spoken, much shorter or much longer.",
        change_synthesis=audio.change_text,
    ),
    Fault(
        id="speed-ignored",
        description="The speed parameter has no effect.",
        change_field=parameters.ignore_field("speed"),
        applies_to=parameters.has_field("speed"),
    ),
    Fault(
        id="voice-ignored",
        description="Every voice sounds like the default one.",
        change_field=parameters.ignore_field("voice"),
        applies_to=parameters.has_field("voice"),
    ),
    Fault(
        id="language-ignored",
        description="The language parameter has no effect.",
        change_field=parameters.ignore_field("language"),
        applies_to=parameters.offers_several_languages,
    ),
    Fault(
        id="seed-ignored",
        description="The seed parameter has no effect.",
        change_field=parameters.ignore_field("seed"),
        applies_to=parameters.has_field("seed"),
    ),
    Fault(
        id="seed-not-kept",
        description="The same seed gives other audio the next time.",
        change_synthesis=parameters.vary_each_synthesis(),
        applies_to=parameters.has_reproducible_seed,
    ),
    Fault(
        id="format-changes-words",
        description="Other words of about the same duration are spoken in FLAC.",
        change_synthesis=parameters.reverse_words_in_flac,
        applies_to=parameters.offers_format("flac"),
    ),
    Fault(
        id="format-changes-text",
        description="The text is spoken twice in FLAC.",
        change_synthesis=parameters.repeat_text_in_flac,
        applies_to=parameters.offers_format("flac"),
    ),
    Fault(
        id="default-format-changed",
        description="A request without a format gets another one than the documented default.",
        change_field=parameters.change_default_format,
        applies_to=parameters.has_field("format"),
    ),
    Fault(
        id="long-text-cut",
        description="Only the beginning of a long text is spoken.",
        change_synthesis=parameters.cut_text,
    ),
    Fault(
        id="markup-spoken",
        description="The tags in a text with markup are spoken.",
        skipped_check="markup",
        applies_to=parameters.has_markup,
    ),
    Fault(id="truncated-audio", description="The audio file is truncated.", change_response=audio.truncate_audio),
    Fault(id="html-as-audio", description="An HTML page is delivered as audio.", change_response=audio.replace_by_html),
    Fault(
        id="server-error-at-boundary",
        description="A value at the limit of its documented range causes status 500.",
        find_rejection_reason=http.fail_at_boundary,
        applies_to=http.has_bounds,
    ),
    Fault(
        id="flaky-503",
        description="Every second speech request gets status 503.",
        find_rejection_reason=http.reject_every_second,
    ),
    Fault(
        id="unauthorized-cut-off",
        description="The connection is closed in the middle of every response with status 401.",
        change_response=http.cut_unauthorized_response,
        applies_to=lambda target: target.needs_key,
    ),
    Fault(
        id="drops-connection",
        description="The connection is closed in the middle of every response.",
        change_response=http.cut_connection,
    ),
    Fault(id="slow", description=f"Every response is {SLOW_RESPONSE_DELAY_S:g} s late.", delay_s=SLOW_RESPONSE_DELAY_S),
    Fault(
        id="ignored-key",
        description="Requests with a missing or invalid key are accepted.",
        skipped_check="key",
        applies_to=lambda target: target.needs_key,
    ),
    Fault(
        id="accepts-invalid",
        description="Requests that violate the documented schema are accepted.",
        skipped_check="request",
    ),
    Fault(
        id="upload-limit-ignored",
        description="Uploads larger than the documented limit are accepted.",
        skipped_check="upload-size",
        applies_to=uploads.has_size_limit,
    ),
    Fault(
        id="upload-format-ignored",
        description="Uploads of undocumented formats, even files that are not audio, are accepted.",
        skipped_check="upload-format",
        applies_to=uploads.has_format_limit,
    ),
    Fault(
        id="other-transcript",
        description="The transcript belongs to another recording.",
        change_response=uploads.replace_transcript,
        applies_to=uploads.has_transcription,
    ),
    Fault(
        id="other-rate",
        description="Audio is converted to another sample rate than requested.",
        change_response=uploads.change_sample_rate,
        applies_to=uploads.has_sample_rate_conversion,
    ),
    Fault(
        id="ignores-filters",
        description="Lists are returned unfiltered.",
        skipped_check="filters",
        applies_to=lambda target: any(
            parameter.location == "query" and not parameter.is_required
            for operation in target.contract.operations.values()
            for parameter in operation.parameters
        ),
    ),
    Fault(
        id="accepts-too-many",
        description="Requests with more list items than documented are accepted.",
        skipped_check="items",
    ),
    Fault(
        id="uses-deleted",
        description="Deleted resources can still be used.",
        skipped_check="deletion",
        applies_to=_has_resource(lambda resource: resource.delete is not None),
    ),
    Fault(
        id="lists-deleted",
        description="Deleted resources are still listed.",
        skipped_check="delisting",
        applies_to=_has_resource(lambda resource: resource.delete is not None and resource.list is not None),
    ),
    Fault(
        id="ignores-state",
        description="Resources can be used in states that do not allow it.",
        skipped_check="state",
        applies_to=_has_resource(lambda resource: any(use.states for use in resource.uses)),
    ),
    Fault(
        id="shares-accounts",
        description="Resources of other accounts can be used.",
        skipped_check="account",
        applies_to=_has_resource(lambda _: True),
    ),
    Fault(
        id="missing-retry-after",
        description="A documented Retry-After header is missing.",
        change_response=http.remove_retry_after,
        applies_to=http.has_retry_after,
    ),
    Fault(
        id="missing-header",
        description="Documented headers are missing.",
        change_response=http.remove_documented_headers,
        applies_to=http.has_required_headers,
    ),
    Fault(
        id="response-kind-ignored",
        description="A request field that selects a stream of events or audio alone has no effect.",
        skipped_check="response-kind",
        applies_to=parameters.selects_response_kind,
    ),
    Fault(
        id="timestamps-unordered",
        description="The first character or word starts last.",
        change_timings=timestamps.start_first_last,
        applies_to=timestamps.has_timestamps,
    ),
    Fault(
        id="timestamps-too-late",
        description="The times of characters or words are those of slower speech.",
        change_timings=timestamps.stretch_times,
        applies_to=timestamps.has_timestamps,
    ),
    Fault(
        id="timestamps-of-other-text",
        description="The timed characters or words are in capital letters.",
        change_timings=timestamps.capitalize_text,
        applies_to=timestamps.has_spelled_text,
    ),
    Fault(
        id="timestamps-incomplete",
        description="The end of one character or word is missing.",
        change_timings=timestamps.drop_end,
        applies_to=timestamps.has_timestamps,
    ),
    Fault(
        id="stream-event-missing",
        description="One audio event is missing from a stream.",
        change_stream=streams.drop_audio_event,
        applies_to=streams.has_numbered_events,
    ),
    Fault(
        id="stream-reordered",
        description="The first event of a stream is sent last.",
        change_stream=streams.move_first_event_last,
        applies_to=streams.has_event_before_audio,
    ),
    Fault(
        id="stream-truncated",
        description="A stream ends in the middle, without its final event.",
        change_stream=streams.truncate_stream,
        applies_to=streams.has_stream,
    ),
    Fault(
        id="stream-stalled",
        description="A gap in a stream is longer than documented.",
        change_stream=streams.stall_stream,
        applies_to=streams.has_max_gap,
    ),
    Fault(
        id="stream-unknown-event",
        description="A stream contains an undocumented event.",
        change_stream=streams.add_unknown_event,
        applies_to=streams.has_stream,
    ),
    Fault(
        id="stream-wrong-data",
        description="The data of stream events does not have the documented shape.",
        change_stream=streams.wrap_event_data,
        applies_to=streams.has_data_schema,
    ),
    Fault(
        id="stream-unreadable-audio",
        description="The audio in stream events cannot be decoded.",
        change_stream=streams.corrupt_audio,
        applies_to=streams.has_stream,
    ),
    Fault(
        id="undocumented-status",
        description="Successful responses have an undocumented status code.",
        change_response=http.change_status,
        applies_to=http.has_undocumented_status,
    ),
    Fault(
        id="webhook-never",
        description="Callbacks are never sent.",
        change_callbacks=webhooks.drop_callback,
        applies_to=webhooks.has_webhook,
    ),
    Fault(
        id="webhook-twice",
        description="The final callback is sent twice, with different completion times.",
        change_callbacks=webhooks.repeat_final_callback,
        applies_to=webhooks.has_webhook,
    ),
    Fault(
        id="webhook-early",
        description="Progress callbacks are sent to subscribers of the final one only.",
        change_callbacks=webhooks.send_progress_callback,
        applies_to=webhooks.has_progress_callbacks,
    ),
    Fault(
        id="webhook-wrong-shape",
        description="A field is missing from callback payloads.",
        change_callbacks=webhooks.remove_payload_field,
        applies_to=webhooks.has_payload_schema,
    ),
    Fault(
        id="webhook-forged",
        description="Callbacks are signed with a wrong secret.",
        change_callbacks=webhooks.forge_signature,
        applies_to=webhooks.has_signature,
    ),
    Fault(
        id="webhook-replayed",
        description="The final callback is sent twice with the same signature.",
        change_callbacks=webhooks.replay_callback,
        applies_to=webhooks.has_signed_time,
    ),
    Fault(
        id="webhook-late",
        description="Callbacks are signed a day before they are sent.",
        change_callbacks=webhooks.sign_in_the_past,
        applies_to=webhooks.has_signed_time,
    ),
    Fault(
        id="webhook-plain-http",
        description="Plain http webhook URLs are accepted although https is required.",
        skipped_check="webhook-https",
        applies_to=webhooks.requires_https,
    ),
)
FAULTS: Mapping[str, Fault] = {fault.id: fault for fault in _ALL_FAULTS}
"""All faults, with their ids as keys."""
