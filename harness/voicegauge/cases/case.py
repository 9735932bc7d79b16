"""A case: a planned request with the response that it should have."""

from __future__ import annotations

import functools
from typing import Any, Literal

from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.extension.jobs import CallbackTiming
from voicegauge.contract.extension.provider import RejectionReason
from voicegauge.contract.operation import Operation
from voicegauge.formats.locations import Location
from voicegauge.model.base import Record, SpeechRequest
from voicegauge.rules.call import ExpectedResponse
from voicegauge.rules.subjects import ComparedParameter

USUAL_STATUSES_BY_REJECTION_REASON: dict[RejectionReason, tuple[int, ...]] = {
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
"""Status codes that HTTP defines for each rejection reason (RFC 9110, section 15; RFC 6585).

They are used if no example of the operation states the reason with `x-rejection-reason`. The emulator chooses from more
(`STATUS_CODES_BY_REASON`): it may answer 404 for what has expired, while a check expects only what HTTP defines."""

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
    "conversation",
]
"""The kind of a case. `delivery`: speech from submit to downloaded audio; `fuzzing`: a random request; `lifecycle`: a
resource, or a job or batch without audio, from creation to its end; `conversation`: turns on WebSockets. For the others
see `ExpectedResponse.case_kind`."""


ApiKeyValidity = Literal["valid", "missing", "wrong"]
"""Which API key a request has: the user's (`valid`), none (`missing`), or one that no account has (`wrong`)."""


SocketScenarioKind = Literal["turns", "parallel", "format", "interruptions", "key", "contexts", "transcription"]
"""What is done on a connection. `turns`: a text whole, in pieces, and with a flush in its middle. `parallel`: two turns
at once. `format`: the same text in two formats. `interruptions`: turns that are cancelled, each followed by another.
`key`: a handshake without a valid key. `contexts`: more contexts than allowed. `transcription`: a recording is
streamed, as often as there are turns."""


class SocketScenario(Record, frozen=True, kw_only=True):
    """What a case does over WebSockets."""

    kind: SocketScenarioKind
    format_name: str | None = None
    """Name of the second audio format of a `format` scenario, or of the audio format in which a recording is
    streamed; `None` for other scenarios."""
    interruption_count: int = 0
    """Number of turns that are cancelled in an `interruptions` scenario, each followed by another turn."""
    turn_count: int = 0
    """Number of turns that may be charged."""


class UploadPadding(Record, frozen=True, kw_only=True):
    """The uploaded WAV file that is padded just before it is sent, and its size then."""

    field_name: str
    """Name of the form field that has the file."""
    size_bytes: int
    """Size of the file as sent, in bytes."""


class CallbackUrlParameter(Record, frozen=True, kw_only=True):
    """A request parameter that takes a webhook URL."""

    location: Location
    """Location of the parameter in the request. The URL itself is only known when the request is sent."""
    callback_timing: CallbackTiming
    """When the service sends callbacks for the request: only at the end of the job, or also before."""


class DeliveryComparison(Record, frozen=True, kw_only=True):
    """How the request of a delivery differs from the request of the delivery with which its audio is compared."""

    compared_parameter: ComparedParameter
    """The parameter that differs, or that is repeated."""
    base_case_id: str
    """Id of the other case, which comes earlier in the plan."""
    base_value: str | float | int | None = None
    """Value of the parameter in the other request, or the documented default; `None` if neither is known."""
    changed_value: str | float | int
    """Value of the parameter in the request of the delivery."""


