"""Defines `x-job` on a status operation: the states of a job, and how to poll the job."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from voicegauge.contract.extension.response_audio import ResponseAudio
from voicegauge.contract.extension.sources import PositiveFloat, SourceReference
from voicegauge.contract.extension.speech import SpeechEmulation
from voicegauge.formats import Location
from voicegauge.model import Record


class JobState(Record, frozen=True, kw_only=True):
    """A state of a job."""

    successor_names: tuple[str, ...] = field(default=(), name="next")
    """Names of the states that may follow directly. A job may pass through a state between two polls, so that the next
    observed state is a later one."""
    terminal_outcome: Literal["success", "failure"] | None = field(default=None, name="end")
    """Whether this terminal state is a success or a failure; `None` if the state is not terminal."""
    is_charged: bool | None = field(default=None, name="charged")
    """Whether a job that ends in this state is charged; `None` if no document states it."""
    required_locations: tuple[Location, ...] = field(default=(), name="required")
    """Locations in the status response that must have a value in this state."""
    may_have_partial_audio: bool = field(default=False, name="partial")
    """Whether the response may have audio in this state, such as a finished part, although the job has not ended."""
    max_duration_s: float | None = field(default=None, name="max_s")
    """The documented maximum time of a job in this state, in seconds."""


class PollSchedule(Record, frozen=True, kw_only=True):
    """The recommended polling interval."""

    min_interval_s: PositiveFloat = field(default=1.0, name="min_s")
    max_interval_s: PositiveFloat = field(default=5.0, name="max_s")
    interval_factor: Annotated[float, Meta(ge=1)] = field(default=1.5, name="factor")
    """Factor by which the interval grows after each poll, from the minimum to the maximum."""
    job_timeout_s: PositiveFloat = field(default=300.0, name="timeout_s")
    """Time after which the client gives up on a job, in seconds."""
    source: SourceReference | None = None


class SubmitResponseLocations(Record, frozen=True, kw_only=True):
    """Locations in the response to the submit; they may differ from those in a status response."""

    job_id_location: Location = field(name="id")
    state_location: Location | None = field(default=None, name="state")
    polling_url_location: Location | None = field(default=None, name="url")
    """Location of the polling URL. The URL is used only if its host is a server of the contract, because the host
    receives the key."""


class JobCancellation(Record, frozen=True, kw_only=True):
    """The operation that cancels a job, and the state that it leads to."""

    operation_id: str = field(name="operation")
    """Id of the operation that cancels a job."""
    resulting_state: str = field(name="state")
    """The state of a cancelled job. States from which a job can be cancelled list it in `next`."""


class JobSpec(Record, frozen=True, kw_only=True):
    """`x-job` on a status operation."""

    submit_response: SubmitResponseLocations = field(name="submit")
    job_id_location: Location | None = field(default=None, name="id")
    """Location of the job id in the status response; `None` if the response does not repeat the id."""
    state_location: Location = field(name="state")
    """Location of the state in the status response."""
    states: dict[str, JobState]
    """The states by name, in chronological order. A job starts in the first one."""
    audio: ResponseAudio | None = None
    """Where a successful job has its audio; `None` for a job whose result is not audio, such as the training of a
    voice."""
    result_operation_id: str | None = field(default=None, name="result")
    """Id of the operation that fetches the result; `None` if the status response has the result."""
    failure_reason_location: Location | None = field(default=None, name="reason")
    """Location of the reason of a failure in the status response."""
    model_name_location: Location | None = field(default=None, name="model")
    """Location of the name of the model in the status response."""
    creation_time_location: Location | None = field(default=None, name="created")
    """Location of the time at which the job was created, in the status response."""
    update_time_location: Location | None = field(default=None, name="updated")
    """Location of the time of the last change, in the status response."""
    end_time_location: Location | None = field(default=None, name="completed")
    """Location of the time at which the job ended, in the status response."""
    charge_location: Location | None = field(default=None, name="charged")
    """Location of the charge in the status response."""
    poll_schedule: PollSchedule = field(default=PollSchedule(), name="poll")
    cancellation: JobCancellation | None = field(default=None, name="cancel")
    ended_job_lifetime_s: float | None = field(default=None, name="expires_s")
    """How long an ended job can be polled, in seconds. After that the response is the example with the rejection reason
    `expired`, or the one with `not-found` if there is no such example."""

    @property
    def speech_audio(self) -> ResponseAudio:
        """Where the job of a speech request has its audio."""
        assert self.audio is not None, "the job of x-speech has audio"
        return self.audio


class SubmitSpec(Record, frozen=True, kw_only=True):
    """`x-submit` on an operation that starts a job whose result is not audio."""

    status_operation_id: str = field(name="job")
    """Id of the status operation."""
    emulation: SpeechEmulation = field(default_factory=SpeechEmulation)
    """How the emulator simulates the job: `job_id_format`, `queue_ms` and `base_ms`. The numbers are invented."""
