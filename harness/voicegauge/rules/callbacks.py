"""What rules look at in webhooks."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from voicegauge.contract.callbacks import (
    SignatureHeaders,
    compute_signature,
    find_callback_body,
    find_callback_id_location,
    find_status_operation,
    read_signature_headers,
)
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import CallbackTiming, JobSpec, JobState, WebhookSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.contract.targets import Target
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.exchange import Exchange, ReceivedCallback, Response
from voicegauge.rules.call import Call, CheckSubject

StateMeaning = Literal["success", "failure", "unfinished"]
"""What a state means for the job: it ended in success or in failure, or has not ended yet (`unfinished`)."""


@dataclass(frozen=True, eq=False)
class Callback(CheckSubject):
    """One request of a provider to a webhook URL, with its documented body."""

    documented_body: MediaType
    """The body of the callback as the contract documents it."""
    exchange: Exchange
    operation: Operation
    """An operation whose requests cause the callback. For a webhook that belongs to no operation, any operation of the
    contract."""
    target: Target | None = None

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointer to the documented body."""
        return (self.documented_body.pointer,)

    @property
    def can_be_sent_again(self) -> bool:
        """Whether a user could send the request again. It is false, because the provider sends callbacks."""
        return False


@dataclass(frozen=True, eq=False)
class RequestCallbacks(CheckSubject):
    """All callbacks that were received for one request, in the order of their arrival."""

    operation: Operation
    """The operation of the request, with an `x-webhook`."""
    received_callbacks: tuple[ReceivedCallback, ...]
    subscribed_callbacks: CallbackTiming
    """Which callbacks the request asked for: only the one at the end of the job, also those before, or unknown."""
    submit_call: Call | None = None
    """The request with the webhook URL; `None` if it was not observed."""
    polls: tuple[Call, ...] = ()
    """The status requests about the job of the request."""
    has_waited_long_enough: bool = False
    """Whether the receiver waited so long that a callback that was not received counts as missing."""
    webhook_secret: str | None = None
    """The secret with which the provider signs callbacks; `None` if it is not known."""

    @property
    def webhook_spec(self) -> WebhookSpec:
        """The description of the webhook in the contract."""
        assert self.operation.webhook is not None, "created for operations with an x-webhook only"
        return self.operation.webhook

    @property
    def target(self) -> Target | None:
        """The target of the request, if it was observed."""
        return self.submit_call.target if self.submit_call is not None else None

    @property
    def exchange(self) -> Exchange:
        """The exchange of the submit, or the first callback if the submit was not observed."""
        return self.submit_call.exchange if self.submit_call is not None else self.callback_subjects[0].exchange

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers to the parts of the contract that may record a dispute: the webhook and the operation."""
        return (f"{self.operation.pointer}/x-webhook", self.operation.pointer)

    @property
    def can_be_sent_again(self) -> bool:
        """Whether the submit was observed."""
        return self.submit_call is not None

    @functools.cached_property
    def documented_body(self) -> MediaType:
        """The body of the callbacks as the contract documents it."""
        return find_callback_body(self.operation)

    @functools.cached_property
    def callback_subjects(self) -> tuple[Callback, ...]:
        """Each received callback as a subject of rules.

        Its exchange consists of the request of the provider and the response of the receiver, which is always 200.
        """
        return tuple(
            Callback(
                self.documented_body,
                Exchange(
                    provider=self.contract.id,
                    operation=self.webhook_spec.callback_operation_id,
                    request=received.request,
                    response=Response(status=200),
                ),
                self.operation,
                self.target,
            )
            for received in self.received_callbacks
        )

    @functools.cached_property
    def callback_bodies(self) -> tuple[Any, ...]:
        """The body of each callback; `MISSING` for one that is not valid JSON."""
        return tuple(parse_exchange(callback.exchange).request_json for callback in self.callback_subjects)

    @functools.cached_property
    def signature_headers(self) -> tuple[SignatureHeaders, ...]:
        """For each callback, the signatures, id and time in its headers; empty if no signature is documented."""
        spec = self.webhook_spec.signature
        if spec is None:
            return ()
        return tuple(read_signature_headers(spec, received.request.find_header) for received in self.received_callbacks)

    def is_signature_valid(self, callback_index: int) -> bool:
        """Whether the callback at `callback_index` has a signature made with the secret, which must be known."""
        spec, parts = self.webhook_spec.signature, self.signature_headers[callback_index]
        assert spec is not None, "signed parts exist"
        assert self.webhook_secret is not None, "the caller has checked it"
        right = compute_signature(
            spec,
            self.webhook_secret,
            self.received_callbacks[callback_index].request.body,
            callback_id=parts.callback_id,
            timestamp=parts.timestamp,
        )
        return any(hmac.compare_digest(right, signature) for signature in parts.signatures)

    def read_job_id(self, body: Any) -> Any:
        """Return the job id in the body of a callback; `MISSING` if it contains none."""
        documented, job = self.webhook_spec.body_locations, self._job_spec
        return _read_callback_value(
            body, documented.id_location if documented is not None else job.job_id_location if job is not None else None
        )

    def read_state(self, body: Any) -> str | None:
        """Return the state that the body of a callback reports; `None` if it reports none."""
        documented, job = self.webhook_spec.body_locations, self._job_spec
        read_value = functools.partial(_read_callback_value, body)
        found = (
            read_value(documented.state_location)
            if documented is not None
            else job.read_state(read_value)
            if job is not None
            else None
        )
        return found if isinstance(found, str) else None

    def read_state_meaning(self, body: Any) -> StateMeaning | None:
        """Return what the state in the body of a callback means for the job; `None` if the state is not documented."""
        state, documented = self.read_state(body), self.webhook_spec.body_locations
        if documented is not None:
            return documented.outcome_by_state.get(state or "")
        return _get_state_meaning(self._state_by_name.get(state or ""))

    @property
    def final_callback_bodies(self) -> list[Any]:
        """The bodies of callbacks that report the end of the job."""
        return [body for body in self.callback_bodies if self.read_state_meaning(body) in ("success", "failure")]

    @property
    def submitted_job_id(self) -> Any:
        """The job id in the response to the submit; `MISSING` if it is not known."""
        return (
            self.submit_call.read_response_value(find_callback_id_location(self.operation))
            if self.submit_call is not None
            else MISSING
        )

    def iterate_polled_states(self) -> Iterator[tuple[Call, str, StateMeaning]]:
        """Yield each status request whose response has a documented state, with that state and its meaning."""
        job = self._job_spec
        for poll in self.polls:
            state = job.read_state(poll.read_response_value) if job is not None and poll.is_accepted else None
            state_meaning = _get_state_meaning(self._state_by_name.get(state)) if isinstance(state, str) else None
            if state_meaning is not None:
                yield poll, str(state), state_meaning

    @property
    def final_state(self) -> tuple[str, StateMeaning] | None:
        """The terminal state that the submit or a poll reported, with its meaning; `None` if none was reported."""
        if find_status_operation(self.operation) is None:
            return ("success", "success") if self.submit_call is not None and self.submit_call.is_accepted else None
        polled_states = ((state, meaning) for _, state, meaning in self.iterate_polled_states())
        return next(((state, meaning) for state, meaning in polled_states if meaning != "unfinished"), None)

    @property
    def _job_spec(self) -> JobSpec | None:
        status = find_status_operation(self.operation)
        return status.job if status is not None else None

    @property
    def _state_by_name(self) -> dict[str, JobState]:
        return self._job_spec.states if self._job_spec is not None else {}


def _get_state_meaning(state_spec: JobState | None) -> StateMeaning | None:
    return None if state_spec is None else state_spec.terminal_outcome or "unfinished"


def _read_callback_value(body: Any, location: Location | None) -> Any:
    return MISSING if location is None else location.read_body(body)