class ConformanceCase(Record, frozen=True, kw_only=True):
    """One planned request, or a sequence of requests that starts with it."""

    id: str
    """Identifier that is unique within a plan: "<provider>/<target or operation>: <description>"."""
    provider: str
    """Id of the provider."""
    operation: str
    """Id of the operation that the first request calls."""
    target_name: str | None = None
    """Name of the target within the provider; `None` if the case tests no target."""
    expected_response: ExpectedResponse
    """The response that follows from the contract, and what is special about the request."""
    request: RequestParts | None = None
    """The request of a single call, or the first one of a lifecycle; `None` for other cases, such as a delivery."""
    speech_request: SpeechRequest | None = None
    """The speech that a delivery requests: the job is polled to its end and the audio is downloaded. `None` for other
    cases."""
    api_key_validity: ApiKeyValidity = "valid"
    """Which API key is sent."""
    is_lifecycle: bool = False
    """Whether `request` creates a resource or a batch, which the check then follows to its end."""
    varies_requests_that_use_resource: bool = False
    """Whether a lifecycle also sends variants of the request that uses the resource. Together they contain each
    documented value of the fields other than the resource id."""
    comparison: DeliveryComparison | None = None
    """The other delivery with which this delivery is compared; `None` if it is compared with none."""
    companion_request: SpeechRequest | None = None
    """The speech of a second delivery, the companion, that is requested at the same moment; `None` without one."""
    expects_job_failure: bool = False
    """Whether the job of a delivery should end in failure."""
    calls_billable_operation: bool = False
    """Whether the case is a single call to a billable operation without targets, such as a chat completion."""
    text_character_count: int = 0
    """Number of characters in the text of the request, from which the price is computed."""
    audio_duration_s: float = 0.0
    """Duration in seconds of the recording that the request uploads, from which the price is computed."""
    upload_padding: UploadPadding | None = None
    """The size to which the uploaded file is padded; `None` if it is sent as it is."""
    callback_url_parameter: CallbackUrlParameter | None = None
    """The parameter in which the request has a webhook URL; `None` if it has none."""
    is_in_every_plan: bool = False
    """Whether the single call is in every plan, also in one with as few billable requests as possible. It then
    represents its operation, as a delivery represents a speech target."""
    socket_scenario: SocketScenario | None = None
    """What the case does on WebSockets; `None` for a case over HTTP."""
    is_fuzzed: bool = False
    """Whether the request was generated at random."""

    @property
    def first_request_count(self) -> int:
        """Number of requests with which the case begins: 2 at the same moment if it has a companion, otherwise 1."""
        return 1 if self.companion_request is None else 2

    @property
    def charged_request_count(self) -> int:
        """Number of requests that are charged one by one: turns on a WebSocket, or deliveries at the same moment."""
        if self.companion_request is not None:
            return self.first_request_count
        return max(self.socket_scenario.turn_count, 1) if self.socket_scenario is not None else 1

    @property
    def kind(self) -> CaseKind:
        """The kind of the case. Reports of spending are grouped by it."""
        if self.is_fuzzed:
            return "fuzzing"
        if self.is_lifecycle:
            return "lifecycle"
        # A handshake with a wrong key is a case of authentication, as over HTTP.
        if self.socket_scenario is not None and self.socket_scenario.kind != "key":
            return "conversation"
        return "delivery" if self.speech_request is not None else self.expected_response.case_kind

    @property
    def is_billable(self) -> bool:
        """Whether the case may be accepted, and costs money if it is."""
        has_price = self.target_name is not None or self.calls_billable_operation
        # A lifecycle always counts, because its later requests are not known yet and may cost money.
        return self.is_lifecycle or (has_price and self.expected_response.acceptance != "rejected")


class SkippedCase(Record, frozen=True, kw_only=True):
    """A case that could not be planned, or must not be sent, with the reason."""

    id: str
    """Id that the case would have."""
    skip_reason: str
    """Why the case could not be planned or must not be sent, in one line."""


def build_operation_name(operation: Operation) -> str:
    """Return the name of an operation that is unique across providers: <provider>/<operation id>."""
    return f"{operation.contract.id}/{operation.id}"


def build_case(
    operation: Operation,
    expected_response: ExpectedResponse,
    *,
    target_name: str | None = None,
    id_prefix: str | None = None,
    **other_fields: Any,
) -> ConformanceCase:
    """Return a case of `operation` whose id ends with the description of `expected_response`.

    Args:
        operation: the operation that is called.
        expected_response: the response that the case should get.
        target_name: name of the target within the provider; `None` for a case without a target.
        id_prefix: first part of the id; `None` for <provider>/<operation id>.
        other_fields: values of other fields of `ConformanceCase`, by field name.
    """
    return ConformanceCase(
        id=f"{id_prefix or build_operation_name(operation)}: {expected_response.description}",
        provider=operation.contract.id,
        operation=operation.id,
        target_name=target_name,
        expected_response=expected_response,
        **other_fields,
    )


def expect_acceptance(description: str, contract_pointer: str) -> ExpectedResponse:
    """Return the expected response to a valid request."""
    return ExpectedResponse(
        acceptance="accepted", case_kind="valid", description=description, contract_pointer=contract_pointer
    )


def expect_undocumented_outcome(
    description: str, contract_pointer: str, statuses: tuple[int, ...] = ()
) -> ExpectedResponse:
    """Return the expected response to a request that may be accepted or rejected, because neither is documented."""
    return ExpectedResponse(
        acceptance="either",
        statuses=statuses,
        case_kind="undocumented",
        description=description,
        contract_pointer=contract_pointer,
    )


