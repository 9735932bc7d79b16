"""Rules about single responses that start a job or report its state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import unquote, urlsplit

from voicegauge.contract.extension.jobs import JobSpec, JobState
from voicegauge.contract.operation import Operation
from voicegauge.formats.bodies import parse_timestamp
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import Severity
from voicegauge.rules.call import Call
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule

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


def read_reported_state(call: Call, job_spec: JobSpec) -> str | None:
    value = job_spec.read_state(call.read_response_value)
    return value if isinstance(value, str) else None


def find_state_spec(job_spec: JobSpec, state_name: str | None) -> JobState | None:
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
        known = ", ".join(job.states)
        yield Violation(
            f"the state is {state!r:.80}; documented: {known}",
            _build_job_pointer(call, "states"),
            get_body_pointer(job.state_location),
        )


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
    name = read_reported_state(call, job)
    state = find_state_spec(job, name)
    if name is None or state is None or state.terminal_outcome != terminal_outcome:
        return
    for location in state.required_locations:
        value = call.read_response_value(location)
        if value is MISSING or value in (None, "", [], {}):
            seen = "is missing" if value is MISSING else f"is {value!r}"
            yield Violation(
                f"{name}, but {location} {seen}",
                _build_job_pointer(call, "states", name, "required_locations"),
                get_body_pointer(location),
            )


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
        return
    if call.operation.speech is not None and call.target is None:
        return  # a job of another model, such as one for images, whose output the contract does not describe
    location, name = job.audio.location, read_reported_state(call, job)
    state = find_state_spec(job, name)
    if name is None or state is None or state.terminal_outcome is not None or state.may_have_partial_audio:
        return
    value = call.read_response_value(location)
    if value is not MISSING and value not in (None, "", [], {}):
        yield Violation(
            f"{name}, but {location} has audio already",
            _build_job_pointer(call, "states", name),
            get_body_pointer(location),
        )


def get_body_pointer(location: Location | None) -> str | None:
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
            yield Violation(
                f"the {_describe_time_at_location(name)} {value!r:.80} is not a valid time",
                _build_job_pointer(call, name),
                get_body_pointer(location),
            )
        else:
            times[name] = moment
    for later_name in ("update_time_location", "end_time_location"):
        if "creation_time_location" in times and later_name in times:
            yield from _check_timestamp_order(call, "creation_time_location", later_name, times)


def _describe_time_at_location(location_name: str) -> str:
    """Return the words for the time at a location of `x-job`: "creation time" for `creation_time_location`."""
    return location_name.removesuffix("_location").replace("_", " ")


def _check_timestamp_order(
    call: Call, earlier_name: str, later_name: str, time_by_name: dict[str, datetime]
) -> Iterator[Violation]:
    early = (time_by_name[earlier_name] - time_by_name[later_name]).total_seconds()
    if early > JOB_TIMESTAMP_TOLERANCE_S:
        earlier, later = (
            f"{_describe_time_at_location(name)} {time_by_name[name]}" for name in (earlier_name, later_name)
        )
        yield Violation(
            f"the {later} is {early:.1f} s before the {earlier}",
            _build_job_pointer(call, later_name),
            evidence=f"{earlier}, {later}",
        )


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
        yield Violation(f"{url!r:.200} {error}", at, get_body_pointer(location), evidence=str(url))


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
    for base in filter(None, (status_operation.server.url, call.base_url)):
        known = urlsplit(base)
        prefix = known.path
        same_host = (parts.scheme, parts.netloc.lower()) == (known.scheme, known.netloc.lower())
        if same_host and parts.path.startswith(f"{prefix}/"):
            return parts.path[len(prefix) :]
    return None
