"""A planned case: one request, and what it should be answered with."""

from __future__ import annotations

from typing import Literal

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts
from voicegauge.contract import Contract, Operation
from voicegauge.contract.extension import CallbackTiming, RejectionReason
from voicegauge.model import Record, SpeechRequest

USUAL_STATUSES: dict[RejectionReason, tuple[int, ...]] = {
    "invalid": (400, 422),
    "unauthorized": (401, 403),
    "no-credit": (402,),
    "forbidden": (403,),
    "not-found": (404,),
    "expired": (410,),
    "too-large": (413,),
    "rate-limited": (429,),
    "internal": (500,),
    "busy": (503,),
}
"""What HTTP means by them (RFC 9110, section 15; RFC 6585), where no example says `x-rejection-reason`."""

CaseKind = Literal[
    "delivery",
    "valid",
    "invalid",
    "authentication",
    "unknown-id",
    "rejection-reason",
    "undocumented",
    "plain-http",
    "fuzzing",
    "lifecycle",
]
"""`delivery`: speech asked for and followed to its end; `fuzzing`: drawn at random; `is_lifecycle`: something
kept is followed to its end; the others as `ExpectedResponse.why`."""


class UploadPadding(Record, frozen=True, kw_only=True):
    """A WAV in a form field is sent larger than it is in the plan."""

    field: str
    size: int
    """What it is padded to, in bytes."""


class CallbackUrl(Record, frozen=True, kw_only=True):
    """A request names a URL that is listened at."""

    at: str
    """The place of the request; the URL itself is known when it is sent."""
    posts: CallbackTiming
    """What should come there."""


class ConformanceCase(Record, frozen=True, kw_only=True):
    """One planned request."""

    id: str
    """Unique within a plan: "<provider>/<target or operation>: <what is special>"."""
    provider: str
    operation: str
    target: str | None = None
    """Its name within the provider."""
    expected: ExpectedResponse
    wire: RequestParts | None = None
    """What a single call sends; `None` for a delivery."""
    speech: SpeechRequest | None = None
    """What a delivery asks for: the job is followed to its end and the audio fetched."""
    key: Literal["own", "none", "bad"] = "own"
    is_lifecycle: bool = False
    """What is made is followed to its end; `wire` makes it."""
    thorough: bool = False
    """On its way it is also used with each value of the other fields of what it is used for."""
    expects_failure: bool = False
    """A delivery whose job is asked to end in failure."""
    is_billable_operation: bool = False
    """A single call to an operation that costs money and serves no target, such as a turn of a chat."""
    text_characters: int = 0
    """Length of its text, for its price."""
    audio_s: float = 0.0
    """Length of the recording that it sends, for its price."""
    padding: UploadPadding | None = None
    webhook: CallbackUrl | None = None
    whole: bool = False
    """A single call that shows the whole of an answer, as a delivery does of speech."""
    is_fuzzed: bool = False
    """Drawn at random, not planned."""

    @property
    def kind(self) -> CaseKind:
        """What it is among the cases of a check."""
        if self.is_fuzzed:
            return "fuzzing"
        if self.is_lifecycle:
            return "lifecycle"
        return "delivery" if self.speech is not None else self.expected.kind

    @property
    def is_billable(self) -> bool:
        """Whether it costs money where it is accepted, as it may be."""
        named = self.target is not None or self.is_billable_operation
        return self.is_lifecycle or (named and self.expected.verdict != "rejected")


class SkippedCase(Record, frozen=True, kw_only=True):
    """A case that was planned and not run, or could not be planned."""

    id: str
    reason: str


def rejection_statuses(operation: Operation, situation: RejectionReason) -> tuple[int, ...]:
    """The documented statuses of a situation: those with an example of it, else the usual ones.

    Empty where the operation documents none.
    """
    named = {
        int(status)
        for status, response in operation.responses.items()
        if status.isdecimal()
        for media in response.media.values()
        for example in media.examples
        if example.rejection_reason is not None and example.rejection_reason.partition(":")[0] == situation
    }
    usual = {status for status in USUAL_STATUSES[situation] if str(status) in operation.responses}
    return tuple(sorted(named or usual))


def inconclusive_reason(status: int) -> str | None:
    """Why an answer of `status` to a valid request is no verdict on it; `None` where it is one.

    A rate limit, a full queue or an empty account answer before the request is looked at.
    """
    if status in (429, 503):
        return f"told to come back later ({status})"
    return "the account has no credit left (402)" if status == 402 else None


def no_verdict_reason(case: ConformanceCase, status: int) -> str | None:
    """Why an answer of `status` says nothing about the contract; `None` where it does."""
    return None if status in case.expected.statuses else inconclusive_reason(status)


def should_retry(case: ConformanceCase, status: int, contract: Contract) -> bool:
    """Whether an answer of `status` says "later" to a case that does not ask for that."""
    return status in contract.provider.retry.statuses and status not in case.expected.statuses
