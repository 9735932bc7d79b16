"""What a rule looks at: a call, a job from its submit to its end, a delivery, an outcome.

Subjects are views: they read an exchange by the contract's words, parse each body
once, and never raise for what a provider sent.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from voicegauge.checks.subjects.call import Call, CallSubject
from voicegauge.checks.subjects.resource import ResourceStep
from voicegauge.checks.subjects.webhook import Callback, RequestCallbacks
from voicegauge.contract import Contract, Operation, Target
from voicegauge.contract.extension import JobSpec, ResponseAudio
from voicegauge.model import Delivery, Exchange, Record, SpeechRequest, StateObservation

if TYPE_CHECKING:
    from voicegauge.speech.audio import DecodedAudio, EncodedAudio  # numpy


@dataclass(frozen=True, eq=False)
class JobHistory:
    """A job from its submit on: every state it was seen in, asked again after its end too."""

    submit: Call
    polls: tuple[Call, ...]
    status_operation: Operation
    gave_up: bool = False
    """No terminal state was seen in the time that the contract gives."""
    observations: tuple[StateObservation, ...] = ()
    """When each state was seen, where somebody looked at a clock."""
    cancelled_after: int | None = None
    """How many of the polls came before a call that cancelled it was accepted; `None` where none was."""

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.submit.contract

    @property
    def operation(self) -> Operation:
        """The status operation."""
        return self.status_operation

    @property
    def spec(self) -> JobSpec:
        """What the contract says of the job."""
        assert self.status_operation.job is not None, "a trail is made for a status operation"
        return self.status_operation.job

    @property
    def target(self) -> Target | None:
        """What was asked for."""
        return self.submit.target

    @property
    def exchange(self) -> Exchange:
        """The last exchange."""
        return self.polls[-1].exchange if self.polls else self.submit.exchange

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about this job may stand at."""
        return (f"{self.status_operation.pointer}/x-job", *self.submit.dispute_scopes)


@dataclass(frozen=True, eq=False)
class JobSet:
    """Several jobs on one account, each as far as it was seen."""

    trails: tuple[JobHistory, ...]
    latest: JobHistory
    """The one that was asked for last."""

    @property
    def contract(self) -> Contract:
        """The contract they are judged by."""
        return self.latest.contract

    @property
    def operation(self) -> Operation:
        """The status operation."""
        return self.latest.operation

    @property
    def target(self) -> Target | None:
        """What was asked for."""
        return self.latest.target

    @property
    def exchange(self) -> Exchange:
        """The last exchange about the latest."""
        return self.latest.exchange

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about these jobs may stand at."""
        return self.latest.dispute_scopes


@dataclass(frozen=True, eq=False)
class SpeechDelivery:
    """What was delivered for a request for speech."""

    target: Target
    speech: SpeechRequest
    delivery: Delivery
    done: bool = True
    """The provider says that it is: a job ended in success, or the answer was 2xx."""

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.target.contract

    @property
    def operation(self) -> Operation:
        """The operation that was asked for speech."""
        return self.target.operation

    @property
    def exchange(self) -> Exchange:
        """The exchange that carried the audio, else the last one."""
        index = self.delivery.audio_exchange
        return self.delivery.exchanges[-1 if index is None else index]

    @property
    def place(self) -> ResponseAudio | None:
        """How the contract says that the audio is delivered."""
        status = self.target.job_operation
        return status.job.audio if status and status.job else self.target.response.audio

    @functools.cached_property
    def _audio(self) -> EncodedAudio | None:
        from voicegauge.speech.audio import EncodedAudio, RawAudioFormat

        place = self.place
        raw = None
        if place is not None and place.format is not None and place.sample_rate_hz is not None:
            raw = RawAudioFormat(format=place.format, sample_rate_hz=place.sample_rate_hz, channels=place.channels)
        return None if self.delivery.audio is None else EncodedAudio(self.delivery.audio, raw_format=raw)

    @property
    def decoded(self) -> DecodedAudio | None:
        """The samples; `None` where they cannot be had."""
        return None if self._audio is None else self._audio.decoded

    @property
    def decode_error(self) -> str | None:
        """Why the audio cannot be decoded; `None` where it can."""
        return None if self._audio is None else self._audio.decode_error

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about the audio may stand at."""
        job = self.target.job_operation
        places = (f"{self.operation.pointer}/x-speech/response", self.target.pointer, self.operation.pointer)
        return (*places, f"{job.pointer}/x-job/audio") if job else places


@dataclass(frozen=True, eq=False)
class RecordingAge:
    """A recording, by the oldest exchange in it."""

    operation: Operation
    exchange: Exchange
    name: str
    """Of its file."""
    age_days: float
    target: Target | None = None

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.operation.contract

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about it may stand at."""
        return ()


class ExpectedResponse(Record, frozen=True, kw_only=True):
    """The response that a planned case should get."""

    verdict: Literal["accepted", "rejected", "either"]
    """`either`: not documented, so both are right; a server error is a finding all the same."""
    statuses: tuple[int, ...] = ()
    """The documented statuses that would be right; empty where any status of that verdict is."""
    kind: Literal["valid", "invalid", "authentication", "unknown-id", "rejection-reason", "undocumented", "plain-http"]
    """What the case tests: `authentication` a missing or wrong key, `unknown-id` an id that does not exist,
    `rejection-reason` a documented rejection reason, `undocumented` input that no document mentions, `plain-http` a
    webhook URL without TLS."""
    description: str
    """What is special about the request, in words."""
    contract_pointer: str
    """JSON pointer into the contract, to the statement that the case tests."""


@dataclass(frozen=True, eq=False)
class CaseOutcome(CallSubject):
    """What was expected of a planned case, and what came."""

    expected: ExpectedResponse


Subject = (
    RecordingAge
    | Call
    | Callback
    | JobHistory
    | JobSet
    | SpeechDelivery
    | ResourceStep
    | RequestCallbacks
    | CaseOutcome
)
