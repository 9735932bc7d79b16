"""What is told to the URL that a request names: when, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voicegauge.contract import MISSING, MediaType, Operation, callback_media, given_id, parse_location
from voicegauge.contract.extension import CallbackTiming, JobState, WebhookBody, WebhookUrlField
from voicegauge.emulator.http import Call, stamp
from voicegauge.emulator.responses.bodies import get, plain_draft, put
from voicegauge.emulator.responses.builder import Answers
from voicegauge.emulator.responses.reply import Reply
from voicegauge.emulator.state import EmulatedJob


@dataclass(frozen=True)
class Post:
    """One moment at which a receiver may be told something."""

    body: Any
    media: MediaType
    """The documented body."""
    ended: bool
    """Whether it tells of the end."""
    due: bool
    """Whether it is sent."""
    vital: frozenset[tuple[str, ...]] = frozenset()
    """Keys of the places that say which job it is, and in which state."""
    completed: str | None = None
    """The place of the time of the end."""


@dataclass
class Subscription:
    """A request that is to be told of."""

    url: str
    posts: CallbackTiming
    reply: Reply
    """The answer to the request."""
    call: Call

    @property
    def operation(self) -> Operation:
        """The operation that was asked."""
        return self.call.operation

    @property
    def job(self) -> EmulatedJob | None:
        """`None` where the answer was the end."""
        return self.reply.job


def named_url(call: Call) -> tuple[WebhookUrlField, str] | None:
    """Where a request names a URL, and which; `None` where it names none."""
    for place in call.operation.webhook.url if call.operation.webhook else ():
        value = call.read(place.at)
        if value not in (MISSING, None, ""):
            return place, str(value)
    return None


def wanted_posts(call: Call, place: WebhookUrlField) -> CallbackTiming:
    """What a request wants to be told; of what no document says the emulator leaves out all but the end."""
    mode = place.mode
    if mode is None:
        return "terminal"
    asked = call.read(mode.at)
    known = mode.values.get(asked if isinstance(asked, str) else mode.default, "terminal")
    return "terminal" if known == "any" else known


def post_of(answers: Answers, subscription: Subscription, state: JobState | None) -> Post | None:
    """What there is to tell now; `None` where no document has words for it.

    Args:
        answers: writes status answers.
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
        vital = (webhook.body.id, webhook.body.state)
        completed = webhook.body.completed
    else:
        assert job is not None, "the consistency check has made sure"
        status = job.target.job_operation
        assert status is not None
        assert status.job is not None
        asked = Call(subscription.call.incoming, status, {})
        body = answers.state(asked, job).body
        vital = (status.job.id or "body", status.job.state)
        completed = status.job.completed
    base_url = subscription.call.incoming.base_url
    keys = frozenset(tuple(parse_location(place).tokens) for place in vital)
    return Post(answers.localised(body, base_url), media, ended, due, keys, completed)


def _own_body(subscription: Subscription, media: MediaType, places: WebhookBody, word: str) -> Any:
    """The documented example, made to tell of this request."""
    reply, job = subscription.reply, subscription.job
    draft = plain_draft(media)
    shown = get(draft.value, places.id)
    job_id = get(reply.body, given_id(subscription.operation)) if job is None else job.id
    body = put(put(draft.value, places.id, job_id), places.state, word)
    result = get(body, places.result)
    if places.result is not None and isinstance(result, str):
        body = put(body, places.result, _result_url(subscription, result.replace(str(shown), str(job_id))))
    if job is None:
        return body
    values: dict[str | None, Any] = {places.charged: _plain(job.charge)}
    for place, at in ((places.created, job.created), (places.completed, job.entered[-1])):
        values[place] = stamp(at, get(body, place))
    for place, value in values.items():
        if place is not None and value is not None:
            body = put(body, place, value)
    return body


def _plain(amount: float | None) -> float | None:
    """`amount` without a fraction where it has none."""
    return int(amount) if amount is not None and float(amount).is_integer() else amount


def _result_url(subscription: Subscription, url: str) -> str:
    """`url`; where several files were made, the first of them."""
    intake = subscription.operation.intake
    stems = getattr(getattr(intake, "answer", None), "stems", None)
    found = get(subscription.reply.body, f"{stems.at}/0/{stems.url}") if stems is not None else MISSING
    return found if isinstance(found, str) else url
