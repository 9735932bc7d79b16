"""Rules over webhooks: what is told to the URL that a request names, and when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.subjects import CaseOutcome, RequestCallbacks
from voicegauge.contract import MISSING
from voicegauge.model import Severity

NETWORK_SLACK_S = 2.0
"""Two POSTs that are sent in time may take longer and less long to arrive."""


@rule(
    "webhook-missing",
    on=RequestCallbacks,
    proves="The URL that a request names is told of the end.",
    basis="x-webhook",
)
def _missing(told: RequestCallbacks) -> Iterator[Violation]:
    end = told.end
    if not told.is_complete or end is None:
        return
    body = told.webhook.body
    if body is not None and end[1] not in body.states.values():
        return  # no document has words for it
    if not told.final_bodies:
        came = f"{len(told.received)} others came" if told.received else "nothing came"
        yield Violation(f"the request ended as {end[0]}, and its URL was not told: {came}", _at(told))


@rule(
    "webhook-early",
    on=RequestCallbacks,
    proves="Whoever asks for the end alone is told nothing before it.",
    basis="x-webhook.url.mode",
)
def _early(told: RequestCallbacks) -> Iterator[Violation]:
    for received, value in zip(told.received, told.bodies, strict=True):
        if told.posts == "terminal" and told.phase_of(value) == "going":
            state = told.state_of(value)
            yield Violation(
                f"told of {state}, where one POST at the end was asked for", _at(told), evidence=_text(value)
            )
        elif told.phase_of(value) in ("success", "failure"):
            for poll, state, meaning in told.polled_states():
                timing = poll.exchange.timing
                if meaning == "going" and timing is not None and timing.started_ms > received.at_ms:
                    message = f"told of the end, and asked afterwards the job was {state}"
                    yield Violation(message, _at(told), evidence=_text(value))
                    break


@rule(
    "webhook-repeated",
    on=RequestCallbacks,
    proves="The end of a job is told in one way: a POST that comes again says the same.",
    basis="x-webhook.may_repeat",
)
def _repeated(told: RequestCallbacks) -> Iterator[Violation]:
    for before, after in pairwise(told.final_bodies):
        if after != before:
            yield Violation("told of the end twice, differently", _at(told), evidence=f"{_text(before)} {_text(after)}")


@rule(
    "webhook-duplicate",
    on=RequestCallbacks,
    proves="The same POST comes once, where no document says to expect it again.",
    basis="x-webhook.may_repeat",
    severity=Severity.WARNING,
)
def _duplicate(told: RequestCallbacks) -> Iterator[Violation]:
    ends = told.final_bodies
    if not told.webhook.may_repeat and any(before == after for before, after in pairwise(ends)):
        yield Violation(f"told of the end {len(ends)} times", _at(told), evidence=_text(ends[0]))


@rule(
    "webhook-progress-late",
    on=RequestCallbacks,
    proves="Whoever asks for progress is told of it as often as the document promises.",
    basis="x-webhook.progress_max_s",
    severity=Severity.WARNING,
)
def _progress_late(told: RequestCallbacks) -> Iterator[Violation]:
    longest_s = told.webhook.progress_max_s
    if told.posts != "progress" or longest_s is None:
        return
    timing = told.submit.exchange.timing if told.submit is not None else None
    moments = [timing.started_ms] if timing is not None else []
    for received, value in zip(told.received, told.bodies, strict=True):
        moments.append(received.at_ms)
        if told.phase_of(value) in ("success", "failure"):
            break  # what comes again after the end may come when it likes
    gap_s = max(((after - before) / 1000 for before, after in pairwise(moments)), default=0.0)
    if gap_s > longest_s + NETWORK_SLACK_S:
        message = f"told nothing for {gap_s:.1f} s, where {longest_s:g} s are allowed"
        yield Violation(message, f"{_at(told)}/progress_max_s")


@rule(
    "webhook-contradicts",
    on=RequestCallbacks,
    proves="What a webhook tells of a job is what its status answer says.",
    basis="x-webhook, x-job",
)
def _contradicts(told: RequestCallbacks) -> Iterator[Violation]:
    end, given = told.end, told.given_id
    for value in told.bodies:
        named = told.id_of(value)
        if MISSING not in (given, named) and named != given:
            yield Violation(f"told of {named!r:.80}, where the request was {given!r:.80}", _at(told))
            return
        meaning, state = told.phase_of(value), told.state_of(value)
        if end is None or meaning in (None, "going"):
            continue
        own_words = told.webhook.body is not None
        if meaning != end[1] or (not own_words and state != end[0]):
            message = f"told that it ended as {state}, and the status answer says {end[0]}"
            yield Violation(message, _at(told), evidence=_text(value))
            return


@rule(
    "webhook-plain-http",
    on=CaseOutcome,
    proves="A webhook URL with plain http is refused where the document demands https.",
    basis="x-webhook.https_only",
)
def _plain_http(outcome: CaseOutcome) -> Iterator[Violation]:
    if outcome.expected.kind == "plain-http" and outcome.call.ok:
        yield Violation(
            f"{outcome.expected.description}: accepted with {outcome.call.status}", outcome.expected.contract_pointer
        )


def _at(told: RequestCallbacks) -> str:
    return f"{told.operation.pointer}/x-webhook"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:1000]
