"""Rules about the states, transitions, timestamps and results of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import groupby, pairwise
from typing import Any
from urllib.parse import unquote, urlsplit

from voicegauge.checks.registry import Violation, register_rule
from voicegauge.checks.subjects import Call, JobHistory
from voicegauge.contract import MISSING, Operation
from voicegauge.contract.extension import JobSpec, JobState
from voicegauge.formats import Location, escape_pointer_token
from voicegauge.model import Severity

MAX_UNIX_TIME_S = 1e11
"""Largest Unix time that is read as seconds; larger numbers are read as milliseconds. As seconds, this value is in the
year 5138, as milliseconds, in 1973."""
JOB_TIMESTAMP_TOLERANCE_S = 1.0
"""Tolerance in seconds when timestamps are compared. They may be rounded to whole seconds, so the timestamps of one
moment can differ by up to a second."""


def _find_job_operation(call: Call) -> Operation:
    """Return the operation whose `x-job` describes the job in the response to `call`.

    That is the operation of the call, or the status operation for a submit that can wait for the end of the job.
    """
    speech = call.operation.speech
    if (
        speech is not None
        and speech.response.wait_preference is not None
        and speech.response.status_operation_id is not None
    ):
        return call.contract.find_operation(speech.response.status_operation_id)
    return call.operation


def _find_job_spec(call: Call) -> JobSpec | None:
    """Return the contract's description of the job in the response to `call`.

    Return `None` if the response is not 2xx, or if the contract describes no job in it.
    """
    return _find_job_operation(call).job if call.is_accepted else None


def _read_reported_state(call: Call, job_spec: JobSpec) -> str | None:
    value = call.read_response_value(job_spec.state_location)
    return value if isinstance(value, str) else None


def _find_state_spec(job_spec: JobSpec, state_name: str | None) -> JobState | None:
    """Return the documented state with the name `state_name`; `None` if there is none."""
    return None if state_name is None else job_spec.states.get(state_name)


def _build_job_pointer(call: Call, *pointer_tokens: str) -> str:
    return "/".join([f"{_find_job_operation(call).pointer}/x-job", *map(escape_pointer_token, pointer_tokens)])


@register_rule(
    "job-state-unknown",
    subject_class=Call,
    description="Every state of a job is documented.",
    contract_condition="x-job.states",
)
def _check_job_state_unknown(call: Call) -> Iterator[Violation]:
    job = _find_job_spec(call)
    if job is None:
        return
    state = call.read_response_value(job.state_location)
    if state is not MISSING and not (isinstance(state, str) and state in job.states):
        known = ", ".join(job.states)
        yield Violation(
            f"the state is {state!r:.80}; documented: {known}",
            _build_job_pointer(call, "states"),
            _get_body_pointer(job.state_location),
        )


@register_rule(
    "job-completed-without-output",
    subject_class=Call,
    description="A successful job has everything that the document promises, above all the audio.",
    contract_condition="x-job.states.*.required",
)
def _check_job_completed_without_output(call: Call) -> Iterator[Violation]:
    yield from _check_values_required_at_end(call, "success")


@register_rule(
    "job-failed-without-reason",
    subject_class=Call,
    description="A failed job has a reason.",
    contract_condition="x-job.states.*.required",
)
def _check_job_failed_without_reason(call: Call) -> Iterator[Violation]:
    yield from _check_values_required_at_end(call, "failure")


def _check_values_required_at_end(call: Call, terminal_outcome: str) -> Iterator[Violation]:
    job = _find_job_spec(call)
    if job is None:
        return
    name = _read_reported_state(call, job)
    state = _find_state_spec(job, name)
    if name is None or state is None or state.terminal_outcome != terminal_outcome:
        return
    for location in state.required_locations:
        value = call.read_response_value(location)
        if value is MISSING or value in (None, "", [], {}):
            seen = "is missing" if value is MISSING else f"is {value!r}"
            yield Violation(
                f"{name}, but {location} {seen}",
                _build_job_pointer(call, "states", name, "required"),
                _get_body_pointer(location),
            )


@register_rule(
    "job-output-early",
    subject_class=Call,
    description="A job has no audio before it ends, except in states documented as partial.",
    contract_condition="x-job.audio",
    severity=Severity.WARNING,
)
def _check_job_output_early(call: Call) -> Iterator[Violation]:
    job = _find_job_spec(call)
    if job is None or job.result_operation_id is not None or job.audio is None:
        return
    if call.operation.speech is not None and call.target is None:
        return  # a job of another model, such as one for images, whose output the contract does not describe
    location, name = job.audio.location, _read_reported_state(call, job)
    state = _find_state_spec(job, name)
    if name is None or state is None or state.terminal_outcome is not None or state.may_have_partial_audio:
        return
    value = call.read_response_value(location)
    if value is not MISSING and value not in (None, "", [], {}):
        yield Violation(
            f"{name}, but {location} has audio already",
            _build_job_pointer(call, "states", name),
            _get_body_pointer(location),
        )


def _get_body_pointer(location: Location | None) -> str | None:
    return location.json_pointer or None if location is not None else None


@register_rule(
    "job-timestamps",
    subject_class=Call,
    description="The timestamps of a status response are valid and in order.",
    contract_condition="x-job.created, x-job.updated, x-job.completed",
)
def _check_job_timestamps(call: Call) -> Iterator[Violation]:
    job = _find_job_spec(call)
    if job is None:
        return
    times: dict[str, datetime] = {}
    for key in ("created", "updated", "completed"):
        value = call.read_response_value(job.get_by_key(key))
        if value is MISSING or value is None:
            continue
        moment = parse_timestamp(value)
        if moment is None:
            yield Violation(
                f"{key} {value!r:.80} is not a valid time",
                _build_job_pointer(call, key),
                _get_body_pointer(job.get_by_key(key)),
            )
        else:
            times[key] = moment
    for first, second in (("created", "updated"), ("created", "completed")):
        if first in times and second in times:
            yield from _check_timestamp_order(call, first, second, times)


def _check_timestamp_order(
    call: Call, earlier_name: str, later_name: str, time_by_name: dict[str, datetime]
) -> Iterator[Violation]:
    early = (time_by_name[earlier_name] - time_by_name[later_name]).total_seconds()
    if early > JOB_TIMESTAMP_TOLERANCE_S:
        message = (
            f"{later_name} ({time_by_name[later_name]}) is {early:.1f} s before {earlier_name} "
            f"({time_by_name[earlier_name]})"
        )
        yield Violation(
            message,
            _build_job_pointer(call, later_name),
            evidence=f"{earlier_name} {time_by_name[earlier_name]}, {later_name} {time_by_name[later_name]}",
        )


def parse_timestamp(value: Any) -> datetime | None:
    """Parse a timestamp in a response, which is an ISO 8601 text or a Unix time; `None` if `value` is neither.

    A text without a time zone is read as UTC.
    """
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > MAX_UNIX_TIME_S else value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@register_rule(
    "job-transition-illegal",
    subject_class=JobHistory,
    description="A job follows the documented transitions; states between two polls may be missed.",
    contract_condition="x-job.states.*.next",
)
def _check_job_transition_undocumented(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    for (before, _), (after, call) in pairwise(_list_observed_states(job_history)):
        ended = before in job.states and job.states[before].terminal_outcome is not None
        if (
            after in job.states
            and before in job.states
            and not ended
            and after not in _find_reachable_states(job, before)
        ):
            at = f"{job_history.status_operation.pointer}/x-job/states/{escape_pointer_token(before)}/next"
            known = ", ".join(job.states[before].successor_names)
            message = f"went from {before} to {after}; documented after {before}: {known}"
            yield Violation(message, at, _get_body_pointer(job.state_location), exchange=call.exchange)


@register_rule(
    "job-terminal-changed",
    subject_class=JobHistory,
    description="A job stays in its terminal state, however often it is polled.",
    contract_condition="x-job.states.*.end",
)
def _check_job_left_terminal_state(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    for (before, _), (after, call) in pairwise(_list_observed_states(job_history)):
        state = job.states.get(before)
        if state is not None and state.terminal_outcome is not None and after != before:
            at = f"{job_history.status_operation.pointer}/x-job/states/{escape_pointer_token(before)}/end"
            yield Violation(
                f"had ended as {before}, but is {after} when polled again",
                at,
                _get_body_pointer(job.state_location),
                exchange=call.exchange,
            )


@register_rule(
    "job-cancel-ignored",
    subject_class=JobHistory,
    description="A job whose cancellation was accepted before its end ends as cancelled.",
    contract_condition="x-job.cancel",
)
def _check_job_cancel_ignored(job_history: JobHistory) -> Iterator[Violation]:
    job, after = job_history.job_spec, job_history.poll_count_before_cancel
    if job.cancellation is None or after is None:
        return
    continued = False
    for poll in job_history.polls[after:]:
        state = _read_reported_state(poll, job) if poll.is_accepted else None
        known = _find_state_spec(job, state)
        if known is not None and known.terminal_outcome is None:
            continued = True  # only then is it certain that the job had not ended before the cancellation
        elif known is not None and continued and state != job.cancellation.resulting_state:
            at = f"{job_history.status_operation.pointer}/x-job/cancel/state"
            message = f"was cancelled before its end, but ended as {state}, not as {job.cancellation.resulting_state}"
            yield Violation(message, at, _get_body_pointer(job.state_location), exchange=poll.exchange)
            return


def _list_observed_states(job_history: JobHistory) -> list[tuple[str, Call]]:
    """Return the name of each observed state with the call that reported it, in order of the calls.

    States that are not texts are left out.
    """
    job = job_history.job_spec
    found = [(job_history.submit_call.read_response_value(job.submit_response.state_location), job_history.submit_call)]
    found += [(poll.read_response_value(job.state_location), poll) for poll in job_history.polls if poll.is_accepted]
    return [(state, call) for state, call in found if isinstance(state, str)]


@cache
def _find_following_states(transitions: tuple[tuple[str, tuple[str, ...]], ...], start_state: str) -> frozenset[str]:
    following = dict(transitions)
    found, left = {start_state}, [start_state]
    while left:
        for name in following[left.pop()]:
            if name not in found:
                found.add(name)
                left.append(name)
    return frozenset(found)


def _find_reachable_states(job_spec: JobSpec, start_state: str) -> frozenset[str]:
    """Return the states that can follow `start_state` directly or indirectly, including `start_state`."""
    return _find_following_states(
        tuple((name, state.successor_names) for name, state in job_spec.states.items()), start_state
    )


@register_rule(
    "job-stuck",
    subject_class=JobHistory,
    description="A job ends within the documented time.",
    contract_condition="x-job.poll.timeout_s",
)
def _check_job_stuck(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    if job_history.is_timed_out:
        last = _list_observed_states(job_history)[-1][0] if _list_observed_states(job_history) else "no state"
        timeout_s = job.poll_schedule.job_timeout_s
        message = f"still {last} after {len(job_history.polls)} polls and the documented {timeout_s:g} s"
        yield Violation(message, f"{job_history.status_operation.pointer}/x-job/poll")


@register_rule(
    "job-state-too-long",
    subject_class=JobHistory,
    description="A job stays in a state no longer than documented.",
    contract_condition="x-job.states.*.max_s",
)
def _check_job_state_too_long(job_history: JobHistory) -> Iterator[Violation]:
    for name, same in groupby(job_history.state_observations, key=lambda sighting: sighting.state):
        state, seen = job_history.job_spec.states.get(name), list(same)
        # A lower bound, because the state was seen in the first response, and still after the last request was sent.
        duration_s = (seen[-1].requested_ms - seen[0].response_began_ms) / 1000
        if (
            state is not None
            and state.terminal_outcome is None
            and state.max_duration_s is not None
            and duration_s > state.max_duration_s
        ):
            at = f"{job_history.status_operation.pointer}/x-job/states/{escape_pointer_token(name)}/max_s"
            yield Violation(
                f"{name} for at least {duration_s:.1f} s; at most {state.max_duration_s:g} s are documented", at
            )


@register_rule(
    "job-charge-changed",
    subject_class=JobHistory,
    description="The charge for a job does not change after its end.",
    contract_condition="x-job.charged",
)
def _check_job_charge_changed(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    ended = [
        poll
        for poll in job_history.polls
        if poll.is_accepted and _is_terminal_state(job, _read_reported_state(poll, job))
    ]
    charges = [
        (charge, poll)
        for poll in ended
        if (charge := poll.read_response_value(job.charge_location)) not in (MISSING, None)
    ]
    for (before, _), (after, poll) in pairwise(charges):
        if after != before:
            at = f"{job_history.status_operation.pointer}/x-job/charged"
            message = f"charged {before!r:.40} at its end, but {after!r:.40} when polled again"
            yield Violation(message, at, _get_body_pointer(job.charge_location), exchange=poll.exchange)
            return


def _is_terminal_state(job_spec: JobSpec, state_name: str | None) -> bool:
    state = _find_state_spec(job_spec, state_name)
    return state is not None and state.terminal_outcome is not None


@register_rule(
    "job-id-changed",
    subject_class=JobHistory,
    description="A status response is about the requested job.",
    contract_condition="x-job.submit.id and x-job.id",
)
def _check_job_id_changed(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    given = job_history.submit_call.read_response_value(job.submit_response.job_id_location)
    if job.job_id_location is None or given is MISSING:
        return
    for poll in job_history.polls:
        reported = poll.read_response_value(job.job_id_location)
        if poll.is_accepted and reported is not MISSING and reported != given:
            at = f"{job_history.status_operation.pointer}/x-job/id"
            yield Violation(
                f"requested job {given!r:.80}, but the response is about {reported!r:.80}",
                at,
                _get_body_pointer(job.job_id_location),
                exchange=poll.exchange,
            )
            return


@register_rule(
    "job-model-wrong",
    subject_class=JobHistory,
    description="A status response names the requested model.",
    contract_condition="x-job.model",
)
def _check_job_model_wrong(job_history: JobHistory) -> Iterator[Violation]:
    location = job_history.job_spec.model_name_location
    requested = job_history.target.target_spec.response_model_name if job_history.target is not None else None
    if location is None or requested is None:
        return
    for poll in job_history.polls:
        reported = poll.read_response_value(location)
        # A job that is not assigned to a model yet may report null. The schema decides whether that is allowed.
        if poll.is_accepted and reported is not MISSING and reported is not None and reported != requested:
            yield Violation(
                f"requested the model {requested!r:.80}, but the response names {reported!r:.80}",
                f"{job_history.status_operation.pointer}/x-job/model",
                _get_body_pointer(location),
                exchange=poll.exchange,
            )
            return


@register_rule(
    "job-created-changed",
    subject_class=JobHistory,
    description="The creation time of a job does not change.",
    contract_condition="x-job.created",
)
def _check_job_creation_time_changed(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    if job.creation_time_location is None:
        return
    moments = [
        (moment, poll)
        for poll in job_history.polls
        if poll.is_accepted
        and (moment := parse_timestamp(poll.read_response_value(job.creation_time_location))) is not None
    ]
    for (before, _), (after, poll) in pairwise(moments):
        if abs((after - before).total_seconds()) > JOB_TIMESTAMP_TOLERANCE_S:
            at = f"{job_history.status_operation.pointer}/x-job/created"
            yield Violation(
                f"created changed from {before} to {after}",
                at,
                _get_body_pointer(job.creation_time_location),
                exchange=poll.exchange,
            )
            return


@register_rule(
    "job-polling-url",
    subject_class=Call,
    description="The polling URL in a response leads to the status of this job, at a documented server.",
    contract_condition="x-job.submit.url",
)
def _check_job_polling_url(call: Call) -> Iterator[Violation]:
    status_operation = _find_status_operation(call)
    if status_operation is None or not call.is_accepted:
        return
    assert status_operation.job is not None
    if status_operation.job.submit_response.polling_url_location is None:
        return
    url = call.read_response_value(status_operation.job.submit_response.polling_url_location)
    if url is MISSING or url is None:
        return
    at = f"{status_operation.pointer}/x-job/submit/url"
    error = _explain_unusable_polling_url(
        call, status_operation, status_operation.job.submit_response.job_id_location, str(url)
    )
    if error:
        yield Violation(
            f"{url!r:.200} {error}",
            at,
            _get_body_pointer(status_operation.job.submit_response.polling_url_location),
            evidence=str(url),
        )


def _explain_unusable_polling_url(
    call: Call, status_operation: Operation, id_location: Location, url: str
) -> str | None:
    path = _get_path_below_base_url(call, status_operation, url)
    if path is None:
        return f"is not below {status_operation.server.url}"
    parameters = status_operation.match_path(path)
    job_id = call.read_response_value(id_location)
    if parameters is None:
        return f"does not lead to {status_operation.method} {status_operation.path}"
    if (
        parameters
        and isinstance(job_id, str)
        and not any(job_id in (value, unquote(value)) for value in parameters.values())
    ):
        return f"does not name the job {job_id!r:.80}"
    return None


def _get_path_below_base_url(call: Call, status_operation: Operation, url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    for base in filter(None, (status_operation.server.url, call.base_url)):
        known = urlsplit(base)
        prefix = known.path
        same_host = (parts.scheme, parts.netloc.lower()) == (known.scheme, known.netloc.lower())
        if same_host and parts.path.startswith(f"{prefix}/"):
            return parts.path[len(prefix) :]
    return None


def _find_status_operation(call: Call) -> Operation | None:
    return call.operation.started_job_operation
