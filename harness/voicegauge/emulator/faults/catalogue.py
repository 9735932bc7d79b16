"""Planted faults: what a provider might do wrong, each one a small function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import JobSpec, ResourceSpec
from voicegauge.emulator.audio import Utterance
from voicegauge.emulator.faults import audio, bodies, http, jobs, streams, uploads, webhooks
from voicegauge.emulator.http import Call
from voicegauge.emulator.responses import Beat, Post, Reply
from voicegauge.emulator.state import EmulatedJob

SLOW_S = 3.0
"""Slow enough to stand out against every made-up time, short enough to wait for."""


Waived = Literal[
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
    says: str
    """One sentence: what the provider does."""
    needs: Callable[[Target], bool] = lambda _: True
    """Whether a target's contract has what the fault spoils."""
    reply: Callable[[Reply], None] | None = None
    """Changes an answer before it is sent."""
    path: Callable[[JobSpec, tuple[str, ...]], tuple[str, ...]] | None = None
    """Changes the states a job passes through."""
    job: Callable[[EmulatedJob, Sequence[EmulatedJob]], EmulatedJob] | None = None
    """Changes which job a status answer tells of; called with all jobs, the oldest first."""
    speech: Callable[[Utterance], Utterance] | None = None
    """Changes what is spoken."""
    beats: Callable[[Operation, list[Beat]], list[Beat]] | None = None
    """Changes the pieces of an answer that goes out as it is made."""
    charge: Callable[[float], float] | None = None
    """Changes what is charged."""
    posts: Callable[[Post], Iterable[Post]] | None = None
    """Changes what a receiver of webhooks is told."""
    meets: Callable[[Call, int], str | None] | None = None
    """The situation a request meets; called with its number among those to its operation."""
    waives: Waived | None = None
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
        says="A field of an answer has another JSON type.",
        reply=bodies.wrong_type,
        needs=bodies.can_break(bodies.wrong_type),
    ),
    Fault(
        id="missing-field",
        says="A required field of an answer is left out.",
        reply=bodies.missing_field,
        needs=bodies.can_break(bodies.missing_field),
    ),
    Fault(
        id="renamed-field",
        says="A required field of an answer has another name.",
        reply=bodies.renamed_field,
        needs=bodies.can_break(bodies.renamed_field),
    ),
    Fault(
        id="null-field",
        says="A field that must have a value is null.",
        reply=bodies.null_field,
        needs=bodies.can_break(bodies.null_field),
    ),
    Fault(
        id="wrong-error-shape",
        says="Errors have a body of another shape.",
        reply=bodies.wrong_error_shape,
        needs=bodies.documents_errors,
    ),
    Fault(id="empty-body", says="Answers of success have no body.", reply=bodies.empty_body),
    Fault(
        id="wrong-content-type",
        says="Answers of success name a media type that is not theirs.",
        reply=bodies.wrong_content_type,
    ),
    Fault(
        id="unknown-status",
        says="A job passes through a state that no document names.",
        path=jobs.unknown_status,
        needs=_has_job,
    ),
    Fault(
        id="backwards-transition",
        says="A job goes back to a state it has left.",
        path=jobs.backwards,
        needs=jobs.can_go_back,
    ),
    Fault(
        id="terminal-flip",
        says="A job that has succeeded is seen as failed afterwards.",
        path=jobs.terminal_flip,
        needs=jobs.can_fail,
    ),
    Fault(
        id="failure-undone",
        says="A job that has failed is seen as succeeded afterwards.",
        path=jobs.failure_undone,
        needs=jobs.can_fail,
    ),
    Fault(id="stuck-job", says="A job never ends.", path=jobs.stuck, needs=_has_job),
    Fault(
        id="completed-without-output",
        says="A job succeeds, but its answer has no audio.",
        reply=jobs.without_output,
        needs=jobs.has_output,
    ),
    Fault(
        id="failed-without-reason",
        says="Every job fails, and its answer gives no reason.",
        path=jobs.fail,
        reply=jobs.without_reason,
        needs=jobs.has_reason,
    ),
    Fault(
        id="bad-timestamps", says="A job ends before it was created.", reply=jobs.bad_timestamps, needs=jobs.has_times
    ),
    Fault(
        id="created-changed",
        says="The time a job was created differs from answer to answer.",
        reply=jobs.created_changed,
        needs=jobs.has_created,
    ),
    Fault(
        id="id-changed",
        says="Status answers carry the id of another job.",
        reply=jobs.id_changed,
        needs=jobs.repeats_id,
    ),
    Fault(
        id="crosstalk",
        says="Status answers tell of the job that was submitted last, whichever is asked for.",
        job=jobs.latest,
        needs=_has_job,
    ),
    Fault(
        id="ignores-cancelling",
        says="A job goes on to its end although cancelling it was accepted.",
        waives="cancelling",
        needs=jobs.is_cancelled,
    ),
    Fault(
        id="never-expires",
        says="A job can be asked for after the time that the document gives it.",
        waives="expiry",
        needs=jobs.expires,
    ),
    Fault(
        id="wrong-polling-url",
        says="The polling URL leads to another job.",
        reply=jobs.wrong_polling_url,
        needs=jobs.gives_url,
    ),
    Fault(id="wrong-charge", says="More is charged than the price.", charge=jobs.overcharge, needs=jobs.tells_charge),
    Fault(id="silent-audio", says="The audio is digital silence.", speech=audio.silent),
    Fault(id="wrong-format", says="The audio is in another format than declared.", speech=audio.wrong_format),
    Fault(id="text-ignored", says="Another text is spoken, much shorter or much longer.", speech=audio.text_ignored),
    Fault(id="truncated-audio", says="The audio ends in the middle.", reply=audio.truncated),
    Fault(id="html-as-audio", says="An HTML page comes where audio is declared.", reply=audio.html),
    Fault(
        id="server-error-at-boundary",
        says="A value at the end of its documented range is answered with 500.",
        meets=http.error_at_boundary,
        needs=http.has_bounds,
    ),
    Fault(id="flaky-503", says="Every second request for speech is answered with 503.", meets=http.flaky),
    Fault(id="drops-connection", says="Every answer breaks off in the middle.", reply=http.drop),
    Fault(id="slow", says=f"Every answer comes {SLOW_S:g} s late.", delay_s=SLOW_S),
    Fault(
        id="ignored-key",
        says="Requests without a key, or with a wrong one, are answered.",
        waives="key",
        needs=lambda target: target.needs_key,
    ),
    Fault(id="accepts-invalid", says="Requests that break the documented bounds are accepted.", waives="request"),
    Fault(
        id="upload-limit-ignored",
        says="Recordings beyond the documented size are accepted.",
        waives="upload-size",
        needs=uploads.limits_size,
    ),
    Fault(
        id="upload-format-ignored",
        says="Uploads of any format, and what is no audio, are accepted.",
        waives="upload-format",
        needs=uploads.limits_formats,
    ),
    Fault(
        id="other-transcript",
        says="The transcript is that of another recording.",
        reply=uploads.other_transcript,
        needs=uploads.transcribes,
    ),
    Fault(
        id="other-rate",
        says="Audio is converted to another sample rate than asked for.",
        reply=uploads.other_rate,
        needs=uploads.converts,
    ),
    Fault(
        id="ignores-filters",
        says="Lists are answered whole, whatever filter is asked for.",
        waives="filters",
        needs=lambda target: any(
            parameter.place == "query" and not parameter.required
            for operation in target.contract.operations.values()
            for parameter in operation.parameters
        ),
    ),
    Fault(id="accepts-too-many", says="Lists of more items than are documented are accepted.", waives="items"),
    Fault(
        id="uses-deleted",
        says="What was deleted can still be used.",
        waives="deletion",
        needs=keeps(lambda resource: resource.delete is not None),
    ),
    Fault(
        id="lists-deleted",
        says="What was deleted is still listed.",
        waives="delisting",
        needs=keeps(lambda resource: resource.delete is not None and resource.list is not None),
    ),
    Fault(
        id="ignores-state",
        says="What is put away can still be used.",
        waives="state",
        needs=keeps(lambda resource: any(use.states for use in resource.uses)),
    ),
    Fault(
        id="shares-accounts",
        says="What one account has made can be used by another one.",
        waives="account",
        needs=keeps(lambda _: True),
    ),
    Fault(
        id="missing-retry-after",
        says="Retry-After is left out where it is documented.",
        reply=http.missing_retry_after,
        needs=http.documents_retry_after,
    ),
    Fault(
        id="missing-header",
        says="Documented headers are left out.",
        reply=http.missing_header,
        needs=http.documents_headers,
    ),
    Fault(
        id="stream-event-missing",
        says="A stream lacks one of its events with audio.",
        beats=streams.event_missing,
        needs=streams.numbers,
    ),
    Fault(
        id="stream-reordered",
        says="The first event of a stream comes last.",
        beats=streams.reordered,
        needs=streams.has_order,
    ),
    Fault(
        id="stream-truncated",
        says="A stream ends in the middle, without the event that ends it.",
        beats=streams.truncated,
        needs=streams.streams,
    ),
    Fault(
        id="stream-stalled",
        says="A stream pauses for longer than it may.",
        beats=streams.stalled,
        needs=streams.bounds_gaps,
    ),
    Fault(
        id="stream-unknown-event",
        says="A stream has an event that no document names.",
        beats=streams.unknown_event,
        needs=streams.streams,
    ),
    Fault(
        id="stream-wrong-data",
        says="The data of a stream's events has another shape.",
        beats=streams.wrong_data,
        needs=streams.describes_data,
    ),
    Fault(
        id="stream-unreadable-audio",
        says="The audio in a stream's events is not in its encoding.",
        beats=streams.unreadable_audio,
        needs=streams.streams,
    ),
    Fault(
        id="undocumented-status",
        says="Success is answered with a status code that no document names.",
        reply=http.undocumented_status,
        needs=http.can_surprise,
    ),
    Fault(id="webhook-never", says="A webhook is never sent.", posts=webhooks.never, needs=webhooks.has_webhook),
    Fault(
        id="webhook-twice",
        says="The end of a job is told twice, differently.",
        posts=webhooks.twice,
        needs=webhooks.has_webhook,
    ),
    Fault(
        id="webhook-early",
        says="Progress is told to whoever asked for the end alone.",
        posts=webhooks.early,
        needs=webhooks.can_be_early,
    ),
    Fault(
        id="webhook-wrong-shape",
        says="What a webhook sends lacks a field.",
        posts=webhooks.wrong_shape,
        needs=webhooks.can_break,
    ),
    Fault(
        id="webhook-plain-http",
        says="Webhook URLs with plain http are accepted where https is needed.",
        waives="webhook-https",
        needs=webhooks.needs_https,
    ),
)
FAULTS: Mapping[str, Fault] = {fault.id: fault for fault in _ALL}
"""Every planted fault by its id."""
