"""`x-job` on a status operation: the states of a job, and how to ask for them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from voicegauge.contract.extension.sources import Positive, SourceReference
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.formats import Location
from voicegauge.model import Record


class JobState(Record, frozen=True, kw_only=True):
    """A state of a job."""

    next: tuple[str, ...] = ()
    """States that may be entered from this one; those that lead on may be missed between polls."""
    end: Literal["success", "failure"] | None = None
    charged: bool | None = None
    """Whether a job that ends here is paid for; `None` where no document says."""
    required: tuple[Location, ...] = ()
    """Places of the status answer that must not be empty in this state."""
    partial: bool = False
    """Whether the answer may carry audio before the job has ended, such as the part that is ready."""
    max_s: float | None = None
    """The longest time, in seconds, that a document gives a job in this state."""


class PollSchedule(Record, frozen=True, kw_only=True):
    """How often to ask, as the document recommends."""

    min_s: Positive = 1.0
    max_s: Positive = 5.0
    factor: Annotated[float, Meta(ge=1)] = 1.5
    """Growth from `min_s` to `max_s`."""
    timeout_s: Positive = 300.0
    source: SourceReference | None = None


class SubmitResponse(Record, frozen=True, kw_only=True):
    """Where the submit's answer carries what the status answer carries elsewhere or not at all."""

    id: Location
    state: Location | None = None
    url: Location | None = None
    """A URL to poll, used only if its host is the contract's own."""


class JobCancellation(Record, frozen=True, kw_only=True):
    """How a job is cancelled."""

    operation: str
    """Its operation id."""
    state: str
    """The state of a job that was cancelled before it had ended; other states lead to it in `next`."""


class JobSpec(Record, frozen=True, kw_only=True):
    """`x-job` on a status operation."""

    submit: SubmitResponse
    id: Location | None = None
    """The place of the id in a status answer; `None` where it is not repeated."""
    state: Location
    states: dict[str, JobState]
    """In the order of a job's life: the first one is where it starts."""
    audio: ResponseAudio
    result: str | None = None
    """The operation id of a second call that fetches the result, where there is one."""
    reason: Location | None = None
    model: Location | None = None
    created: Location | None = None
    updated: Location | None = None
    completed: Location | None = None
    charged: Location | None = None
    poll: PollSchedule = PollSchedule()
    cancel: JobCancellation | None = None
    expires_s: float | None = None
    """How long, in seconds, a job can be asked for once it has ended; from then on it is answered as `expired`, or as
    `not-found` where no example has that situation."""
