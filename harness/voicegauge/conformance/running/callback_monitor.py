"""Judges callbacks when they arrive, for a receiver that does not see the requests with the webhook URLs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from voicegauge.checks import RULE_BY_ID, Checker, RequestCallbacks, Rule
from voicegauge.conformance.running.webhook_session import read_webhook_secret
from voicegauge.contract import MISSING, Contract, Operation, find_status_operation
from voicegauge.contract.extension import CallbackTiming
from voicegauge.emulator import SERVER_HEADER_VALUE
from voicegauge.model import Finding, Provenance, ReceivedCallback, Record


class JudgedCallback(Record, frozen=True, kw_only=True):
    """One callback and its findings."""

    received_at: float = msgspec.field(name="at")
    """Time at which the callback had been received completely, as Unix time in seconds."""
    provenance: Provenance
    provider: str | None = None
    """Id of the provider that `operation` belongs to; `None` if the callback fits no contract."""
    operation: str | None = None
    """The operation whose request contained the webhook URL; `None` if the callback fits no contract."""
    job_id: str | None = msgspec.field(name="id", default=None)
    """The id of the job that the callback reports about; `None` if it contains no id."""
    state: str | None = None
    """The state of the job that the callback reports; `None` if it contains no state."""
    findings: tuple[Finding, ...] = ()
    """Findings in this callback alone, or in this callback together with earlier ones about the same job."""
    verdict: Literal["passed", "failed", "unknown"]
    """Whether there is no finding (`passed`) or one (`failed`); `unknown` if the callback fits no contract."""
    sender_verification: Literal["verified", "unverified"] = msgspec.field(name="sender", default="unverified")
    """Whether the provider is known to be the sender: the callback has the documented signature, made with the secret
    in the environment, in time and for the first time. Otherwise anyone who knows the URL may have sent it."""


class _RecentCallbacks:
    """The earlier callbacks about one job with which a later callback is compared.

    Only two are kept, the latest callback and the latest one about the end, because no others matter to the rules. So
    the time and memory to judge a callback do not grow with the number of callbacks before it.
    """

    def __init__(self) -> None:
        self._latest: ReceivedCallback | None = None
        self._latest_final: ReceivedCallback | None = None

    def list_callbacks_to_judge(self, next_callback: ReceivedCallback) -> tuple[ReceivedCallback, ...]:
        """Return the callbacks to judge together, in the order of their arrival."""
        earlier = (self._latest_final, self._latest if self._latest is not self._latest_final else None)
        return (*(one for one in earlier if one is not None), next_callback)

    def remember_callback(self, received_callback: ReceivedCallback, *, is_final: bool) -> None:
        """Keep a callback, so that later callbacks about the same job are compared with it."""
        self._latest = received_callback
        if is_final:
            self._latest_final = received_callback


class CallbackMonitor:
    """Assigns callbacks to operations, and judges each together with earlier callbacks about the same job."""

    def __init__(
        self,
        contracts: Iterable[Contract],
        *,
        callback_timing: CallbackTiming = "any",
        rules: Mapping[str, Rule] = RULE_BY_ID,
    ) -> None:
        """Prepare to judge callbacks.

        Args:
            contracts: the contracts that a callback may belong to.
            callback_timing: the callbacks that the requests subscribe to; "any" if that is not known.
            rules: the rules to apply, by id.

        Raises:
            UsageError: the environment has an unusable secret for signatures.
        """
        self._operations = [o for contract in contracts for o in contract.operations.values() if o.webhook is not None]
        self._posts, self._rules = callback_timing, rules
        for operation in self._operations:
            read_webhook_secret(operation, is_emulated=False)  # fails now if it is unusable, not at the first callback
        self._recent: dict[tuple[str, str, str], _RecentCallbacks] = {}
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
            self._posts,
            webhook_secret=read_webhook_secret(single.operation, is_emulated=False),
        )
        recent.remember_callback(received_callback, is_final=bool(single.final_callback_bodies))
        checker = Checker(provenance, self._rules)
        findings = (
            *checker.iterate_findings(single.callback_subjects[0]),
            *self._remove_reported_findings(checker.iterate_findings(together), key),
        )
        return JudgedCallback(
            received_at=received_callback.received_at,
            provenance=provenance,
            provider=single.contract.id,
            operation=single.operation.id,
            job_id=known_id,
            state=single.read_state(value),
            findings=findings,
            verdict="failed" if findings else "passed",
            sender_verification="verified" if _has_valid_signature(together) else "unverified",
        )

    def _remove_reported_findings(self, findings: Iterable[Finding], job_key: Sequence[str]) -> Iterator[Finding]:
        for finding in findings:
            name = ("/".join(job_key), finding.fingerprint)
            if name not in self._reported:
                self._reported.add(name)
                yield finding

    def _match_operation(self, received_callback: ReceivedCallback) -> RequestCallbacks | None:
        """Return the callback as a subject of the operation that it fits best; `None` if it fits no operation.

        If the contracts document only one kind of callback, the callback is assigned to it, whatever it contains.
        """
        candidates = [RequestCallbacks(operation, (received_callback,), self._posts) for operation in self._operations]
        best = max(candidates, key=_collect_matching_evidence, default=None)
        is_only_one = len({(one.contract.id, one.webhook_spec.callback_operation_id) for one in candidates}) == 1
        return best if best is not None and (is_only_one or _collect_matching_evidence(best) >= (True, True)) else None


def _has_valid_signature(callbacks: RequestCallbacks) -> bool:
    """Whether the last callback has a right signature that is neither old nor repeated."""
    signature, parts = callbacks.webhook_spec.signature, callbacks.signature_headers
    if signature is None or callbacks.webhook_secret is None or not callbacks.is_signature_valid(-1):
        return False
    if parts[-1].timestamp:
        is_in_time = (
            abs(callbacks.received_callbacks[-1].received_at - int(parts[-1].timestamp))
            <= signature.timestamp_tolerance_s
        )
        return is_in_time and parts[-1] not in parts[:-1]
    return parts[-1] not in parts[:-1]


def _collect_matching_evidence(candidate: RequestCallbacks) -> tuple[bool, bool, bool, bool]:
    """Return the evidence that the callback in `candidate` belongs to the operation of `candidate`.

    The four booleans, the strongest evidence first, say whether the callback has a job id, a documented state, the name
    of a model of the operation, and a valid body.
    """
    value = candidate.callback_bodies[0]
    errors = candidate.documented_body.iterate_violations(value) if value is not MISSING else iter((None,))
    return (
        isinstance(candidate.read_job_id(value), str),
        candidate.read_state_meaning(value) is not None,
        _names_model_of_operation(candidate.operation, value),
        next(iter(errors), "none") == "none",
    )


def _names_model_of_operation(operation: Operation, body: object) -> bool:
    """Whether a callback contains the name of a model that the operation serves."""
    status = find_status_operation(operation)
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
