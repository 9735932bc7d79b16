"""Judging webhooks as they come, without the requests that led to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from voicegauge.checks import RULES, Checker, RequestCallbacks, Rule
from voicegauge.contract import MISSING, Contract, Operation, status_operation
from voicegauge.contract.extension import CallbackTiming
from voicegauge.emulator import SERVER_NAME
from voicegauge.model import Finding, Provenance, ReceivedWebhook, Record


class JudgedCallback(Record, frozen=True, kw_only=True):
    """One webhook, and what is to be said of it."""

    at: float
    """Unix time, in seconds, at which it had come whole."""
    provenance: Provenance
    provider: str | None = None
    operation: str | None = None
    """Whose request named the URL; `None` for what fits no contract."""
    id: str | None = None
    state: str | None = None
    findings: tuple[Finding, ...] = ()
    """What it broke, alone or with those before it about the same id."""
    verdict: Literal["passed", "failed", "unknown"]
    """`unknown` for what fits no contract."""


class CallbackMonitor:
    """Reads webhooks by the contracts and keeps in mind what came before."""

    def __init__(
        self, contracts: Iterable[Contract], *, posts: CallbackTiming = "any", rules: Mapping[str, Rule] = RULES
    ) -> None:
        """Set it up.

        Args:
            contracts: that a webhook may belong to.
            posts: what was asked for, where that is known.
            rules: that judge.
        """
        self._operations = [o for contract in contracts for o in contract.operations.values() if o.webhook is not None]
        self._posts, self._rules = posts, rules
        self._before: dict[tuple[str, str, str], list[ReceivedWebhook]] = {}
        self._told: set[tuple[str, str]] = set()

    def hear(self, received: ReceivedWebhook) -> JudgedCallback:
        """Judge one webhook; what was found of earlier ones is not told again."""
        provenance = _provenance(received)
        told = self._recognised(received)
        if told is None:
            return JudgedCallback(at=received.at, provenance=provenance, verdict="unknown")
        value = told.bodies[0]
        named = told.id_of(value)
        known_id = named if isinstance(named, str) else None
        key = (told.contract.id, told.operation.id, known_id or received.token)
        before = self._before.setdefault(key, [])
        before.append(received)
        judge = Checker(provenance, self._rules)
        whole = RequestCallbacks(told.operation, tuple(before), self._posts)
        found = (*judge.findings(told.callbacks[0]), *self._new(judge.findings(whole), key))
        return JudgedCallback(
            at=received.at,
            provenance=provenance,
            provider=told.contract.id,
            operation=told.operation.id,
            id=known_id,
            state=told.state_of(value),
            findings=found,
            verdict="failed" if found else "passed",
        )

    def _new(self, findings: Iterable[Finding], key: Sequence[str]) -> Iterator[Finding]:
        for finding in findings:
            name = ("/".join(key), finding.fingerprint)
            if name not in self._told:
                self._told.add(name)
                yield finding

    def _recognised(self, received: ReceivedWebhook) -> RequestCallbacks | None:
        """The webhook as the operation's that it fits best; the only callback there is needs no fit."""
        read = [RequestCallbacks(operation, (received,), self._posts) for operation in self._operations]
        best = max(read, key=_fit, default=None)
        alone = len({(told.contract.id, told.webhook.callback) for told in read}) == 1
        return best if best is not None and (alone or _fit(best) >= (True, True)) else None


def _fit(told: RequestCallbacks) -> tuple[bool, bool, bool, bool]:
    """What speaks for an operation: an id, a known state, its model, no error of shape."""
    value = told.bodies[0]
    errors = told.media.errors(value) if value is not MISSING else iter((None,))
    return (
        isinstance(told.id_of(value), str),
        told.phase_of(value) is not None,
        _is_of(told.operation, value),
        next(iter(errors), "none") == "none",
    )


def _is_of(operation: Operation, value: object) -> bool:
    """Whether a body names a model that the operation serves."""
    status = status_operation(operation)
    place = status.job.model if status is not None and status.job is not None else None
    if place is None or operation.speech is None or operation.webhook is None or operation.webhook.body is not None:
        return False
    model = place.read_body(value)
    return any(spec.model == model for spec in operation.speech.targets.values())


def _provenance(received: ReceivedWebhook) -> Provenance:
    emulated = received.request.header("user-agent") == SERVER_NAME
    return Provenance.EMULATED if emulated else Provenance.RECORDED
