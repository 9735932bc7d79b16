"""Planted faults: what a provider might do wrong, each one a small function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import JobSpec, ResourceSpec
from voicegauge.emulator.audio import SynthesisRequest
from voicegauge.emulator.faults import audio, bodies, http, jobs, streams, uploads, webhooks
from voicegauge.emulator.http import ParsedRequest
from voicegauge.emulator.responses import EmulatedCallback, EmulatedResponse, StreamPiece
from voicegauge.emulator.state import EmulatedJob

SLOW_S = 3.0
"""Slow enough to stand out against every made-up time, short enough to wait for."""


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
]
"""What is not seen to: the key, the schema of requests, the length of lists in them, the filters of lists, the size or
the format of an upload; of things that are kept whose they are, that they are deleted, that lists leave those out, and
their state; that webhook URLs have https; that jobs are cancelled, and that they expire."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing done wrong. Exactly one of the hooks is set."""

    id: str
    description: str
    """One sentence: what the provider does."""
    applies_to: Callable[[Target], bool] = lambda _: True
    """Whether a target's contract has what the fault spoils."""
    change_response: Callable[[EmulatedResponse], None] | None = None
    """Changes an answer before it is sent."""
    change_states: Callable[[JobSpec, tuple[str, ...]], tuple[str, ...]] | None = None
    """Changes the states a job passes through."""
    choose_job: Callable[[EmulatedJob, Sequence[EmulatedJob]], EmulatedJob] | None = None
    """Changes which job a status answer tells of; called with all jobs, the oldest first."""
    change_synthesis: Callable[[SynthesisRequest], SynthesisRequest] | None = None
    """Changes what is spoken."""
    change_stream: Callable[[Operation, list[StreamPiece]], list[StreamPiece]] | None = None
    """Changes the pieces of an answer that goes out as it is made."""
    change_charge: Callable[[float], float] | None = None
    """Changes what is charged."""
    change_callbacks: Callable[[EmulatedCallback], Iterable[EmulatedCallback]] | None = None
    """Changes what a receiver of webhooks is told."""
    reject: Callable[[ParsedRequest, int], str | None] | None = None
    """The situation a request meets; called with its number among those to its operation."""
    skipped_check: SkippableCheck | None = None
    """What is no longer checked."""
    delay_s: float = 0.0
    """How much later every answer comes."""


def _has_job(target: Target) -> bool:
    return target.answer.job is not None


def keeps(fits: Callable[[ResourceSpec], bool]) -> Callable[[Target], bool]:
    """Whether a target's contract has things that are kept and `fits`."""

    def needed(target: Target) -> bool:
        resources = (operation.resource for operation in target.contract.operations.values())
        return any(resource is not None and fits(resource) for resource in resources)

    return needed


