"""Defines what a fault is and where it changes the behaviour of the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.extension.speech import SpeechField
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import BaseSocketTarget, Target
from voicegauge.emulator._job_state import EmulatedJob
from voicegauge.emulator._request import ParsedRequest
from voicegauge.emulator._response import EmulatedResponse, StreamPiece
from voicegauge.emulator._socket_steps import SocketFault
from voicegauge.emulator._speech_synthesis import SynthesisRequest
from voicegauge.emulator._speech_timings import SpeechTiming
from voicegauge.emulator._webhook_payloads import EmulatedCallback

SpeechFieldChanger = Callable[[ParsedRequest, Target, SpeechField, Any], Any]
"""Function that returns the value of a speech field, to be used instead of the value in the request or the default."""
SkippableCheck = Literal[
    "key",
    "request",
    "items",
    "filters",
    "upload-size",
    "upload-format",
    "account",
    "deletion",
    "delisting",
    "state",
    "webhook-https",
    "cancelling",
    "expiry",
    "response-kind",
    "markup",
    "file-names",
]
"""Checks and actions of a correct provider that a fault can leave out. Requests: authentication ("key"), the schema
("request"), the lengths of lists ("items"), filters of lists ("filters"), the limits of uploads, https for webhook
URLs, and the parsing of markup. Speech: a file for each request ("file-names"). Responses: the choice between
a stream of events and audio alone ("response-kind").
Jobs: cancellation and expiry. Resources: the check of their owner ("account"), their deletion, their removal from lists
("delisting"), and the check of their state."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A mistake that the emulator can make. At least one of the fields that change its behavior is set."""

    id: str
    description: str
    """One sentence about the behavior of a provider with this fault."""
    applies_to: Callable[[Target], bool] = lambda _: True
    """Function that returns whether the fault can be visible at a target, according to the target's contract."""
    change_response: Callable[[EmulatedResponse], None] | None = None
    """Function that changes a response before it is sent."""
    change_job_states: Callable[[JobSpec, tuple[str, ...]], tuple[str, ...]] | None = None
    """Function that returns the states that a job passes through."""
    choose_reported_job: Callable[[EmulatedJob, Sequence[EmulatedJob]], EmulatedJob] | None = None
    """Function that returns the job which a status response reports, given the requested job and all jobs, oldest
    first."""
    change_synthesis: Callable[[SynthesisRequest], SynthesisRequest] | None = None
    """Function that returns the synthesis to perform."""
    change_speech_timings: Callable[[list[SpeechTiming]], list[SpeechTiming]] | None = None
    """Function that returns the times of characters or words to send."""
    change_speech_field: SpeechFieldChanger | None = None
    """Function that returns the value of a speech field, to be used instead of the value in the request or the
    default."""
    change_stream_pieces: Callable[[Operation, list[StreamPiece]], list[StreamPiece]] | None = None
    """Function that returns the pieces of a streamed response."""
    change_charge: Callable[[float], float] | None = None
    """Function that returns the amount to charge."""
    change_callbacks: Callable[[EmulatedCallback], Iterable[EmulatedCallback]] | None = None
    """Function that returns the callbacks to send instead of a given callback."""
    find_rejection_reason: Callable[[ParsedRequest, int], str | None] | None = None
    """Function that returns a rejection reason, or `None` to accept the request. Its second argument is the number of
    requests to the operation so far, including this one."""
    socket: SocketFault | None = None
    """How the fault changes WebSockets; `None` if it concerns HTTP only."""
    applies_to_socket: Callable[[BaseSocketTarget], bool] = lambda _: True
    """As `applies_to`, for a fault of WebSockets."""
    skipped_check: SkippableCheck | None = None
    """The check that the emulator leaves out; `None` if it makes all checks."""
    response_delay_s: float = 0.0
    """Delay added to every response, in seconds."""
    unfound_reason: str | None = None
    """Why no rule of a check finds the fault, as a sentence; `None` if at least one rule does."""
