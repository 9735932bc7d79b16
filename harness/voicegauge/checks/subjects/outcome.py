"""The expected and the actual response to a planned case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voicegauge.checks.subjects.call import CallSubject
from voicegauge.model import Record


class ExpectedResponse(Record, frozen=True, kw_only=True):
    """The response that a planned case should get according to the contract."""

    acceptance: Literal["accepted", "rejected", "either"]
    """Whether the request should be accepted or rejected. `either`: no document says which, so that only a server error
    is wrong."""
    statuses: tuple[int, ...] = ()
    """The documented statuses that the response may have; empty if it may have any status that fits `acceptance`."""
    case_kind: Literal[
        "valid", "invalid", "authentication", "unknown-id", "rejection-reason", "undocumented", "plain-http"
    ]
    """The property that the case tests.

    `authentication`: a missing or wrong key; `unknown-id`: an id that the provider has not given out;
    `rejection-reason`: a documented reason such as missing credit; `undocumented`: input that no document mentions;
    `plain-http`: a webhook URL without TLS.
    """
    description: str
    """A short phrase that says what is special about the request."""
    contract_pointer: str
    """JSON pointer to the part of the contract that the case tests."""


@dataclass(frozen=True, eq=False)
class CaseOutcome(CallSubject):
    """The call of a planned case, together with the response that was expected."""

    expected_response: ExpectedResponse

    @property
    def possible_dispute_pointers(self) -> tuple[str, ...]:
        """The dispute pointers of the call, and the pointer to the part of the contract that the case tests."""
        return (self.expected_response.contract_pointer, *super().possible_dispute_pointers)

    @property
    def is_server_error(self) -> bool:
        """Whether the response is a server error that was not expected."""
        return self.call.status >= 500 and self.call.status not in self.expected_response.statuses
