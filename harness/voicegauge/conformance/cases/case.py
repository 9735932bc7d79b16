"""A planned case: one request and the response that it should get."""

from __future__ import annotations

from typing import Any, Literal

from voicegauge.checks import ExpectedResponse, PairRelation
from voicegauge.client import RequestParts
from voicegauge.contract import Contract, Location, Operation
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
"""Status codes as HTTP defines them (RFC 9110, section 15; RFC 6585), for reasons without an `x-rejection-reason`."""

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
"""`delivery`: speech from submit to downloaded audio; `fuzzing`: a random request; `lifecycle`: a resource or a batch
from creation to its end; the others as in `ExpectedResponse.kind`."""


class UploadPadding(Record, frozen=True, kw_only=True):
    """The size to which an uploaded WAV is padded just before it is sent."""

    field: str
    """The form field that carries the file."""
    size: int
    """Size of the file as sent, in bytes."""


class CallbackUrl(Record, frozen=True, kw_only=True):
    """A request parameter that takes a webhook URL."""

    at: Location
    """Its location in the request; the URL itself is only known when the request is sent."""
    posts: CallbackTiming
    """Which callbacks should arrive."""


class CaseRelation(Record, frozen=True, kw_only=True):
    """How the request of a delivery differs from that of another delivery, with which its audio is compared."""

    parameter: PairRelation
    base: str
    """Id of the other case, which comes earlier in the plan."""
    base_value: str | float | int | None = None
    """Value of the parameter in the other request, or its documented default; `None` if neither is known."""
    value: str | float | int


class ConformanceCase(Record, frozen=True, kw_only=True):
    """One planned request, or a sequence of requests that starts with it."""

    id: str
    """Unique within a plan: "<provider>/<target or operation>: <description>"."""
    provider: str
    operation: str
    target: str | None = None
    """Name of the target within the provider."""
    expected: ExpectedResponse
    request: RequestParts | None = None
    """The request of a single call; `None` for a delivery."""
    speech: SpeechRequest | None = None
    """The speech of a delivery: its job is polled to the end and the audio downloaded."""
    key: Literal["valid", "missing", "wrong"] = "valid"
    """The API key that is sent."""
    is_lifecycle: bool = False
    """`request` creates a resource or a batch, which is followed to its end."""
    vary_other_fields: bool = False
    """In a lifecycle: use the resource also with each value of the other fields of the operations that take it."""
    relation: CaseRelation | None = None
    """For a delivery that is compared with another one."""
    expects_failure: bool = False
    """Whether the job of a delivery should end in failure."""
    is_billable_operation: bool = False
    """A single call to a billable operation without targets, such as a chat completion."""
    text_characters: int = 0
    """Length of its text, for the price."""
    audio_s: float = 0.0
    """Duration of the recording that it uploads, for the price."""
    padding: UploadPadding | None = None
    callback_url: CallbackUrl | None = None
    is_representative: bool = False
    """A single call that shows the complete response of its operation, as a delivery does for speech. It is sent even
    in a plan without further billable requests."""
    is_fuzzed: bool = False
    """Generated at random."""

    @property
    def kind(self) -> CaseKind:
        """The kind of the case, by which spending is broken down."""
        if self.is_fuzzed:
            return "fuzzing"
        if self.is_lifecycle:
            return "lifecycle"
        return "delivery" if self.speech is not None else self.expected.kind

    @property
    def is_billable(self) -> bool:
        """Whether it costs money if it is accepted, and may be accepted."""
        has_price = self.target is not None or self.is_billable_operation
        return self.is_lifecycle or (has_price and self.expected.verdict != "rejected")


class SkippedCase(Record, frozen=True, kw_only=True):
    """A case that could not be planned."""

    id: str
    reason: str


def operation_name(operation: Operation) -> str:
    """The name of an operation across providers: <provider>/<operation id>."""
    return f"{operation.contract.id}/{operation.id}"


def make_case(
    operation: Operation, expected: ExpectedResponse, *, target: str | None = None, name: str | None = None, **more: Any
) -> ConformanceCase:
    """Return a case of `operation` whose id ends with the description of `expected`.

    Args:
        operation: the operation that is called.
        expected: the response that it should get.
        target: name of the target within the provider.
        name: first part of the id; the operation's name by default.
        more: other fields of the case.
    """
    return ConformanceCase(
        id=f"{name or operation_name(operation)}: {expected.description}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target,
        expected=expected,
        **more,
    )


def expect_accepted(description: str, contract_pointer: str) -> ExpectedResponse:
    """Return the expected response to a valid request."""
    return ExpectedResponse(
        verdict="accepted", kind="valid", description=description, contract_pointer=contract_pointer
    )


def expect_undocumented(description: str, contract_pointer: str, statuses: tuple[int, ...] = ()) -> ExpectedResponse:
    """Return the expected response where accepting and rejecting are both right, because neither is documented."""
    return ExpectedResponse(
        verdict="either",
        statuses=statuses,
        kind="undocumented",
        description=description,
        contract_pointer=contract_pointer,
    )


def expect_invalid(operation: Operation, description: str, contract_pointer: str) -> ExpectedResponse:
    """Return the expected response to a request that breaks the schema of `operation`."""
    return ExpectedResponse(
        verdict="rejected",
        statuses=rejection_statuses(operation, "invalid"),
        kind="invalid",
        description=description,
        contract_pointer=contract_pointer,
    )


def rejection_statuses(operation: Operation, reason: RejectionReason) -> tuple[int, ...]:
    """Return the documented statuses for a rejection reason: those with an example of it, else the usual ones.

    Empty where the operation documents none.
    """
    with_example = {
        int(status)
        for status, response in operation.responses.items()
        if status.isdecimal()
        for media in response.media.values()
        for example in media.examples
        if example.rejection_reason is not None and example.rejection_reason.partition(":")[0] == reason
    }
    usual = {status for status in USUAL_STATUSES[reason] if str(status) in operation.responses}
    return tuple(sorted(with_example or usual))


def inconclusive_reason(status: int) -> str | None:
    """Return why a response to a valid request proves nothing about the contract; `None` where it does.

    Rate limits, full queues and empty accounts reject a request before it is looked at.
    """
    if status in (429, 503):
        return f"rate limited or busy, try again later ({status})"
    return "the account has no credit left (402)" if status == 402 else None


def no_verdict_reason(case: ConformanceCase, status: int) -> str | None:
    """Return why a response to `case` proves nothing about the contract; `None` where it does."""
    return None if status in case.expected.statuses else inconclusive_reason(status)


def should_retry(case: ConformanceCase, status: int, contract: Contract) -> bool:
    """Whether a response asks to retry later, and the case was not meant to provoke just that."""
    return status in contract.provider.retry.statuses and status not in case.expected.statuses
