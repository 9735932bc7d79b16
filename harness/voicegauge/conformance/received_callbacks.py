"""Receives the callbacks of a check and waits for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import msgspec

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.delivery_cases import set_value_in_case_request
from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.jobs import CallbackTiming
from voicegauge.contract.operation import Operation
from voicegauge.emulator.process import EMULATED_WEBHOOK_SECRET, SERVER_HEADER_VALUE
from voicegauge.errors import UsageError
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Finding, Provenance, Record
from voicegauge.model.exchange import ReceivedCallback
from voicegauge.recording.masking import mask_credentials
from voicegauge.recording.quoted_words import mask_undocumented_words
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.rules.webhooks import RequestCallbacks

if TYPE_CHECKING:
    from voicegauge.callback_receiver import Receiver

# Collects the callbacks that a service sends for one case.


CALLBACK_TIMEOUT_S = 60.0
"""Seconds to wait for the callback of a job after a response reported the end. No document states a limit."""
EMULATED_CALLBACK_TIMEOUT_S = 1.0
"""Seconds to wait for a callback of the emulator. The emulator sends it before it reports the same state in a response,
so it arrives at once."""
REPEATED_CALLBACK_WAIT_S = 3.0
"""Seconds to listen after the last expected callback, because it may be sent twice."""


def read_webhook_secret(operation: Operation, *, is_emulated: bool) -> str | None:
    """Return the secret with which the provider signs callbacks, from the environment; `None` if it is not known.

    Raises:
        UsageError: the secret is not base64, although the contract says so.
    """
    signature = operation.webhook.signature if operation.webhook is not None else None
    if signature is None:
        return None
    secret = os.environ.get(signature.secret_variable, "").strip() or (EMULATED_WEBHOOK_SECRET if is_emulated else None)
    if secret is not None:
        try:
            signature.compute_signature(secret, b"", callback_id="", timestamp="")  # only to see whether it can be used
        except ValueError as error:
            raise UsageError(str(error)) from None
    return secret


@contextmanager
def open_receiver_for_cases(
    cases: Sequence[ConformanceCase], user_receiver: Receiver | None, provenance: Provenance
) -> Iterator[Receiver | None]:
    """Yield the receiver for the callbacks of `cases`: `user_receiver`, or a local one for callbacks of the emulator.

    Yield `None` if there is no `user_receiver` and no local one is needed or would be reachable.
    """
    is_local = (
        user_receiver is None
        and provenance is Provenance.EMULATED
        and any(case.callback_url_parameter for case in cases)
    )
    if not is_local:
        yield user_receiver
        return
    from voicegauge.callback_receiver import run_receiver  # checks without webhooks need no server

    with run_receiver() as receiver:
        yield receiver


class WebhookCaseReceiver:
    """Receives the callbacks of one case at a webhook URL that no other case uses."""

    def __init__(self, case: ConformanceCase, callback_receiver: Receiver | None, *, is_emulated: bool) -> None:
        """Create a webhook URL for `case`.

        Args:
            case: the case, whose request has a parameter for the URL.
            callback_receiver: the server that receives callbacks; `None` if there is none.
            is_emulated: whether the emulator responds.

        Raises:
            UsageError: there is no receiver.
        """
        if callback_receiver is None:
            raise UsageError("no receiver for webhooks: name the tunnel to this machine with --public-url")
        assert case.callback_url_parameter is not None
        self._case, self._receiver, self._emulated = case, callback_receiver, is_emulated
        self._url, self._parameter = callback_receiver.create_url(), case.callback_url_parameter

    @property
    def case(self) -> ConformanceCase:
        """The case to send, which is the planned case with the webhook URL in its request."""
        return msgspec.structs.replace(
            set_value_in_case_request(self._case, self._parameter.location, self._url), callback_url_parameter=None
        )

    async def collect_callbacks(
        self, operation: Operation, calls: Sequence[Call], max_wait_s: float | None = None
    ) -> RequestCallbacks | None:
        """Wait for the callbacks and return them; `None` if the request was not accepted.

        Args:
            operation: the operation that was called.
            calls: all calls of the case.
            max_wait_s: limit of the user for the wait, in seconds; `None` for no such limit.
        """
        submits = [call for call in calls if call.operation is operation]
        submit = submits[-1] if submits else None
        if submit is None or not submit.is_accepted:
            return None
        status = operation.started_job_operation
        polls = tuple(call for call in calls if status is not None and call.operation is status)

        secret = read_webhook_secret(operation, is_emulated=self._emulated)

        def build_callbacks(
            received_callbacks: Sequence[ReceivedCallback], *, is_complete: bool = False
        ) -> RequestCallbacks:
            return RequestCallbacks(
                operation,
                tuple(received_callbacks),
                self._parameter.callback_timing,
                submit,
                polls,
                has_waited_long_enough=is_complete,
                webhook_secret=secret,
            )

        if build_callbacks(()).final_state is not None:
            timeout_s = EMULATED_CALLBACK_TIMEOUT_S if self._emulated else CALLBACK_TIMEOUT_S
            timeout_s = timeout_s if max_wait_s is None else min(timeout_s, max_wait_s)
            await self._receiver.wait_for_callbacks(
                self._url,
                lambda callback: bool(build_callbacks((callback,)).final_callback_bodies),
                timeout_s=timeout_s,
            )
            # On the real clock, because the provider sends on its own, whatever the clock of the client says.
            await asyncio.sleep(0 if self._emulated else REPEATED_CALLBACK_WAIT_S)
        return build_callbacks(self._receiver.list_callbacks_to(self._url), is_complete=True)


# Judges callbacks when they arrive, for a receiver that does not see the requests with the webhook URLs.


MAX_QUOTED_CHARACTERS = 1000
"""Largest number of characters of a job id or a state that are kept. A hostile body could contain one of a megabyte."""


class JudgedCallback(Record, frozen=True, kw_only=True):
    """One callback and its findings."""

    received_at: float
    """Time at which the callback had been received completely, as Unix time in seconds."""
    provenance: Provenance
    provider: str | None = None
    """Id of the provider that `operation` belongs to; `None` if the callback fits no contract."""
    operation: str | None = None
    """The operation whose request contained the webhook URL; `None` if the callback fits no contract."""
    job_id: str | None = None
    """The id of the job that the callback reports about; `None` if it contains no id."""
    state: str | None = None
    """The state of the job that the callback reports; `None` if it contains no state."""
    findings: tuple[Finding, ...] = ()
    """Findings in this callback alone, or in this callback together with earlier ones about the same job."""
    verdict: Literal["passed", "failed", "unknown"]
    """Whether there is no finding (`passed`) or one (`failed`); `unknown` if the callback fits no contract."""
    fits_contract: bool = False
    """Whether the body is recognizably a webhook of the operation: it has a job id and a documented state, or is valid.
    Other bodies are assigned to the operation only because no other one is expected."""
    sender_verification: Literal["verified", "unverified"] = "unverified"
    """Whether the provider is known to be the sender: the callback has the documented signature, made with the secret
    in the environment, in time and for the first time. Otherwise anyone who knows the URL may have sent it."""


class _RecentCallbacks:
    """The earlier callbacks about one job, with which the next callback is compared.

    Only two are kept, the latest callback and the latest one about the end, because no others matter to the rules. So
    the time and memory to judge a callback do not grow with the number of callbacks before it.
    """

    def __init__(self) -> None:
        self._latest: ReceivedCallback | None = None
        self._latest_final: ReceivedCallback | None = None

    def list_callbacks_to_judge(self, next_callback: ReceivedCallback) -> tuple[ReceivedCallback, ...]:
        """Return `next_callback` after the kept callbacks with which it is judged, in the order of their arrival."""
        earlier = (self._latest_final, self._latest if self._latest is not self._latest_final else None)
        return (*(one for one in earlier if one is not None), next_callback)

    def remember_callback(self, received_callback: ReceivedCallback, *, is_final: bool) -> None:
        """Keep a callback, so that later callbacks about the same job are compared with it."""
        self._latest = received_callback
        if is_final:
            self._latest_final = received_callback


class CallbackMonitor:
    """Judges callbacks when they arrive: by the operation that each fits best, with earlier ones about the same job."""

    def __init__(
        self,
        contracts: Iterable[Contract],
        *,
        callback_timing: CallbackTiming = "any",
        secrets: Iterable[str] = (),
    ) -> None:
        """Prepare to judge callbacks.

        Args:
            contracts: the contracts that a callback may belong to.
            callback_timing: the callbacks that the requests subscribe to; "any" if that is not known.
            secrets: keys that are masked in everything that is quoted of a callback, as anything is that looks like a
                credential.

        Raises:
            UsageError: the environment has an unusable secret for signatures.
        """
        self._operations = [o for contract in contracts for o in contract.operations.values() if o.webhook is not None]
        self._callback_timing, self._secrets = callback_timing, tuple(dict.fromkeys(secrets))
        for operation in self._operations:
            read_webhook_secret(operation, is_emulated=False)  # fails now if it is unusable, not at the first callback
        self._recent: dict[tuple[str, str, str], _RecentCallbacks] = {}
        # Rules judge the callbacks about a job again with each further one, so their findings would be repeated.
        self._reported: set[tuple[str, str]] = set()

    def judge_callback(self, received_callback: ReceivedCallback) -> JudgedCallback:
        """Judge one callback. Findings that were already reported for an earlier callback are left out."""
        provenance = _determine_provenance(received_callback)
        single = self._match_operation(received_callback)
        if single is None:
            return JudgedCallback(received_at=received_callback.received_at, provenance=provenance, verdict="unknown")
        value = single.callback_bodies[0]
        job_id = single.read_job_id(value)
        known_id = job_id if isinstance(job_id, str) else None
        # Without an id, callbacks to the same URL belong together: every request should have its own URL.
        key = (single.contract.id, single.operation.id, known_id or received_callback.request.url)
        recent = self._recent.setdefault(key, _RecentCallbacks())
        together = RequestCallbacks(
            single.operation,
            recent.list_callbacks_to_judge(received_callback),
            self._callback_timing,
            webhook_secret=read_webhook_secret(single.operation, is_emulated=False),
        )
        recent.remember_callback(received_callback, is_final=bool(single.final_callback_bodies))
        checker = Checker(
            provenance, RULE_BY_ID, mask_secrets=self._mask_secrets, mask_quotation=mask_undocumented_words
        )
        state = single.read_state(value)
        findings = (
            *checker.iterate_findings(single.callback_subjects[0]),
            *self._remove_reported_findings(checker.iterate_findings(together), key),
        )
        return JudgedCallback(
            received_at=received_callback.received_at,
            provenance=provenance,
            provider=single.contract.id,
            operation=single.operation.id,
            job_id=None if known_id is None else self._mask_secrets(known_id[:MAX_QUOTED_CHARACTERS]),
            state=None if state is None else self._mask_secrets(state[:MAX_QUOTED_CHARACTERS]),
            findings=findings,
            verdict="failed" if findings else "passed",
            fits_contract=_has_id_and_state(single) or _collect_matching_evidence(single)[-1],
            sender_verification="verified" if _has_valid_signature(together) else "unverified",
        )

    def _mask_secrets(self, text: str) -> str:
        return mask_credentials(text, self._secrets)

    def _remove_reported_findings(self, findings: Iterable[Finding], job_key: Sequence[str]) -> Iterator[Finding]:
        """Yield the findings that were not reported for an earlier callback about the same job."""
        for finding in findings:
            name = ("/".join(job_key), finding.fingerprint)
            if name not in self._reported:
                self._reported.add(name)
                yield finding

    def _match_operation(self, received_callback: ReceivedCallback) -> RequestCallbacks | None:
        """Return the callback as a subject of the operation that it fits best; `None` if it fits no operation.

        If the contracts document only one kind of callback, the callback is assigned to it, whatever it contains.
        """
        candidates = [
            RequestCallbacks(operation, (received_callback,), self._callback_timing) for operation in self._operations
        ]
        best = max(candidates, key=_collect_matching_evidence, default=None)
        is_only_one = len({(one.contract.id, one.webhook_spec.callback_operation_id) for one in candidates}) == 1
        return best if best is not None and (is_only_one or _has_id_and_state(best)) else None


def _has_id_and_state(candidate: RequestCallbacks) -> bool:
    return _collect_matching_evidence(candidate)[:2] == (True, True)


def _has_valid_signature(callbacks: RequestCallbacks) -> bool:
    """Whether the last callback has a right signature that is neither old nor repeated."""
    signature, parts = callbacks.webhook_spec.signature, callbacks.signature_headers
    if signature is None or callbacks.webhook_secret is None or not callbacks.is_signature_valid(-1):
        return False
    if parts[-1].timestamp:  # a provider that signs no time protects only against what was seen before
        signed_s = parts[-1].time_s
        received_s = callbacks.received_callbacks[-1].received_at
        if signed_s is None or abs(received_s - signed_s) > signature.timestamp_tolerance_s:
            return False
    return parts[-1] not in parts[:-1]


def _collect_matching_evidence(candidate: RequestCallbacks) -> tuple[bool, bool, bool, bool]:
    """Return the evidence that the callback in `candidate` belongs to the operation of `candidate`.

    The four booleans, the strongest evidence first, say whether the callback has a job id, a documented state, the name
    of a model of the operation, and a valid body.
    """
    value = candidate.callback_bodies[0]
    job_id = candidate.read_job_id(value)
    errors = candidate.documented_body.iterate_violations(value) if value is not MISSING else iter((None,))
    return (
        isinstance(job_id, str) and bool(job_id.strip()),
        candidate.read_state_meaning(value) is not None,
        _names_model_of_operation(candidate.operation, value),
        next(iter(errors), "none") == "none",
    )


def _names_model_of_operation(operation: Operation, body: object) -> bool:
    """Whether a callback contains the name of a model that the operation serves."""
    status = operation.started_job_operation
    location = status.job.model_name_location if status is not None and status.job is not None else None
    if (
        location is None
        or operation.speech is None
        or operation.webhook is None
        or operation.webhook.body_locations is not None
    ):
        return False
    model = location.read_body(body)
    return any(spec.response_model_name == model for spec in operation.speech.targets.values())


def _determine_provenance(received_callback: ReceivedCallback) -> Provenance:
    is_emulated = received_callback.request.find_header("user-agent") == SERVER_HEADER_VALUE
    return Provenance.EMULATED if is_emulated else Provenance.LIVE
