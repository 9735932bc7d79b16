"""Faults of jobs: their states, what status answers carry, what is charged."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.contract import MISSING, Operation, Target
from voicegauge.contract.extension import JobSpec
from voicegauge.emulator.http import format_timestamp, read_at, write_at
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.emulator.state import EmulatedJob, failure_states, shortest_path

UNKNOWN_STATE = "voicegauge-unknown"
_HOUR_S = 3600.0


def _spec(target: Target) -> JobSpec | None:
    return target.job_operation.job if target.job_operation is not None else None


def _status_spec(response: EmulatedResponse) -> JobSpec | None:
    operation: Operation | None = response.operation
    return operation.job if response.kind == "status" and operation is not None else None


def unknown_status(_spec: JobSpec, path: tuple[str, ...]) -> tuple[str, ...]:
    """An unknown state before the last one."""
    return (*path[:-1], UNKNOWN_STATE, path[-1])


def backwards(_spec: JobSpec, path: tuple[str, ...]) -> tuple[str, ...]:
    """Before the end, once more through all that came before."""
    return (*path[:-1], *path[:-1], path[-1]) if len(path) > 2 else path


def can_go_back(target: Target) -> bool:
    """Whether there are two states before the end."""
    spec = _spec(target)
    return spec is not None and len(shortest_path(spec)) > 2


def terminal_flip(spec: JobSpec, path: tuple[str, ...]) -> tuple[str, ...]:
    """A failure after the success."""
    return (*shortest_path(spec), next(iter(failure_states(spec)), path[-1]))


def failure_undone(spec: JobSpec, _path: tuple[str, ...]) -> tuple[str, ...]:
    """A success after a failure."""
    success = shortest_path(spec)
    return (*success[:-1], next(iter(failure_states(spec)), success[-1]), success[-1])


def fail(spec: JobSpec, path: tuple[str, ...]) -> tuple[str, ...]:
    """The shortest way to a failure."""
    failed = next(iter(failure_states(spec)), None)
    return shortest_path(spec, failed) if failed is not None else path


def can_fail(target: Target) -> bool:
    """Whether there is a state of failure."""
    spec = _spec(target)
    return spec is not None and bool(failure_states(spec))


def is_cancelled(target: Target) -> bool:
    """Whether jobs can be cancelled."""
    spec = _spec(target)
    return spec is not None and spec.cancel is not None


def expires(target: Target) -> bool:
    """Whether jobs can be asked for only for a time."""
    spec = _spec(target)
    return spec is not None and spec.expires_s is not None


def stuck(_spec: JobSpec, path: tuple[str, ...]) -> tuple[str, ...]:
    """Everything but the end."""
    return path[:-1] or path


def without_output(response: EmulatedResponse) -> None:
    """A success without what it must carry."""
    spec = _status_spec(response)
    state = spec.states.get(str(read_at(response.body, spec.state))) if spec is not None else None
    if spec is None or state is None or state.end != "success":
        return
    for location in {spec.audio.at, *state.carries} - {spec.completed}:
        if read_at(response.body, location) is not MISSING:
            response.body = write_at(response.body, location, None)


def has_output(target: Target) -> bool:
    """Whether the status answer itself carries the audio."""
    spec = _spec(target)
    return spec is not None and spec.result is None


def without_reason(response: EmulatedResponse) -> None:
    """A failure without its reason."""
    spec = _status_spec(response)
    state = spec.states.get(str(read_at(response.body, spec.state))) if spec is not None else None
    if spec is not None and spec.reason is not None and state is not None and state.end == "failure":
        response.body = write_at(response.body, spec.reason, None)


def has_reason(target: Target) -> bool:
    """Whether a failed job says why."""
    spec = _spec(target)
    return spec is not None and spec.reason is not None and bool(failure_states(spec))


def bad_timestamps(response: EmulatedResponse) -> None:
    """Created an hour after it ended."""
    _shift_created(response, _HOUR_S)


def has_times(target: Target) -> bool:
    """Whether status answers tell when a job was created and when it changed or ended."""
    spec = _spec(target)
    return spec is not None and spec.created is not None and bool(spec.updated or spec.completed)


def created_changed(response: EmulatedResponse) -> None:
    """Created a second later with every state."""
    if response.job is not None:
        _shift_created(response, -60.0 * len(response.job.entered_at))


def _shift_created(response: EmulatedResponse, seconds: float) -> None:
    spec = _status_spec(response)
    if spec is None or spec.created is None or response.job is None:
        return
    shown = read_at(response.body, spec.created)
    if shown not in (MISSING, None):
        response.body = write_at(
            response.body, spec.created, format_timestamp(response.job.entered_at[-1] + seconds, shown)
        )


def has_created(target: Target) -> bool:
    """Whether status answers tell when a job was created."""
    spec = _spec(target)
    return spec is not None and spec.created is not None


def id_changed(response: EmulatedResponse) -> None:
    """The id of a status answer with other digits at its end."""
    spec = _status_spec(response)
    if spec is not None and spec.id is not None:
        shown = read_at(response.body, spec.id)
        if isinstance(shown, str):
            response.body = write_at(response.body, spec.id, _other(shown))


def repeats_id(target: Target) -> bool:
    """Whether status answers repeat the id."""
    spec = _spec(target)
    return spec is not None and spec.id is not None and spec.id.startswith("body")


def wrong_polling_url(response: EmulatedResponse) -> None:
    """The polling URL with another id."""
    if response.kind != "submit" or response.target is None or response.job is None:
        return
    spec = _spec(response.target)
    if spec is not None and spec.submit.url is not None:
        shown = read_at(response.body, spec.submit.url)
        if isinstance(shown, str):
            response.body = write_at(
                response.body, spec.submit.url, shown.replace(response.job.id, _other(response.job.id))
            )


def gives_url(target: Target) -> bool:
    """Whether the submit's answer has a polling URL."""
    spec = _spec(target)
    return spec is not None and spec.submit.url is not None


def latest(job: EmulatedJob, jobs: Sequence[EmulatedJob]) -> EmulatedJob:
    """The last job of the same account and operation."""
    alike = (j for j in reversed(jobs) if j.account is job.account and j.target.answer.job == job.target.answer.job)
    return next(alike, job)


def _other(text: str) -> str:
    return text[:-2] + ("00" if text[-2:] != "00" else "11")


def overcharge(amount: float) -> float:
    """Twice the price and some."""
    return amount * 2 + 1


def tells_charge(target: Target) -> bool:
    """Whether some answer says what was charged, and there is a price."""
    spec = _spec(target)
    tells = target.answer.charged is not None or (spec is not None and spec.charged is not None)
    return tells and target.pricing is not None
