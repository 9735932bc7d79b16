"""Rules about jobs: single responses that start one or report its state, all of one in order, and several at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import combinations, groupby, pairwise
from urllib.parse import unquote, urlsplit

from voicegauge.contract.extension.jobs import JobSpec, JobState
from voicegauge.contract.operation import Operation
from voicegauge.formats.bodies import parse_timestamp
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import Severity
from voicegauge.rules.call import Call
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.subjects import ConcurrentJobs, JobHistory

_TIMESTAMP_TOLERANCE_S = 1.0
"""Tolerance in seconds when timestamps are compared. They may be rounded to whole seconds, so the timestamps of one
moment can differ by up to a second."""


def _find_job_operation(call: Call) -> Operation:
    """Return the operation whose `x-job` describes the job in the response to `call`."""
    # A submit that can wait for the end of the job has the response of the status operation.
    response = call.operation.speech.response if call.operation.speech is not None else None
    if response is not None and response.wait_preference is not None and response.status_operation_id is not None:
        return call.contract.find_operation(response.status_operation_id)
    return call.operation


def _find_job_spec(call: Call) -> JobSpec | None:
    """Return what the contract says about the job that a 2xx response to `call` reports; `None` if it says nothing."""
    return _find_job_operation(call).job if call.is_accepted else None


def _read_reported_state(call: Call, job_spec: JobSpec) -> str | None:
    value = job_spec.read_state(call.read_response_value)
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
    explanation=Explanation(
        consequence="A client that waits for documented states neither continues nor gives up.",
        conforming_example="Documented: queued, running, done, failed. Response: running",
        violating_example="Documented: queued, running, done, failed. Response: warming_up",
    ),
    shown_by=(FaultExample("unknown-status", also_found_by=("response-schema",)),),
)
def _check_job_state_unknown(call: Call) -> Iterator[Violation]:
    job = _find_job_spec(call)
    if job is None:
        return
    state = job.read_state(call.read_response_value)
    if state is not MISSING and not (isinstance(state, str) and state in job.states):
        message = f"the state is {state!r:.80}; documented: {', '.join(job.states)}"
        yield Violation(message, _build_job_pointer(call, "states"), _get_body_pointer(job.state_location))


@register_rule(
    "job-completed-without-output",
    subject_class=Call,
    description="A successful job has everything that the document promises, above all the audio.",
    contract_condition="x-job.states.*.required_locations",
    explanation=Explanation(
        consequence="The job is charged and reported as a success, but there is nothing to play.",
        conforming_example='{"status": "done", "audio_url": "https://..."}',
        violating_example='{"status": "done", "audio_url": null}',
    ),
    shown_by=(FaultExample("completed-without-output", also_found_by=("audio-missing", "response-schema")),),
)
def _check_job_completed_without_output(call: Call) -> Iterator[Violation]:
    yield from _check_values_required_at_end(call, "success")


@register_rule(
    "job-failed-without-reason",
    subject_class=Call,
    description="A failed job has a reason.",
    contract_condition="x-job.states.*.required_locations",
    explanation=Explanation(
        consequence="Nobody can tell whether to change the request, to retry, or to pay.",
        conforming_example='{"status": "failed", "error": "text too long"}',
        violating_example='{"status": "failed"}',
    ),
    shown_by=(
        FaultExample("failed-without-reason", target_id="pixazo/chatterbox", also_found_by=("response-schema",)),
    ),
)
def _check_job_failed_without_reason(call: Call) -> Iterator[Violation]:
    yield from _check_values_required_at_end(call, "failure")


def _check_values_required_at_end(call: Call, terminal_outcome: str) -> Iterator[Violation]:
    """Yield a violation for each value that the reported final state requires and the response lacks."""
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
            pointer = _build_job_pointer(call, "states", name, "required_locations")
            yield Violation(f"{name}, but {location} {seen}", pointer, _get_body_pointer(location))


@register_rule(
    "job-output-early",
    subject_class=Call,
    description="A job has no audio before it ends, except in states documented as partial.",
    contract_condition="x-job.audio",
    severity=Severity.WARNING,
    explanation=Explanation(
        consequence="A client that takes the audio when it appears may get an unfinished file.",
        conforming_example='{"status": "running", "audio_url": null}',
        violating_example='{"status": "running", "audio_url": "https://..."}',
    ),
    unshown_reason="The emulator has no output before a job ends, with every fault.",
)
def _check_job_output_early(call: Call) -> Iterator[Violation]:
    job = _find_job_spec(call)
    if job is None or job.result_operation_id is not None or job.audio is None:
        return  # the audio is in the response of another operation
    if call.operation.speech is not None and call.target is None:
        return  # a job of another model, such as one for images, whose output the contract does not describe
    location, name = job.audio.location, _read_reported_state(call, job)
    state = _find_state_spec(job, name)
    if name is None or state is None or state.terminal_outcome is not None or state.may_have_partial_audio:
        return
    value = call.read_response_value(location)
    if value is not MISSING and value not in (None, "", [], {}):
        pointer = _build_job_pointer(call, "states", name)
        yield Violation(f"{name}, but {location} has audio already", pointer, _get_body_pointer(location))


def _get_body_pointer(location: Location | None) -> str | None:
    return location.json_pointer or None if location is not None else None


@register_rule(
    "job-timestamps",
    subject_class=Call,
    description="The timestamps of a status response are valid and in order.",
    contract_condition="x-job.creation_time_location, x-job.update_time_location, x-job.end_time_location",
    explanation=Explanation(
        consequence="Durations computed from them are negative or wrong.",
        conforming_example="created 10:00:00, completed 10:00:07",
        violating_example="created 10:00:09, completed 10:00:07",
    ),
    shown_by=(FaultExample("bad-timestamps"),),
)
def _check_job_timestamps(call: Call) -> Iterator[Violation]:
    job = _find_job_spec(call)
    if job is None:
        return
    times: dict[str, datetime] = {}
    for name in ("creation_time_location", "update_time_location", "end_time_location"):
        location = getattr(job, name)
        value = call.read_response_value(location)
        if value is MISSING or value is None:
            continue
        moment = parse_timestamp(value)
        if moment is None:
            message = f"the {_describe_time_at_location(name)} {value!r:.80} is not a valid time"
            yield Violation(message, _build_job_pointer(call, name), _get_body_pointer(location))
        else:
            times[name] = moment
    for name in ("update_time_location", "end_time_location"):
        if "creation_time_location" not in times or name not in times:
            continue
        early_s = (times["creation_time_location"] - times[name]).total_seconds()
        if early_s > _TIMESTAMP_TOLERANCE_S:
            earlier = f"creation time {times['creation_time_location']}"
            later = f"{_describe_time_at_location(name)} {times[name]}"
            message = f"the {later} is {early_s:.1f} s before the {earlier}"
            yield Violation(message, _build_job_pointer(call, name), evidence=f"{earlier}, {later}")


def _describe_time_at_location(location_name: str) -> str:
    """Return the words for the time at a location of `x-job`: "creation time" for `creation_time_location`."""
    return location_name.removesuffix("_location").replace("_", " ")


@register_rule(
    "job-polling-url",
    subject_class=Call,
    description="The polling URL in a response leads to the status of this job, at a documented server.",
    contract_condition="x-job.submit_response.polling_url_location",
    explanation=Explanation(
        consequence="A client that follows the URL watches another job, or sends its key to another host.",
        conforming_example='Submit returns {"id": "a1", "status_url": "https://api.acme.test/jobs/a1"}',
        violating_example='Submit returns {"id": "a1", "status_url": "https://api.acme.test/jobs/b7"}',
    ),
    shown_by=(FaultExample("wrong-polling-url"),),
)
def _check_job_polling_url(call: Call) -> Iterator[Violation]:
    status_operation = call.operation.started_job_operation
    if status_operation is None or not call.is_accepted:
        return
    assert status_operation.job is not None
    submit_response = status_operation.job.submit_response
    location, url = submit_response.polling_url_location, call.read_response_value(submit_response.polling_url_location)
    if url is MISSING or url is None:
        return
    error = _explain_unusable_polling_url(call, status_operation, submit_response.job_id_location, str(url))
    if error:
        at = f"{status_operation.pointer}/x-job/submit_response/polling_url_location"
        yield Violation(f"{url!r:.200} {error}", at, _get_body_pointer(location), evidence=str(url))


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
    """Return the path of a URL below the base URL of the provider; `None` if the URL is elsewhere."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    # A stand-in, or a server of one's own, names its own URL, which is that to which the submit was sent.
    for base in filter(None, (status_operation.server.url, call.base_url)):
        known = urlsplit(base)
        is_same_host = (parts.scheme, parts.netloc.lower()) == (known.scheme, known.netloc.lower())
        if is_same_host and parts.path.startswith(f"{known.path}/"):
            return parts.path[len(known.path) :]
    return None