_ALL = (
    Fault(
        id="wrong-type",
        description="A field of an answer has another JSON type.",
        change_response=bodies.wrong_type,
        applies_to=bodies.can_break(bodies.wrong_type),
    ),
    Fault(
        id="missing-field",
        description="A required field of an answer is left out.",
        change_response=bodies.missing_field,
        applies_to=bodies.can_break(bodies.missing_field),
    ),
    Fault(
        id="renamed-field",
        description="A required field of an answer has another name.",
        change_response=bodies.renamed_field,
        applies_to=bodies.can_break(bodies.renamed_field),
    ),
    Fault(
        id="null-field",
        description="A field that must have a value is null.",
        change_response=bodies.null_field,
        applies_to=bodies.can_break(bodies.null_field),
    ),
    Fault(
        id="wrong-error-shape",
        description="Errors have a body of another shape.",
        change_response=bodies.wrong_error_shape,
        applies_to=bodies.documents_errors,
    ),
    Fault(id="empty-body", description="Answers of success have no body.", change_response=bodies.empty_body),
    Fault(
        id="wrong-content-type",
        description="Answers of success name a media type that is not theirs.",
        change_response=bodies.wrong_content_type,
    ),
    Fault(
        id="unknown-status",
        description="A job passes through a state that no document names.",
        change_states=jobs.unknown_status,
        applies_to=_has_job,
    ),
    Fault(
        id="backwards-transition",
        description="A job goes back to a state it has left.",
        change_states=jobs.backwards,
        applies_to=jobs.can_go_back,
    ),
    Fault(
        id="terminal-flip",
        description="A job that has succeeded is seen as failed afterwards.",
        change_states=jobs.terminal_flip,
        applies_to=jobs.can_fail,
    ),
    Fault(
        id="failure-undone",
        description="A job that has failed is seen as succeeded afterwards.",
        change_states=jobs.failure_undone,
        applies_to=jobs.can_fail,
    ),
    Fault(id="stuck-job", description="A job never ends.", change_states=jobs.stuck, applies_to=_has_job),
    Fault(
        id="completed-without-output",
        description="A job succeeds, but its answer has no audio.",
        change_response=jobs.without_output,
        applies_to=jobs.has_output,
    ),
    Fault(
        id="failed-without-reason",
        description="Every job fails, and its answer gives no reason.",
        change_states=jobs.fail,
        change_response=jobs.without_reason,
        applies_to=jobs.has_reason,
    ),
    Fault(
        id="bad-timestamps",
        description="A job ends before it was created.",
        change_response=jobs.bad_timestamps,
        applies_to=jobs.has_times,
    ),
    Fault(
        id="created-changed",
        description="The time a job was created differs from answer to answer.",
        change_response=jobs.created_changed,
        applies_to=jobs.has_created,
    ),
    Fault(
        id="id-changed",
        description="Status answers carry the id of another job.",
        change_response=jobs.id_changed,
        applies_to=jobs.repeats_id,
    ),
    Fault(
        id="crosstalk",
        description="Status answers tell of the job that was submitted last, whichever is asked for.",
        choose_job=jobs.latest,
        applies_to=_has_job,
    ),
    Fault(
        id="ignores-cancelling",
        description="A job goes on to its end although cancelling it was accepted.",
        skipped_check="cancelling",
        applies_to=jobs.is_cancelled,
    ),
    Fault(
        id="never-expires",
        description="A job can be asked for after the time that the document gives it.",
        skipped_check="expiry",
        applies_to=jobs.expires,
    ),
    Fault(
        id="wrong-polling-url",
        description="The polling URL leads to another job.",
        change_response=jobs.wrong_polling_url,
        applies_to=jobs.gives_url,
    ),
    Fault(
        id="wrong-charge",
        description="More is charged than the price.",
        change_charge=jobs.overcharge,
        applies_to=jobs.tells_charge,
    ),
    Fault(id="silent-audio", description="The audio is digital silence.", change_synthesis=audio.silent),
    Fault(
        id="wrong-format",
        description="The audio is in another format than declared.",
        change_synthesis=audio.wrong_format,
    ),
    Fault(
        id="text-ignored",
        description="Another text is spoken, much shorter or much longer.",
        change_synthesis=audio.text_ignored,
    ),
    Fault(id="truncated-audio", description="The audio ends in the middle.", change_response=audio.truncated),
    Fault(id="html-as-audio", description="An HTML page comes where audio is declared.", change_response=audio.html),
    Fault(
        id="server-error-at-boundary",
        description="A value at the end of its documented range is answered with 500.",
        reject=http.error_at_boundary,
        applies_to=http.has_bounds,
    ),
    Fault(id="flaky-503", description="Every second request for speech is answered with 503.", reject=http.flaky),
    Fault(id="drops-connection", description="Every answer breaks off in the middle.", change_response=http.drop),
    Fault(id="slow", description=f"Every answer comes {SLOW_S:g} s late.", delay_s=SLOW_S),
    Fault(
        id="ignored-key",
        description="Requests without a key, or with a wrong one, are answered.",
        skipped_check="key",
        applies_to=lambda target: target.needs_key,
    ),
    Fault(
        id="accepts-invalid",
        description="Requests that break the documented bounds are accepted.",
        skipped_check="request",
    ),
    Fault(
        id="upload-limit-ignored",
        description="Recordings beyond the documented size are accepted.",
        skipped_check="upload-size",
        applies_to=uploads.limits_size,
    ),
    Fault(
        id="upload-format-ignored",
        description="Uploads of any format, and what is no audio, are accepted.",
        skipped_check="upload-format",
        applies_to=uploads.limits_formats,
    ),
    Fault(
        id="other-transcript",
        description="The transcript is that of another recording.",
        change_response=uploads.other_transcript,
        applies_to=uploads.transcribes,
    ),
    Fault(
        id="other-rate",
        description="Audio is converted to another sample rate than asked for.",
        change_response=uploads.other_rate,
        applies_to=uploads.converts,
    ),
    Fault(
        id="ignores-filters",
        description="Lists are answered whole, whatever filter is asked for.",
        skipped_check="filters",
        applies_to=lambda target: any(
            parameter.place == "query" and not parameter.required
            for operation in target.contract.operations.values()
            for parameter in operation.parameters
        ),
    ),
    Fault(
        id="accepts-too-many",
        description="Lists of more items than are documented are accepted.",
        skipped_check="items",
    ),
    Fault(
        id="uses-deleted",
        description="What was deleted can still be used.",
        skipped_check="deletion",
        applies_to=keeps(lambda resource: resource.delete is not None),
    ),
    Fault(
        id="lists-deleted",
        description="What was deleted is still listed.",
        skipped_check="delisting",
        applies_to=keeps(lambda resource: resource.delete is not None and resource.list is not None),
    ),
    Fault(
        id="ignores-state",
        description="What is put away can still be used.",
        skipped_check="state",
        applies_to=keeps(lambda resource: any(use.states for use in resource.uses)),
    ),
    Fault(
        id="shares-accounts",
        description="What one account has made can be used by another one.",
        skipped_check="account",
        applies_to=keeps(lambda _: True),
    ),
    Fault(
        id="missing-retry-after",
        description="Retry-After is left out where it is documented.",
        change_response=http.missing_retry_after,
        applies_to=http.documents_retry_after,
    ),
    Fault(
        id="missing-header",
        description="Documented headers are left out.",
        change_response=http.missing_header,
        applies_to=http.documents_headers,
    ),
    Fault(
        id="stream-event-missing",
        description="A stream lacks one of its events with audio.",
        change_stream=streams.event_missing,
        applies_to=streams.numbers,
    ),
    Fault(
        id="stream-reordered",
        description="The first event of a stream comes last.",
        change_stream=streams.reordered,
        applies_to=streams.has_order,
    ),
    Fault(
        id="stream-truncated",
        description="A stream ends in the middle, without the event that ends it.",
        change_stream=streams.truncated,
        applies_to=streams.streams,
    ),
    Fault(
        id="stream-stalled",
        description="A stream pauses for longer than it may.",
        change_stream=streams.stalled,
        applies_to=streams.bounds_gaps,
    ),
    Fault(
        id="stream-unknown-event",
        description="A stream has an event that no document names.",
        change_stream=streams.unknown_event,
        applies_to=streams.streams,
    ),
    Fault(
        id="stream-wrong-data",
        description="The data of a stream's events has another shape.",
        change_stream=streams.wrong_data,
        applies_to=streams.describes_data,
    ),
    Fault(
        id="stream-unreadable-audio",
        description="The audio in a stream's events is not in its encoding.",
        change_stream=streams.unreadable_audio,
        applies_to=streams.streams,
    ),
    Fault(
        id="undocumented-status",
        description="Success is answered with a status code that no document names.",
        change_response=http.undocumented_status,
        applies_to=http.can_surprise,
    ),
    Fault(
        id="webhook-never",
        description="A webhook is never sent.",
        change_callbacks=webhooks.never,
        applies_to=webhooks.has_webhook,
    ),
    Fault(
        id="webhook-twice",
        description="The end of a job is told twice, differently.",
        change_callbacks=webhooks.twice,
        applies_to=webhooks.has_webhook,
    ),
    Fault(
        id="webhook-early",
        description="Progress is told to whoever asked for the end alone.",
        change_callbacks=webhooks.early,
        applies_to=webhooks.can_be_early,
    ),
    Fault(
        id="webhook-wrong-shape",
        description="What a webhook sends lacks a field.",
        change_callbacks=webhooks.wrong_shape,
        applies_to=webhooks.can_break,
    ),
    Fault(
        id="webhook-plain-http",
        description="Webhook URLs with plain http are accepted where https is needed.",
        skipped_check="webhook-https",
        applies_to=webhooks.needs_https,
    ),
)
FAULTS: Mapping[str, Fault] = {fault.id: fault for fault in _ALL}
"""Every planted fault by its id."""
