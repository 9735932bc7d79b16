"""What is told to the URL that a request names: when, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voicegauge.contract import MISSING, MediaType, Operation, callback_media, given_id
from voicegauge.contract.extension import CallbackTiming, JobState, WebhookBody, WebhookUrlField
from voicegauge.emulator.http import ParsedRequest, format_timestamp, read_at, write_at
from voicegauge.emulator.responses.bodies import default_body
from voicegauge.emulator.responses.builder import ResponseBuilder
from voicegauge.emulator.responses.response import EmulatedResponse
from voicegauge.emulator.state import EmulatedJob
from voicegauge.formats import Location


@dataclass(frozen=True)
class EmulatedCallback:
    """One moment at which a receiver may be told something."""

    body: Any
    media: MediaType
    """The documented body."""
    ended: bool
    """Whether it tells of the end."""
    due: bool
    """Whether it is sent."""
    essential_fields: frozenset[tuple[str, ...]] = frozenset()
    """Keys of the places that say which job it is, and in which state."""
    completed: Location | None = None
    """The place of the time of the end."""


@dataclass
class WebhookSubscription:
    """A request that is to be told of."""

    url: str
    posts: CallbackTiming
    response: EmulatedResponse
    """The answer to the request."""
    request: ParsedRequest

    @property
    def operation(self) -> Operation:
        """The operation that was asked."""
        return self.request.operation

    @property
    def job(self) -> EmulatedJob | None:
        """`None` where the answer was the end."""
        return self.response.job


def requested_webhook_url(request: ParsedRequest) -> tuple[WebhookUrlField, str] | None:
    """Where a request names a URL, and which; `None` where it names none."""
    for location in request.operation.webhook.url if request.operation.webhook else ():
        value = request.read(location.at)
        if value not in (MISSING, None, ""):
            return location, str(value)
    return None


def requested_callbacks(request: ParsedRequest, location: WebhookUrlField) -> CallbackTiming:
    """What a request wants to be told; of what no document says the emulator leaves out all but the end."""
    mode = location.mode
    if mode is None:
        return "terminal"
    asked = request.read(mode.at)
    known = mode.values.get(asked if isinstance(asked, str) else mode.default, "terminal")
    return "terminal" if known == "any" else known


def next_callback(
    builder: ResponseBuilder, subscription: WebhookSubscription, state: JobState | None
) -> EmulatedCallback | None:
    """What there is to tell now; `None` where no document has words for it.

    Args:
        builder: writes status answers.
        subscription: who is told of what.
        state: the job's, as the contract knows it; `None` for one it does not know.
    """
    webhook, job = subscription.operation.webhook, subscription.job
    assert webhook is not None
    ended = job is None or (state is not None and state.end is not None)
    media = callback_media(subscription.operation)
    due = ended or subscription.posts == "progress"
    if webhook.body is not None:
        failed = job is not None and state is not None and state.end == "failure"
        means = "failure" if failed else "success"
        word = next((word for word, meaning in webhook.body.states.items() if meaning == means), None)
        if word is None or not ended:
            return None
        body = _own_body(subscription, media, webhook.body, word)
        essential_fields = (webhook.body.id, webhook.body.state)
        completed = webhook.body.completed
    else:
        assert job is not None, "the consistency check has made sure"
        status = job.target.job_operation
        assert status is not None
        assert status.job is not None
        asked = ParsedRequest(subscription.request.incoming, status, {})
        body = builder.status_response(asked, job).body
        essential_fields = (status.job.id or Location("body"), status.job.state)
        completed = status.job.completed
    base_url = subscription.request.incoming.base_url
    keys = frozenset(location.tokens for location in essential_fields)
    return EmulatedCallback(builder.with_local_urls(body, base_url), media, ended, due, keys, completed)


def _own_body(subscription: WebhookSubscription, media: MediaType, locations: WebhookBody, word: str) -> Any:
    """The documented example, made to tell of this request."""
    response, job = subscription.response, subscription.job
    draft = default_body(media)
    shown = read_at(draft.value, locations.id)
    job_id = read_at(response.body, given_id(subscription.operation)) if job is None else job.id
    body = write_at(write_at(draft.value, locations.id, job_id), locations.state, word)
    result = read_at(body, locations.result)
    if locations.result is not None and isinstance(result, str):
        body = write_at(body, locations.result, _result_url(subscription, result.replace(str(shown), str(job_id))))
    if job is None:
        return body
    values: dict[Location | None, Any] = {locations.charged: _plain(job.charge)}
    for location, at in ((locations.created, job.created), (locations.completed, job.entered_at[-1])):
        values[location] = format_timestamp(at, read_at(body, location))
    for location, value in values.items():
        if location is not None and value is not None:
            body = write_at(body, location, value)
    return body


def _plain(amount: float | None) -> float | None:
    """`amount` without a fraction where it has none."""
    return int(amount) if amount is not None and float(amount).is_integer() else amount


def _result_url(subscription: WebhookSubscription, url: str) -> str:
    """`url`; where several files were made, the first of them."""
    intake = subscription.operation.intake
    stems = getattr(getattr(intake, "answer", None), "stems", None)
    found = read_at(subscription.response.body, f"{stems.at}/0/{stems.url}") if stems is not None else MISSING
    return found if isinstance(found, str) else url