# Rules about the transitions, the end and the identity of one job.


@register_rule(
    "job-transition-illegal",
    subject_class=JobHistory,
    description="A job follows the documented transitions; states between two polls may be missed.",
    contract_condition="x-job.states.*.successor_names",
    explanation=Explanation(
        consequence="Progress goes backwards, and a client with a state machine fails.",
        conforming_example=(
            "Documented: queued, then running, then done. Seen: queued, done (running was missed between two polls)"
        ),
        violating_example="Documented: queued, then running, then done. Seen: running, queued, done",
    ),
    shown_by=(FaultExample("backwards-transition"),),
)
def _check_job_transition_undocumented(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    for (before, _), (after, call) in pairwise(_list_observed_states(job_history)):
        state = job.states.get(before)
        if state is None or state.terminal_outcome is not None or after not in job.states:
            continue  # reported by job-terminal-changed or job-state-unknown
        if after not in _find_reachable_states(job, before):
            message = f"went from {before} to {after}; documented after {before}: {', '.join(state.successor_names)}"
            keys = ("states", before, "successor_names")
            yield _build_response_violation(job_history, call, message, *keys, location=job.state_location)


@register_rule(
    "job-terminal-changed",
    subject_class=JobHistory,
    description="A job stays in its terminal state, however often it is polled.",
    contract_condition="x-job.states.*.terminal_outcome",
    explanation=Explanation(
        consequence="A client stops polling at the end, and acts on a result that is withdrawn later.",
        conforming_example="done, and done again in the next poll",
        violating_example="done, and failed in the next poll",
    ),
    shown_by=(FaultExample("terminal-flip"), FaultExample("failure-undone")),
)
def _check_job_left_terminal_state(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    for (before, _), (after, call) in pairwise(_list_observed_states(job_history)):
        state = job.states.get(before)
        if state is not None and state.terminal_outcome is not None and after != before:
            message = f"had ended as {before}, but is {after} when polled again"
            keys = ("states", before, "terminal_outcome")
            yield _build_response_violation(job_history, call, message, *keys, location=job.state_location)


@register_rule(
    "job-cancel-ignored",
    subject_class=JobHistory,
    description="A job whose cancellation was accepted before its end ends as cancelled.",
    contract_condition="x-job.cancellation",
    explanation=Explanation(
        consequence="The user pays for work that was cancelled.",
        conforming_example="The cancellation is accepted, and the job ends as cancelled.",
        violating_example="The cancellation is accepted, and the job ends as done.",
    ),
    shown_by=(FaultExample("ignores-cancelling", found_in="job-sequence"),),
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
            message = f"was cancelled before its end, but ended as {state}, not as {job.cancellation.resulting_state}"
            keys = ("cancellation", "resulting_state")
            yield _build_response_violation(job_history, poll, message, *keys, location=job.state_location)
            return


def _list_observed_states(job_history: JobHistory) -> list[tuple[str, Call]]:
    """Return each reported state that is a text, with the call that reported it, in the order of the calls."""
    job = job_history.job_spec
    found = [(job.read_submit_state(job_history.submit_call.read_response_value), job_history.submit_call)]
    found += [(job.read_state(poll.read_response_value), poll) for poll in job_history.polls if poll.is_accepted]
    return [(state, call) for state, call in found if isinstance(state, str)]


def _find_reachable_states(job_spec: JobSpec, start_state: str) -> set[str]:
    """Return the states that can follow `start_state` directly or indirectly, including `start_state`."""
    # Indirectly, because a client sees the job only when it polls, and states between two polls stay unseen.
    found, left = {start_state}, [start_state]
    while left:
        following = set(job_spec.states[left.pop()].successor_names) - found
        found |= following
        left += following
    return found


def _build_response_violation(
    job_history: JobHistory, call: Call, message: str, *keys: str, location: Location | None
) -> Violation:
    """Return the violation of the `x-job` at `keys` by the response to `call`, at `location` if it is not `None`."""
    pointer = "/".join([f"{job_history.status_operation.pointer}/x-job", *map(escape_pointer_token, keys)])
    return Violation(message, pointer, _get_body_pointer(location), exchange=call.exchange)


@register_rule(
    "job-stuck",
    subject_class=JobHistory,
    description="A job ends within the documented time; without one, a job that takes very long is a warning.",
    contract_condition="x-job.poll_schedule.job_timeout_s",
    explanation=Explanation(
        consequence="A client that waits as long as documented gives up on a job that was paid for.",
        conforming_example="job_timeout_s: 120. done after 8 s",
        violating_example="job_timeout_s: 120. still running after 120 s",
    ),
    shown_by=(FaultExample("stuck-job"),),
)
def _check_job_stuck(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    if job_history.is_timed_out:
        last = next((state for state, _ in reversed(_list_observed_states(job_history))), "no state")
        timeout_s = job.poll_schedule.job_timeout_s
        is_documented = job_history.status_operation.is_job_timeout_documented
        limit = f"the documented {timeout_s:g} s" if is_documented else f"{timeout_s:g} s; no document states a limit"
        yield Violation(
            f"still {last} after {len(job_history.polls)} polls and {limit}",
            f"{job_history.status_operation.pointer}/x-job/poll_schedule",
            is_warning=not is_documented,
        )


@register_rule(
    "job-state-too-long",
    subject_class=JobHistory,
    description="A job stays in a state no longer than documented.",
    contract_condition="x-job.states.*.max_duration_s",
    explanation=Explanation(
        consequence="Time limits and progress displays of clients follow the documented duration.",
        conforming_example="queued at most 60 s. Seen: 12 s",
        violating_example="queued at most 60 s. Seen: 95 s",
    ),
    unshown_reason="No bundled contract states how long a state may last.",
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
            at = f"{job_history.status_operation.pointer}/x-job/states/{escape_pointer_token(name)}/max_duration_s"
            yield Violation(
                f"{name} for at least {duration_s:.1f} s; at most {state.max_duration_s:g} s are documented", at
            )


@register_rule(
    "job-charge-changed",
    subject_class=JobHistory,
    description="The charge for a job does not change after its end.",
    contract_condition="x-job.charge_location",
    explanation=Explanation(
        consequence="What was booked at the end of the job is not what is charged.",
        conforming_example="cost 0.01 in each poll after the end",
        violating_example="cost 0.01 in the first poll after the end, 0.02 in the next",
    ),
    unshown_reason="The emulator charges every job once, with every fault.",
)
def _check_job_charge_changed(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    ended = [
        poll
        for poll in job_history.polls
        if poll.is_accepted
        and (state := _find_state_spec(job, _read_reported_state(poll, job))) is not None
        and state.terminal_outcome is not None
    ]
    charges = [
        (charge, poll)
        for poll in ended
        if (charge := poll.read_response_value(job.charge_location)) not in (MISSING, None)
    ]
    for (before, _), (after, poll) in pairwise(charges):
        if after != before:
            message = f"charged {before!r:.40} at its end, but {after!r:.40} when polled again"
            yield _build_response_violation(job_history, poll, message, "charge_location", location=job.charge_location)
            return


@register_rule(
    "job-id-changed",
    subject_class=JobHistory,
    description="A status response is about the requested job.",
    contract_condition="x-job.submit_response.job_id_location and x-job.job_id_location",
    explanation=Explanation(
        consequence="The client attributes the state and the audio of another job to its own.",
        conforming_example='GET /jobs/a1 returns {"id": "a1"}',
        violating_example='GET /jobs/a1 returns {"id": "b7"}',
    ),
    shown_by=(
        FaultExample("id-changed"),
        FaultExample("crosstalk", target_id="pixazo/chatterbox", found_in="job-sequence"),
    ),
)
def _check_job_id_changed(job_history: JobHistory) -> Iterator[Violation]:
    job = job_history.job_spec
    given = job_history.submit_call.read_response_value(job.submit_response.job_id_location)
    if job.job_id_location is None or given is MISSING:
        return
    for poll in job_history.polls:
        reported = poll.read_response_value(job.job_id_location)
        if poll.is_accepted and reported is not MISSING and reported != given:
            message = f"requested job {given!r:.80}, but the response is about {reported!r:.80}"
            yield _build_response_violation(job_history, poll, message, "job_id_location", location=job.job_id_location)
            return


@register_rule(
    "job-model-wrong",
    subject_class=JobHistory,
    description="A status response names the requested model.",
    contract_condition="x-job.model_name_location",
    explanation=Explanation(
        consequence="Another model has another voice, quality and price.",
        conforming_example='Requested: "hd-2". Response: {"model": "hd-2"}',
        violating_example='Requested: "hd-2". Response: {"model": "turbo-1"}',
    ),
    shown_by=(FaultExample("wrong-model", also_found_by=("response-schema",)),),
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
            message = f"requested the model {requested!r:.80}, but the response names {reported!r:.80}"
            yield _build_response_violation(job_history, poll, message, "model_name_location", location=location)
            return


@register_rule(
    "job-created-changed",
    subject_class=JobHistory,
    description="The creation time of a job does not change.",
    contract_condition="x-job.creation_time_location",
    explanation=Explanation(
        consequence="Lists sorted by it are unstable, and waiting times computed from it are wrong.",
        conforming_example="created 10:00:00 in every response",
        violating_example="created 10:00:00, then 10:00:03",
    ),
    shown_by=(
        FaultExample("created-changed"),
        FaultExample("crosstalk", target_id="pixelapi/voice-design", found_in="job-sequence"),
    ),
)
def _check_job_creation_time_changed(job_history: JobHistory) -> Iterator[Violation]:
    location = job_history.job_spec.creation_time_location
    moments = [
        (moment, poll)
        for poll in job_history.polls
        if poll.is_accepted and (moment := parse_timestamp(poll.read_response_value(location))) is not None
    ]
    for (before, _), (after, poll) in pairwise(moments):
        if abs((after - before).total_seconds()) > _TIMESTAMP_TOLERANCE_S:
            message = f"created changed from {before} to {after}"
            yield _build_response_violation(job_history, poll, message, "creation_time_location", location=location)
            return


# Rules about several jobs of one account, which the provider must not confuse.


@register_rule(
    "job-id-reused",
    subject_class=ConcurrentJobs,
    description="Every accepted request gets a different job id.",
    contract_condition="x-job.submit_response.job_id_location",
    explanation=Explanation(
        consequence="Two requests share one result, and one of them is lost.",
        conforming_example="Two accepted requests return a1 and a2.",
        violating_example="Two accepted requests return a1 and a1.",
    ),
    unshown_reason="The emulator gives every job an id of its own, with every fault.",
)
def _check_job_id_reused(concurrent_jobs: ConcurrentJobs) -> Iterator[Violation]:
    location = concurrent_jobs.latest_job.job_spec.submit_response.job_id_location
    ids = [(job.submit_call.read_response_value(location), job) for job in concurrent_jobs.jobs]
    for (one, _), (other, later) in combinations(ids, 2):
        if isinstance(one, str) and one == other:
            at = f"{later.status_operation.pointer}/x-job/submit_response/job_id_location"
            message = f"two requests got the id {one!r:.80}"
            yield Violation(message, at, location.json_pointer or None, exchange=later.submit_call.exchange)


@register_rule(
    "job-crosstalk",
    subject_class=ConcurrentJobs,
    description="Requests for different speech never get the same audio.",
    contract_condition="x-job.audio",
    explanation=Explanation(
        consequence="A customer hears what was written for another one.",
        conforming_example='Jobs for "one" and "two" deliver different audio.',
        violating_example='Jobs for "one" and "two" deliver the same file.',
    ),
    shown_by=(FaultExample("crosstalk", target_id="ttsai/kokoro", found_in="job-sequence"),),
)
def _check_job_crosstalk(concurrent_jobs: ConcurrentJobs) -> Iterator[Violation]:
    audio = concurrent_jobs.latest_job.job_spec.audio
    if audio is None:
        return
    for one, other in combinations(concurrent_jobs.jobs, 2):
        both = _collect_audio_values(one) & _collect_audio_values(other)
        # Equal requests may get the same file from a cache.
        if both and one.submit_call.exchange.request != other.submit_call.exchange.request:
            at = f"{concurrent_jobs.operation.pointer}/x-job/audio"
            message = "two jobs with different requests have the same audio"
            yield Violation(message, at, audio.location.json_pointer or None, min(both))


def _collect_audio_values(job_history: JobHistory) -> set[str]:
    """Return the different URLs or base64 texts of audio in the status responses of a job; empty if there are none."""
    job = job_history.job_spec
    found = (
        [poll.read_response_value(job.audio.location) for poll in job_history.polls if poll.is_accepted]
        if job.result_operation_id is None and job.audio is not None
        else []
    )
    return {value for value in found if isinstance(value, str) and value}