def expect_rejection_as_invalid(operation: Operation, description: str, contract_pointer: str) -> ExpectedResponse:
    """Return the expected response to a request that breaks the schema of `operation`."""
    return ExpectedResponse(
        acceptance="rejected",
        statuses=find_rejection_statuses(operation, "invalid"),
        case_kind="invalid",
        description=description,
        contract_pointer=contract_pointer,
    )


def expect_outcome_by_validity(
    operation: Operation, description: str, contract_pointer: str, *, is_valid: bool
) -> ExpectedResponse:
    """Return the expected response to a request that tests one keyword or limit of the contract.

    Acceptance is expected if `is_valid`, otherwise rejection. Either outcome is allowed if no normative document
    states the keyword or limit, or if the request violates nothing but a `format`, which is an annotation in JSON
    Schema 2020-12 (validation, section 7.2.1). For example, a service may notice a bad URL only when it fetches the
    file.

    Args:
        operation: the operation that is called.
        description: what is special about the request.
        contract_pointer: JSON pointer to the keyword or limit.
        is_valid: whether the request fits the keyword or limit.
    """
    is_annotation = not is_valid and contract_pointer.endswith("/format")
    if is_annotation or not operation.contract.has_normative_source(contract_pointer):
        return expect_undocumented_outcome(description, contract_pointer)
    if is_valid:
        return expect_acceptance(description, contract_pointer)
    return expect_rejection_as_invalid(operation, description, contract_pointer)


def find_rejection_statuses(operation: Operation, rejection_reason: RejectionReason) -> tuple[int, ...]:
    """Return the statuses that `operation` documents for a rejection reason.

    These are the statuses with an example of that reason. If there is no such example, they are the documented ones
    among `USUAL_STATUSES_BY_REJECTION_REASON`. The result is empty if the operation documents none of them.
    """
    with_example = {
        int(status)
        for status, response in operation.responses.items()
        if status.isdecimal()
        for media in response.media_types.values()
        for example in media.examples
        if example.rejection_reason is not None and example.rejection_reason.partition(":")[0] == rejection_reason
    }
    # Without an example of the reason, nothing is known but which of the usual statuses the operation documents.
    usual = {
        status for status in USUAL_STATUSES_BY_REJECTION_REASON[rejection_reason] if str(status) in operation.responses
    }
    return tuple(sorted(with_example or usual))


def explain_inconclusive_status(status: int) -> str | None:
    """Return why a response with this status to a valid request proves nothing; `None` if it can prove something.

    A service with a rate limit, a full queue or an empty account rejects a request without looking at it.
    """
    if status in (425, 429, 503):  # 425: not yet (RFC 8470)
        return f"rate limited or busy, try again later ({status})"
    return "the account has no credit left (402)" if status == 402 else None


def explain_rejected_account(operation: Operation, status: int) -> str | None:
    """Return why the status of a response to a request with a key proves nothing; `None` if it can prove something.

    In addition to the statuses of `explain_inconclusive_status`, these are the statuses with which the provider rejects
    an account without credit, or whose plan, region or permissions exclude the request: those of documented examples
    with the reason "forbidden" or "no-credit".
    """
    if (reason := explain_inconclusive_status(status)) is not None:
        return reason
    is_documented = status in _find_statuses_of_rejected_accounts(operation.contract)
    return f"the account may not use this, as documented ({status})" if is_documented else None


@functools.cache  # asked for each response, and found by reading all examples of the contract
def _find_statuses_of_rejected_accounts(contract: Contract) -> frozenset[int]:
    """Return the documented statuses, of any operation, with which an account is refused, whatever it requests."""
    reasons: tuple[RejectionReason, ...] = ("forbidden", "no-credit")
    return frozenset(
        status
        for operation in contract.operations.values()
        for reason in reasons
        for status in find_rejection_statuses(operation, reason)
    )


def explain_missing_verdict(case: ConformanceCase, operation: Operation, status: int) -> str | None:
    """Return why a response to `case` proves nothing about the contract; `None` if it can prove something."""
    if status in case.expected_response.statuses:
        return None
    if case.expected_response.case_kind == "authentication":  # no account is refused without its key
        return explain_inconclusive_status(status)
    return explain_rejected_account(operation, status)


def find_request_target(operation: Operation, request: RequestParts) -> Target | None:
    """Return the target that a request to `operation` addresses; `None` if it addresses none."""
    return operation.find_target(lambda location: location.read_request(request))
