"""Cases whose request names a URL, and what is judged of what comes there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from voicegauge.checks import Call, ExpectedResponse, RequestCallbacks
from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases.case import CallbackUrl, ConformanceCase, SkippedCase, rejection_statuses
from voicegauge.conformance.cases.valid_requests import with_headers, with_value
from voicegauge.contract import Contract, Operation, status_operation
from voicegauge.contract.extension import CallbackTiming, WebhookUrlField
from voicegauge.errors import UsageError
from voicegauge.formats import Location, parse_location
from voicegauge.model import Exchange, Provenance, ReceivedWebhook
from voicegauge.receiver import Receiver, running_receiver

PLAIN_URL = "http://webhook.invalid/plain"
"""A host that no name server knows (RFC 6761): nothing arrives where it should have been refused."""
PATIENCE_S = 60.0
"""How long a service may take to tell of an end that its status answer has told of. No document says."""
EMULATED_PATIENCE_S = 1.0
"""The emulator tells before it answers."""
SETTLE_S = 3.0
"""How long a service is listened to after it has told of the end: it may tell again."""


def with_webhooks(
    cases: Iterable[ConformanceCase | SkippedCase], contracts: Mapping[str, Contract]
) -> Iterator[ConformanceCase | SkippedCase]:
    """The `cases`; beside the first whole one of each operation with `x-webhook` the same with a URL, in each mode."""
    seen: set[tuple[str, str]] = set()
    for case in cases:
        yield case
        if isinstance(case, SkippedCase) or case.expects_failure or not (case.speech is not None or case.whole):
            continue
        operation = contracts[case.provider].operation(case.operation)
        if operation.webhook is not None and (case.provider, case.operation) not in seen:
            seen.add((case.provider, case.operation))
            yield from _webhook_cases(case, operation)


def _webhook_cases(base: ConformanceCase, operation: Operation) -> Iterator[ConformanceCase]:
    webhook, name = operation.webhook, base.id.partition(":")[0]
    assert webhook is not None
    for index, url in enumerate(webhook.url):
        here = f"{operation.pointer}/x-webhook/url/{index}"
        for mode, posts in _modes(url):
            description = f"a webhook at {url.at}{f' in mode {mode}' if mode else ''}"
            expected = ExpectedResponse(
                verdict="accepted", kind="valid", description=description, contract_pointer=here
            )
            asking = base if url.mode is None or mode is None else _laid(base, url.mode.at, mode)
            yield msgspec.structs.replace(
                asking,
                id=f"{name}: {description}",
                expected=expected,
                webhook=CallbackUrl(at=str(url.at), posts=posts),
                whole=False,
            )
        if webhook.https_only:
            description = f"a webhook with plain http at {url.at}"
            expected = ExpectedResponse(
                verdict="rejected",
                statuses=rejection_statuses(operation, "invalid"),
                kind="plain-http",
                description=description,
                contract_pointer=f"{operation.pointer}/x-webhook/https_only",
            )
            wire = _wire(_laid(base, url.at, PLAIN_URL), operation)
            yield msgspec.structs.replace(
                base, id=f"{name}: {description}", expected=expected, wire=wire, speech=None, whole=False
            )


def _modes(url: WebhookUrlField) -> Iterator[tuple[str | None, CallbackTiming]]:
    if url.mode is None:
        yield None, "terminal"
    else:
        yield from url.mode.values.items()


def _laid(case: ConformanceCase, place: Location, value: str) -> ConformanceCase:
    """`case` with `value` at a place of its request."""
    if case.speech is not None:
        speech = msgspec.structs.replace(case.speech, extra={**case.speech.extra, str(place): value})
        return msgspec.structs.replace(case, speech=speech)
    assert case.wire is not None, "a case has speech or a request"
    kind, key = place.kind, place.name
    if kind == "header":
        wire = with_headers(case.wire, {key: value})
    elif kind == "body":
        wire = with_value(case.wire, place.tokens, value)
    else:
        wire = msgspec.structs.replace(case.wire, query={**case.wire.query, key: value})
    return msgspec.structs.replace(case, wire=wire)


def _wire(case: ConformanceCase, operation: Operation) -> RequestParts | None:
    if case.speech is None:
        return case.wire
    assert case.target is not None, "speech is asked of a target"
    return map_speech_request(operation.contract.target(case.target), case.speech)


@contextmanager
def receiver_for(
    cases: Sequence[ConformanceCase], given: Receiver | None, provenance: Provenance
) -> Iterator[Receiver | None]:
    """The receiver that `cases` need: the one that is `given`, or one of their own where the emulator is asked."""
    needed = given is None and provenance is Provenance.EMULATED and any(case.webhook for case in cases)
    if not needed:
        yield given
        return
    with running_receiver() as receiver:
        yield receiver


class WebhookSession:
    """One case, and the URL that is its own."""

    def __init__(self, case: ConformanceCase, receiver: Receiver | None, *, emulated: bool) -> None:
        """The URL is made now.

        Raises:
            UsageError: there is no receiver.
        """
        if receiver is None:
            raise UsageError("no receiver for webhooks: name the tunnel to this machine with --public-url")
        assert case.webhook is not None
        self._case, self._receiver, self._emulated = case, receiver, emulated
        self._url, self._wanted = receiver.url, case.webhook

    @property
    def case(self) -> ConformanceCase:
        """What is sent: the case with the URL in its place."""
        return msgspec.structs.replace(_laid(self._case, parse_location(self._wanted.at), self._url), webhook=None)

    async def told(self, operation: Operation, exchanges: Sequence[Exchange]) -> RequestCallbacks | None:
        """What came, once all has had its time; `None` where the request was not accepted.

        Args:
            operation: that was asked.
            exchanges: of the case.
        """
        submits = [exchange for exchange in exchanges if exchange.operation == operation.id]
        target = operation.contract.targets.get(self._case.target or "")
        submit = Call(operation, submits[-1], target) if submits else None
        if submit is None or not submit.ok:
            return None
        status = status_operation(operation)
        polls = [Call(status, one, target, submit=submit) for one in exchanges if status and one.operation == status.id]

        def read(received: Sequence[ReceivedWebhook], *, complete: bool = False) -> RequestCallbacks:
            return RequestCallbacks(
                operation, tuple(received), self._wanted.posts, submit, tuple(polls), is_complete=complete
            )

        if read(()).end is not None:
            patience_s = EMULATED_PATIENCE_S if self._emulated else PATIENCE_S
            await self._receiver.wait_until(self._url, lambda came: bool(read(came).final_bodies), timeout_s=patience_s)
            await asyncio.sleep(0 if self._emulated else SETTLE_S)
        return read(self._receiver.sent_to(self._url), complete=True)
