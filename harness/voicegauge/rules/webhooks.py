"""Rules about webhooks, and what they look at."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from voicegauge.contract.contract import Target
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import CallbackTiming, JobSpec, JobState, WebhookSpec
from voicegauge.contract.extension.provider import SignatureHeaders, WebhookSignature
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.formats.bodies import quote_json
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import Severity
from voicegauge.model.exchange import Exchange, ReceivedCallback, Response
from voicegauge.rules.call import Call, CaseOutcome, CheckSubject
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule

StateMeaning = Literal["success", "failure", "unfinished"]
"""What a state means for the job: it ended in success or in failure, or has not ended yet (`unfinished`)."""


@dataclass(frozen=True, eq=False)
class Callback(CheckSubject):
    """One request of a provider to a webhook URL, with its documented body."""

    documented_body: MediaType
    """The body of the callback as the contract documents it."""
    exchange: Exchange
    """The callback, and the response of the receiver."""
    operation: Operation
    """An operation whose requests cause the callback. For a webhook that belongs to no operation, any operation of the
    contract."""
    target: Target | None = None
    """The target of the request that caused the callback; `None` if it was not observed."""

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointer to the documented body, at which a dispute can be recorded."""
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
    """The callbacks as the receiver got them, with the time of each."""
    subscribed_callbacks: CallbackTiming
    """Which callbacks the request asked for: only the one at the end of the job, also earlier ones, or unknown."""
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
        """The target of the request; `None` if the request was not observed, or if its target is not known."""
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
        """Whether a user can send the request again, which is possible if the submit was observed."""
        return self.submit_call is not None

    @functools.cached_property
    def documented_body(self) -> MediaType:
        """The body of the callbacks as the contract documents it."""
        return self.operation.callback_body

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
        """The body of each callback, parsed as JSON; `MISSING` for one that is not valid JSON."""
        return tuple(parse_exchange(callback.exchange).request_json for callback in self.callback_subjects)

    @functools.cached_property
    def signature_headers(self) -> tuple[SignatureHeaders, ...]:
        """For each callback, the signatures, id and time in its headers; empty if no signature is documented."""
        spec = self.webhook_spec.signature
        if spec is None:
            return ()
        return tuple(spec.read_headers(received.request.find_header) for received in self.received_callbacks)

    def is_signature_valid(self, callback_index: int) -> bool:
        """Whether the callback at `callback_index` has a signature made with the secret, which must be known."""
        spec, parts = self.webhook_spec.signature, self.signature_headers[callback_index]
        assert spec is not None, "signed parts exist"
        assert self.webhook_secret is not None, "the caller has checked it"
        right = spec.compute_signature(
            self.webhook_secret,
            self.received_callbacks[callback_index].request.body,
            callback_id=parts.callback_id,
            timestamp=parts.timestamp,
        )
        # Any: while a provider changes its secret, it signs with both. Compared in constant time, as receivers should.
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
        """The parsed bodies of the callbacks that report the end of the job, in the order of arrival."""
        return [body for body in self.callback_bodies if self.read_state_meaning(body) in ("success", "failure")]

    @property
    def submitted_job_id(self) -> Any:
        """The job id in the response to the submit; `MISSING` if it is not known."""
        return (
            self.submit_call.read_response_value(self.operation.callback_id_location)
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
        """The terminal state that a poll reported, with its meaning; `None` if none was reported.

        For an operation without a job it is "success" if the submit was accepted, and `None` otherwise.
        """
        if self.operation.started_job_operation is None:
            return ("success", "success") if self.submit_call is not None and self.submit_call.is_accepted else None
        polled_states = ((state, meaning) for _, state, meaning in self.iterate_polled_states())
        return next(((state, meaning) for state, meaning in polled_states if meaning != "unfinished"), None)

    @property
    def _job_spec(self) -> JobSpec | None:
        status = self.operation.started_job_operation
        return status.job if status is not None else None

    @property
    def _state_by_name(self) -> dict[str, JobState]:
        return self._job_spec.states if self._job_spec is not None else {}


def _get_state_meaning(state_spec: JobState | None) -> StateMeaning | None:
    return None if state_spec is None else state_spec.terminal_outcome or "unfinished"


def _read_callback_value(body: Any, location: Location | None) -> Any:
    return MISSING if location is None else location.read_body(body)


NETWORK_DELAY_TOLERANCE_S = 2.0
"""Number of seconds by which the network delays of two callbacks can differ."""


@register_rule(
    "webhook-missing",
    subject_class=RequestCallbacks,
    description="A webhook URL gets a callback about the end of the job.",
    contract_condition="x-webhook",
    explanation=Explanation(
        consequence="A client that relies on callbacks instead of polling never learns that the job ended.",
        conforming_example="A request with a webhook URL is followed by a callback at its end.",
        violating_example="A request with a webhook URL is accepted, the job ends, and no callback comes.",
    ),
    shown_by=(FaultExample("webhook-never", found_in="webhook"),),
)
def _check_final_callback_missing(callbacks: RequestCallbacks) -> Iterator[Violation]:
    end = callbacks.final_state
    if not callbacks.has_waited_long_enough or end is None:
        return
    documented = callbacks.webhook_spec.body_locations
    if documented is not None and end[1] not in documented.outcome_by_state.values():
        return  # no document describes a callback for a job that ends like this
    if not callbacks.final_callback_bodies:
        others = (
            f"{len(callbacks.received_callbacks)} other callbacks" if callbacks.received_callbacks else "no callback"
        )
        yield Violation(f"the job ended as {end[0]}, but its URL got {others}", _build_webhook_pointer(callbacks))


@register_rule(
    "webhook-early",
    subject_class=RequestCallbacks,
    description="Subscribers to the final event get no earlier events.",
    contract_condition="x-webhook",
    explanation=Explanation(
        consequence="A receiver that takes each callback for the end fetches audio that does not exist yet.",
        conforming_example='Subscribed to "completed": one callback, at the end',
        violating_example='Subscribed to "completed": a callback with the status "running"',
    ),
    shown_by=(FaultExample("webhook-early", found_in="webhook"),),
)
def _check_callback_before_end(callbacks: RequestCallbacks) -> Iterator[Violation]:
    for received, body in zip(callbacks.received_callbacks, callbacks.callback_bodies, strict=True):
        if callbacks.subscribed_callbacks == "terminal" and callbacks.read_state_meaning(body) == "unfinished":
            state = callbacks.read_state(body)
            yield Violation(
                f"callback about {state}, but only the end was subscribed to",
                _build_webhook_pointer(callbacks),
                evidence=_format_json(body),
            )
        elif callbacks.read_state_meaning(body) in ("success", "failure"):
            for poll, state, state_meaning in callbacks.iterate_polled_states():
                timing = poll.exchange.timing
                # Only a poll that was sent later: the response to an earlier one may have been on its way.
                if state_meaning == "unfinished" and timing is not None and timing.started_ms > received.received_at_ms:
                    message = f"callback about the end, but polled afterwards the job was {state}"
                    yield Violation(message, _build_webhook_pointer(callbacks), evidence=_format_json(body))
                    break


@register_rule(
    "webhook-repeated",
    subject_class=RequestCallbacks,
    description="Repeated callbacks about the end of a job are identical.",
    contract_condition="x-webhook",
    explanation=Explanation(
        consequence="Which of two different ends is true, and which audio is charged?",
        conforming_example="Two callbacks with equal bodies",
        violating_example="Two callbacks with different completion times",
    ),
    shown_by=(FaultExample("webhook-twice", found_in="webhook"),),
)
def _check_repeated_callbacks_differ(callbacks: RequestCallbacks) -> Iterator[Violation]:
    # Equal repetitions are the subject of webhook-duplicate, because documents often allow them.
    for before, after in pairwise(callbacks.final_callback_bodies):
        if after != before:
            yield Violation(
                "two different callbacks about the end",
                _build_webhook_pointer(callbacks),
                evidence=f"{_format_json(before)} {_format_json(after)}",
            )


@register_rule(
    "webhook-duplicate",
    subject_class=RequestCallbacks,
    description="The final callback is sent once, unless repetition is documented.",
    contract_condition="x-webhook",
    severity=Severity.WARNING,
    explanation=Explanation(
        consequence="A receiver that does not compare ids acts twice, such as by sending two messages.",
        conforming_example="One callback about the end",
        violating_example="Two equal callbacks about the end, although no document mentions repetition",
    ),
    unshown_reason="Only signed callbacks are repeated as they are, and the contract with signatures allows it.",
)
def _check_final_callback_sent_again(callbacks: RequestCallbacks) -> Iterator[Violation]:
    ends = callbacks.final_callback_bodies
    if not callbacks.webhook_spec.may_be_repeated and any(before == after for before, after in pairwise(ends)):
        yield Violation(
            f"{len(ends)} callbacks about the end", _build_webhook_pointer(callbacks), evidence=_format_json(ends[0])
        )


@register_rule(
    "webhook-progress-late",
    subject_class=RequestCallbacks,
    description="Progress callbacks come as often as documented.",
    contract_condition="x-webhook.max_progress_interval_s",
    severity=Severity.WARNING,
    explanation=Explanation(
        consequence="A progress display stands still, and a client that expects a sign of life gives up.",
        conforming_example="max_progress_interval_s: 10. A callback every 5 s",
        violating_example="max_progress_interval_s: 10. A pause of 40 s between two callbacks",
    ),
    unshown_reason="No fault delays a callback.",
)
def _check_progress_callback_late(callbacks: RequestCallbacks) -> Iterator[Violation]:
    longest_s = callbacks.webhook_spec.max_progress_interval_s
    if callbacks.subscribed_callbacks != "progress" or longest_s is None:
        return
    timing = callbacks.submit_call.exchange.timing if callbacks.submit_call is not None else None
    moments = [timing.started_ms] if timing is not None else []
    for received, body in zip(callbacks.received_callbacks, callbacks.callback_bodies, strict=True):
        moments.append(received.received_at_ms)
        if callbacks.read_state_meaning(body) in ("success", "failure"):
            break  # repetitions after the end may come at any time
    # A callback that was sent in time may be delayed by the network more than the one before it.
    gap_s = max(((after - before) / 1000 for before, after in pairwise(moments)), default=0.0)
    if gap_s > longest_s + NETWORK_DELAY_TOLERANCE_S:
        message = f"no callback for {gap_s:.1f} s; at most {longest_s:g} s are documented"
        yield Violation(message, f"{_build_webhook_pointer(callbacks)}/max_progress_interval_s")


@register_rule(
    "webhook-contradicts",
    subject_class=RequestCallbacks,
    description="A callback and the status response agree about the state of the job.",
    contract_condition="x-webhook",
    explanation=Explanation(
        consequence="The result depends on whether a client polls or waits for the callback.",
        conforming_example='The callback and the status response say "done".',
        violating_example='The callback says "done", the status response "failed".',
    ),
    unshown_reason="The faults of webhooks leave the reported state as it is.",
)
def _check_callback_contradicts_status(callbacks: RequestCallbacks) -> Iterator[Violation]:
    end, given = callbacks.final_state, callbacks.submitted_job_id
    for body in callbacks.callback_bodies:
        named = callbacks.read_job_id(body)
        if MISSING not in (given, named) and named != given:
            yield Violation(
                f"callback about {named!r:.80}, but the request was {given!r:.80}", _build_webhook_pointer(callbacks)
            )
            return
        state_meaning, state = callbacks.read_state_meaning(body), callbacks.read_state(body)
        if end is None or state_meaning in (None, "unfinished"):
            continue
        has_own_states = callbacks.webhook_spec.body_locations is not None
        if state_meaning != end[1] or (not has_own_states and state != end[0]):
            message = f"the callback reports the end as {state}, but the status response {end[0]}"
            yield Violation(message, _build_webhook_pointer(callbacks), evidence=_format_json(body))
            return


@register_rule(
    "webhook-plain-http",
    subject_class=CaseOutcome,
    description="A webhook URL with plain http is rejected if the document requires https.",
    contract_condition="x-webhook.requires_https",
    explanation=Explanation(
        consequence="Results, and perhaps private texts, travel unencrypted.",
        conforming_example="http://example.com/hook is rejected with 400.",
        violating_example="http://example.com/hook is accepted.",
    ),
    shown_by=(FaultExample("webhook-plain-http", found_in="webhook"),),
)
def _check_plain_http_url_accepted(outcome: CaseOutcome) -> Iterator[Violation]:
    if outcome.expected_response.case_kind == "plain-http" and outcome.call.is_accepted:
        yield Violation(
            f"{outcome.expected_response.description}: accepted with {outcome.call.status}",
            outcome.expected_response.contract_pointer,
        )


@register_rule(
    "webhook-forged",
    subject_class=RequestCallbacks,
    description="A callback has the documented signature of its body. Without the secret, only its presence is judged.",
    contract_condition="x-webhook.signature",
    explanation=Explanation(
        consequence=(
            "A receiver that verifies signatures refuses every callback, and one that does not accepts anyone's."
        ),
        conforming_example="The signature is the HMAC of the body with the account's secret.",
        violating_example="The signature is computed with another secret.",
    ),
    shown_by=(FaultExample("webhook-forged", target_id="replicate/speech-02-turbo", found_in="webhook"),),
)
def _check_callback_signature_wrong(callbacks: RequestCallbacks) -> Iterator[Violation]:
    for index, parts in enumerate(callbacks.signature_headers):
        if not parts.signatures:
            message = f"a callback has no signature in {_get_signature_spec(callbacks).signature_header_name}"
        elif callbacks.webhook_secret is not None and not callbacks.is_signature_valid(index):
            message = "a callback has a signature that was not made with the secret"
        else:
            continue
        yield Violation(message, _build_signature_pointer(callbacks))
        return


@register_rule(
    "webhook-late",
    subject_class=RequestCallbacks,
    description="The signed time of a callback differs from the time of its arrival by at most the tolerance.",
    contract_condition="x-webhook.signature",
    explanation=Explanation(
        consequence="A receiver refuses callbacks with an old time, because they may be replayed.",
        conforming_example="Tolerance 300 s. Signed at 10:00:00, received at 10:00:01",
        violating_example="Tolerance 300 s. Signed yesterday, received today",
    ),
    shown_by=(FaultExample("webhook-late", target_id="replicate/speech-02-turbo", found_in="webhook"),),
)
def _check_signed_time_wrong(callbacks: RequestCallbacks) -> Iterator[Violation]:
    for received, parts in zip(callbacks.received_callbacks, callbacks.signature_headers, strict=False):
        if parts.time_s is None:
            continue
        age_s = received.received_at - parts.time_s
        tolerance_s = _get_signature_spec(callbacks).timestamp_tolerance_s
        if abs(age_s) > tolerance_s:
            message = f"a callback was signed {age_s:.0f} s before it arrived; at most {tolerance_s:g} s are tolerated"
            yield Violation(message, f"{_build_signature_pointer(callbacks)}/timestamp_tolerance_s")
            return


@register_rule(
    "webhook-replayed",
    subject_class=RequestCallbacks,
    description="No two callbacks have the same signed id and time: each attempt has a signature of its own.",
    contract_condition="x-webhook.signature",
    severity=Severity.WARNING,
    explanation=Explanation(
        consequence="A receiver that remembers signatures refuses the second attempt as a replay.",
        conforming_example="Two attempts have different times and signatures.",
        violating_example="Two attempts have the same id, time and signature.",
    ),
    shown_by=(
        FaultExample(
            "webhook-replayed",
            target_id="replicate/speech-02-turbo",
            found_in="webhook",
            also_found_by=("webhook-duplicate",),
        ),
    ),
)
def _check_callback_signature_reused(callbacks: RequestCallbacks) -> Iterator[Violation]:
    seen = set()
    for parts in callbacks.signature_headers:
        if not (parts.callback_id or parts.timestamp):
            return  # equal callbacks have equal signatures
        if parts in seen:
            yield Violation("a callback came twice with the same signature", _build_signature_pointer(callbacks))
            return
        seen.add(parts)


def _get_signature_spec(callbacks: RequestCallbacks) -> WebhookSignature:
    assert callbacks.webhook_spec.signature is not None, "signed parts exist"
    return callbacks.webhook_spec.signature


def _build_signature_pointer(callbacks: RequestCallbacks) -> str:
    return f"{_build_webhook_pointer(callbacks)}/signature"


def _build_webhook_pointer(callbacks: RequestCallbacks) -> str:
    return f"{callbacks.operation.pointer}/x-webhook"


def _format_json(body: Any) -> str:
    return quote_json(body, 1_000)
