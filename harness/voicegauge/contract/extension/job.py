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

    next: tuple[str, ...] = ()
    """Names of the direct successors. A state may pass between two polls, so a later state may be observed next."""
    end: Literal["success", "failure"] | None = None
    """How a terminal state ends the job; `None` if the state is not terminal."""
    charged: bool | None = None
    """Whether a job that ends in this state is charged; `None` if no document states it."""
    required: tuple[Location, ...] = ()
    """Locations in the status response that must have a value in this state."""
    partial: bool = False
    """Whether the response may have audio in this state, such as a finished part, although the job has not ended."""
    max_s: float | None = None
    """The documented maximum time of a job in this state, in seconds."""


class PollSchedule(Record, frozen=True, kw_only=True):
    """The recommended polling interval."""

    min_s: PositiveFloat = 1.0
    max_s: PositiveFloat = 5.0
    factor: Annotated[float, Meta(ge=1)] = 1.5
    """Factor by which the interval grows after each poll, from `min_s` to `max_s`."""
    timeout_s: PositiveFloat = 300.0
    """Time after which the client gives up on a job, in seconds."""
    source: SourceReference | None = None


class SubmitResponse(Record, frozen=True, kw_only=True):
    """Locations in the response to the submit; they may differ from those in a status response."""

    id: Location
    state: Location | None = None
    url: Location | None = None
    """Location of the polling URL. The URL is used only if its host is a server of the contract, because the host
    receives the key."""


class JobCancellation(Record, frozen=True, kw_only=True):
    """The operation that cancels a job, and the state that it leads to."""

    operation: str
    """Id of the operation that cancels a job."""
    state: str
    """The state of a cancelled job. States from which a job can be cancelled list it in `next`."""


class JobSpec(Record, frozen=True, kw_only=True):
    """`x-job` on a status operation."""

    submit: SubmitResponse
    id: Location | None = None
    """Location of the job id in the status response; `None` if the response does not repeat the id."""
    state: Location
    """Location of the state in the status response."""
    states: dict[str, JobState]
    """The states by name, in chronological order. A job starts in the first one."""
    audio: ResponseAudio | None = None
    """Where a successful job has its audio; `None` for a job whose result is not audio, such as the training of a
    voice."""
    result: str | None = None
    """Id of the operation that fetches the result; `None` if the status response has the result."""
    reason: Location | None = None
    """Location of the reason of a failure in the status response."""
    model: Location | None = None
    """Location of the name of the model in the status response."""
    created: Location | None = None
    """Location of the time at which the job was created, in the status response."""
    updated: Location | None = None
    """Location of the time of the last change, in the status response."""
    completed: Location | None = None
    """Location of the time at which the job ended, in the status response."""
    charged: Location | None = None
    """Location of the charge in the status response."""
    poll: PollSchedule = PollSchedule()
    cancel: JobCancellation | None = None
    expires_s: float | None = None
    """How long an ended job can be polled, in seconds. After that the response is the example with the rejection reason
    `expired`, or the one with `not-found` if there is no such example."""

    @property
    def speech_audio(self) -> ResponseAudio:
        """Where the job of a speech request has its audio."""
        assert self.audio is not None, "the job of x-speech has audio"
        return self.audio


class SubmitSpec(Record, frozen=True, kw_only=True):
    """`x-submit` on an operation that starts a job whose result is not audio."""

    job: str
    """Id of the status operation."""
    emulation: SpeechEmulation = field(default_factory=SpeechEmulation)
    """How the emulator simulates the job: `id_format`, `queue_ms` and `base_ms`. The numbers are invented."""
