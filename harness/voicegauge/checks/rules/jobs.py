"""Rules over jobs: states, their order, and what each must carry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import groupby, pairwise
from typing import Any
from urllib.parse import quote, urlsplit

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.subjects import Call, JobHistory
from voicegauge.contract import MISSING, Operation, Target
from voicegauge.contract.extension import JobSpec
from voicegauge.formats import Location, escape
from voicegauge.model import Severity

CLOCK_SLACK_S = 1.0
"""Timestamps of different parts of one service may be rounded to seconds, each its own way."""


def _job(call: Call) -> JobSpec | None:
    """The job that a status answer tells of; `None` for any other answer."""
    return call.operation.job if call.ok else None


def _state(call: Call, job: JobSpec) -> str | None:
    value = call.read_response(job.state)
    return value if isinstance(value, str) else None


def _at(call: Call, *tokens: str) -> str:
    return "/".join([f"{call.operation.pointer}/x-job", *map(escape, tokens)])


@rule(
    "job-state-unknown",
    on=Call,
    proves="A job is only ever in a state that the document names.",
    basis="x-job.states",
)
def _state_unknown(call: Call) -> Iterator[Violation]:
    job = _job(call)
    if job is None:
        return
    state = call.read_response(job.state)
    if state is not MISSING and not (isinstance(state, str) and state in job.states):
        known = ", ".join(job.states)
        yield Violation(f"the state is {state!r:.80}; documented: {known}", _at(call, "states"), _pointer(job.state))


@rule(
    "job-completed-without-output",
    on=Call,
    proves="A job that has succeeded carries all that the document promises of it, the audio first.",
    basis="x-job.states.*.required of states that end in success",
)
def _completed_without_output(call: Call) -> Iterator[Violation]:
    yield from _carries(call, "success")


@rule(
    "job-failed-without-reason",
    on=Call,
    proves="A job that has failed says why.",
    basis="x-job.states.*.required of states that end in failure",
)
def _failed_without_reason(call: Call) -> Iterator[Violation]:
    yield from _carries(call, "failure")


def _carries(call: Call, end: str) -> Iterator[Violation]:
    job = _job(call)
    state = job.states.get(_state(call, job) or "") if job else None
    if job is None or state is None or state.end != end:
        return
    name = _state(call, job) or ""
    for place in state.required:
        value = call.read_response(place)
        if value is MISSING or value in (None, "", [], {}):
            seen = "is missing" if value is MISSING else f"is {value!r}"
            yield Violation(f"{name}, but {place} {seen}", _at(call, "states", name, "required"), _pointer(place))


@rule(
    "job-output-early",
    on=Call,
    proves="A job that has not ended carries no audio, but for the states that may carry a part of it.",
    basis="x-job.states.*.partial",
    severity=Severity.WARNING,
)
def _output_early(call: Call) -> Iterator[Violation]:
    job = _job(call)
    state = job.states.get(_state(call, job) or "") if job else None
    if job is None or state is None or state.end is not None or state.partial or job.result is not None:
        return
    place, name = job.audio.at, _state(call, job) or ""
    value = call.read_response(place)
    if value is not MISSING and value not in (None, "", [], {}):
        yield Violation(f"{name}, and {place} carries audio already", _at(call, "states", name), _pointer(place))


def _pointer(place: Location | None) -> str | None:
    return place.pointer or None if place is not None else None


@rule(
    "job-timestamps",
    on=Call,
    proves="The times that a status answer tells can be read and follow one another.",
    basis="x-job.created, x-job.updated, x-job.completed",
)
def _timestamps(call: Call) -> Iterator[Violation]:
    job = _job(call)
    if job is None:
        return
    times: dict[str, datetime] = {}
    for key in ("created", "updated", "completed"):
        value = call.read_response(getattr(job, key))
        if value is MISSING or value is None:
            continue
        moment = read_timestamp(value)
        if moment is None:
            yield Violation(f"{key} {value!r:.80} is no time", _at(call, key), _pointer(getattr(job, key)))
        else:
            times[key] = moment
    for first, second in (("created", "updated"), ("created", "completed")):
        if first in times and second in times:
            yield from _out_of_order(call, first, second, times)


def _out_of_order(call: Call, first: str, second: str, times: dict[str, datetime]) -> Iterator[Violation]:
    early = (times[first] - times[second]).total_seconds()
    if early > CLOCK_SLACK_S:
        message = f"{second} ({times[second]}) is {early:.1f} s before {first} ({times[first]})"
        yield Violation(message, _at(call, second), evidence=f"{first} {times[first]}, {second} {times[second]}")


def read_timestamp(value: Any) -> datetime | None:
    """The moment that an ISO 8601 text or a Unix time means; UTC where no zone is given.

    `None` where it is neither.
    """
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@rule(
    "job-transition-illegal",
    on=JobHistory,
    proves="A job moves only along the documented transitions; states between two polls may be missed.",
    basis="x-job.states.*.next",
)
def _transition_illegal(trail: JobHistory) -> Iterator[Violation]:
    job = trail.spec
    for (before, _), (after, call) in pairwise(_seen(trail)):
        ended = before in job.states and job.states[before].end is not None
        if after in job.states and before in job.states and not ended and after not in _reachable(job, before):
            at = f"{trail.status_operation.pointer}/x-job/states/{escape(before)}/next"
            known = ", ".join(job.states[before].next)
            message = f"went from {before} to {after}; documented after {before}: {known}"
            yield Violation(message, at, _pointer(job.state), exchange=call.exchange)


@rule(
    "job-terminal-changed",
    on=JobHistory,
    proves="A job that has ended stays as it ended, however often it is asked for.",
    basis="x-job.states.*.end",
)
def _terminal_changed(trail: JobHistory) -> Iterator[Violation]:
    job = trail.spec
    for (before, _), (after, call) in pairwise(_seen(trail)):
        state = job.states.get(before)
        if state is not None and state.end is not None and after != before:
            at = f"{trail.status_operation.pointer}/x-job/states/{escape(before)}/end"
            yield Violation(
                f"had ended as {before} and is {after} when asked again",
                at,
                _pointer(job.state),
                exchange=call.exchange,
            )


@rule(
    "job-cancel-ignored",
    on=JobHistory,
    proves="A job that had not ended when cancelling it was accepted ends as cancelled.",
    basis="x-job.cancel",
)
def _cancel_ignored(trail: JobHistory) -> Iterator[Violation]:
    job, after = trail.spec, trail.cancelled_after
    if job.cancel is None or after is None:
        return
    went_on = False
    for poll in trail.polls[after:]:
        state = _state(poll, job) if poll.ok else None
        known = job.states.get(state or "")
        if known is not None and known.end is None:
            went_on = True  # only then had it surely not ended before
        elif known is not None and went_on and state != job.cancel.state:
            at = f"{trail.status_operation.pointer}/x-job/cancel/state"
            message = f"was cancelled before it had ended, and ended as {state}, not as {job.cancel.state}"
            yield Violation(message, at, _pointer(job.state), exchange=poll.exchange)
            return


def _seen(trail: JobHistory) -> list[tuple[str, Call]]:
    """The states in the order seen, those that are no text left out."""
    job = trail.spec
    found = [(trail.submit.read_response(job.submit.state), trail.submit)]
    found += [(poll.read_response(job.state), poll) for poll in trail.polls if poll.ok]
    return [(state, call) for state, call in found if isinstance(state, str)]


@cache
def _reach(states: tuple[tuple[str, tuple[str, ...]], ...], start: str) -> frozenset[str]:
    following = dict(states)
    found, left = {start}, [start]
    while left:
        for name in following.get(left.pop(), ()):
            if name not in found:
                found.add(name)
                left.append(name)
    return frozenset(found)


def _reachable(job: JobSpec, start: str) -> frozenset[str]:
    """The states that `start` leads to, itself among them."""
    return _reach(tuple((name, state.next) for name, state in job.states.items()), start)


@rule(
    "job-stuck",
    on=JobHistory,
    proves="A job ends within the time that its document leads one to expect.",
    basis="x-job.poll.timeout_s",
)
def _stuck(trail: JobHistory) -> Iterator[Violation]:
    job = trail.spec
    if trail.timed_out:
        last = _seen(trail)[-1][0] if _seen(trail) else "no state"
        message = f"still {last} after {len(trail.polls)} polls, where {job.poll.timeout_s:g} s are allowed"
        yield Violation(message, f"{trail.status_operation.pointer}/x-job/poll")


@rule(
    "job-state-too-long",
    on=JobHistory,
    proves="A job stays in a state no longer than the document gives it.",
    basis="x-job.states.*.max_s",
)
def _state_too_long(trail: JobHistory) -> Iterator[Violation]:
    for name, same in groupby(trail.observations, key=lambda sighting: sighting.state):
        state, seen = trail.spec.states.get(name), list(same)
        # It was in this state from the first answer at the latest until the last question at the least.
        stayed_s = (seen[-1].requested_ms - seen[0].at_ms) / 1000
        if state is not None and state.end is None and state.max_s is not None and stayed_s > state.max_s:
            at = f"{trail.status_operation.pointer}/x-job/states/{escape(name)}/max_s"
            yield Violation(f"{name} for {stayed_s:.1f} s or more, where {state.max_s:g} s are allowed", at)


@rule(
    "job-charge-changed",
    on=JobHistory,
    proves="What a job was charged does not change once it has ended.",
    basis="x-job.charged",
)
def _charge_changed(trail: JobHistory) -> Iterator[Violation]:
    job = trail.spec
    ended = [poll for poll in trail.polls if poll.ok and _has_ended(job, _state(poll, job))]
    charges = [(charge, poll) for poll in ended if (charge := poll.read_response(job.charged)) not in (MISSING, None)]
    for (before, _), (after, poll) in pairwise(charges):
        if after != before:
            at = f"{trail.status_operation.pointer}/x-job/charged"
            message = f"charged {before!r:.40} when it had ended, and {after!r:.40} when asked again"
            yield Violation(message, at, _pointer(job.charged), exchange=poll.exchange)
            return


def _has_ended(job: JobSpec, name: str | None) -> bool:
    state = job.states.get(name or "")
    return state is not None and state.end is not None


@rule(
    "job-id-changed",
    on=JobHistory,
    proves="A status answer tells of the job that was asked for.",
    basis="x-job.submit.id, x-job.id",
)
def _id_changed(trail: JobHistory) -> Iterator[Violation]:
    job = trail.spec
    given = trail.submit.read_response(job.submit.id)
    if job.id is None or given is MISSING:
        return
    for poll in trail.polls:
        told = poll.read_response(job.id)
        if poll.ok and told is not MISSING and told != given:
            at = f"{trail.status_operation.pointer}/x-job/id"
            yield Violation(
                f"asked for job {given!r:.80}, told of {told!r:.80}",
                at,
                _pointer(job.id),
                exchange=poll.exchange,
            )
            return


@rule(
    "job-created-changed",
    on=JobHistory,
    proves="The time at which a job was created does not change.",
    basis="x-job.created",
)
def _created_changed(trail: JobHistory) -> Iterator[Violation]:
    job = trail.spec
    if job.created is None:
        return
    moments = [
        (moment, poll)
        for poll in trail.polls
        if poll.ok and (moment := read_timestamp(poll.read_response(job.created))) is not None
    ]
    for (before, _), (after, poll) in pairwise(moments):
        if abs((after - before).total_seconds()) > CLOCK_SLACK_S:
            at = f"{trail.status_operation.pointer}/x-job/created"
            yield Violation(
                f"created changed from {before} to {after}", at, _pointer(job.created), exchange=poll.exchange
            )
            return


@rule(
    "job-polling-url",
    on=Call,
    proves="The polling URL that a submit names leads to the status of this job, on a host of the contract.",
    basis="x-job.submit.url",
)
def _polling_url(call: Call) -> Iterator[Violation]:
    status = _status_operation(call)
    if status is None or status.job is None or status.job.submit.url is None or not call.ok:
        return
    url = call.read_response(status.job.submit.url)
    if url is MISSING or url is None:
        return
    at = f"{status.pointer}/x-job/submit/url"
    wrong = _wrong_url(call, status, status.job.submit.id, str(url))
    if wrong:
        yield Violation(f"{url!r:.200} {wrong}", at, _pointer(status.job.submit.url), evidence=str(url))


def _wrong_url(call: Call, status: Operation, id_place: Location, url: str) -> str | None:
    path = _path_below_a_base(call, status, url)
    if path is None:
        return f"is not below {status.server.url}"
    parameters = status.match(path)
    job_id = call.read_response(id_place)
    if parameters is None:
        return f"does not lead to {status.method} {status.path}"
    if parameters and isinstance(job_id, str) and quote(job_id, safe="") not in map(_requote, parameters.values()):
        return f"does not name the job {job_id!r:.80}"
    return None


def _requote(text: str) -> str:
    return text if re.search("%[0-9A-Fa-f]{2}", text) else quote(text, safe="")


def _path_below_a_base(call: Call, status: Operation, url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    for base in (status.server.url, call.base_url):
        if base is None:
            continue
        known = urlsplit(base)
        prefix = known.path.rstrip("/")
        same_host = (parts.scheme, parts.netloc.lower()) == (known.scheme, known.netloc.lower())
        if same_host and parts.path.startswith(f"{prefix}/"):
            return parts.path[len(prefix) :]
    return None


def _status_operation(call: Call) -> Operation | None:
    target: Target | None = call.target
    name = target.response.job if target else call.operation.speech.response.job if call.operation.speech else None
    return call.contract.operations.get(name) if name else None
