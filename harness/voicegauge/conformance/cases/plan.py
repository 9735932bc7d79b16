"""Which cases a contract leads to. A plan is deterministic: equal contracts give equal plans.

Negative cases come first: they are free, and a service that takes anything is found
out before money is spent on it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import get_args

import msgspec

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases.audio_input import intake_cases
from voicegauge.conformance.cases.batches import batch_case
from voicegauge.conformance.cases.bodies import body_cases, left_out_cases
from voicegauge.conformance.cases.case import ConformanceCase, SkippedCase, rejection_statuses
from voicegauge.conformance.cases.order import ordered
from voicegauge.conformance.cases.pairwise import combination_cases
from voicegauge.conformance.cases.parameters import other_operation_wire, parameter_cases
from voicegauge.conformance.cases.resources import life_case
from voicegauge.conformance.cases.texts import text_cases
from voicegauge.conformance.cases.uploads import upload_cases
from voicegauge.conformance.cases.valid_requests import TEXT, minimal_request, valid_speech_request, with_headers
from voicegauge.conformance.cases.webhooks import with_webhooks
from voicegauge.contract import Contract, Operation, Target, is_billable
from voicegauge.contract.extension import RejectionReason
from voicegauge.emulator import SCENARIO_HEADER
from voicegauge.errors import UsageError
from voicegauge.model import Record, SpeechRequest, UploadedFile

SITUATIONS: tuple[RejectionReason, ...] = get_args(RejectionReason)
PLAINLY_MET: tuple[RejectionReason, ...] = ("invalid", "unauthorized")
"""Requests can be just that."""


LARGE_BYTES = 32 * 2**20
"""An upload that takes a while on most lines."""


class CasePlan(Record, frozen=True, kw_only=True):
    """What will be sent, in order, and what cannot be."""

    cases: tuple[ConformanceCase, ...]
    skipped: tuple[SkippedCase, ...] = ()
    max_calls: int | None = None
    """How many requests may be paid for, those among them that a service should refuse and accepts."""


def plan_cases(
    targets: Sequence[Target],
    *,
    emulated: bool,
    every: bool,
    text: str = TEXT,
    max_calls: int | None = None,
    large_uploads: bool | None = None,
    webhooks: bool = False,
) -> CasePlan:
    """The cases of `targets` and of the other operations of their providers.

    Args:
        targets: what is checked.
        emulated: whether situations can be asked for, such as a full queue.
        every: whether valid requests that cost money are planned beyond one delivery a target.
        text: what requests say that are not about their text.
        max_calls: of `every`, how many requests that may be paid are kept: those that show the most.
        large_uploads: whether uploads of tens of megabytes are planned; by default where the emulator answers.
        webhooks: whether requests are planned that name a URL to be told at.
    """
    large = emulated if large_uploads is None else large_uploads
    cases: dict[str, ConformanceCase] = {}
    skipped: dict[str, SkippedCase] = {}
    items = _all_cases(targets, text, emulated=emulated, every=every)
    if webhooks:
        items = with_webhooks(items, {target.contract.id: target.contract for target in targets})
    for item in items:
        if isinstance(item, SkippedCase):
            skipped.setdefault(item.id, item)
        elif not large and item.padding is not None and item.padding.size > LARGE_BYTES:
            continue
        elif every or not item.is_billable or item.speech is not None or item.whole:
            cases.setdefault(item.id, item)
    kept = tuple(ordered(cases.values(), max_calls))
    return CasePlan(cases=kept, skipped=tuple(skipped.values()), max_calls=max_calls)


def _all_cases(
    targets: Sequence[Target], text: str, *, emulated: bool, every: bool
) -> Iterator[ConformanceCase | SkippedCase]:
    planned: set[tuple[str, str]] = set()
    for target in targets:
        first = (target.contract.id, target.operation.id) not in planned
        planned.add((target.contract.id, target.operation.id))
        try:
            yield from _target_cases(target, text, first=first, emulated=emulated, every=every)
        except (UsageError, OSError) as error:
            yield SkippedCase(id=target.id, reason=str(error))
    if every:
        yield from _combinations(targets, text)
    chosen: dict[str, set[str]] = {}
    for target in targets:
        chosen.setdefault(target.contract.id, set()).add(target.name)
    for contract in {target.contract.id: target.contract for target in targets}.values():
        for operation in contract.operations.values():
            if operation.speech is not None:
                continue
            cases = _other_cases(contract, operation, emulated=emulated, every=every)
            whole = contract.targets.keys() <= chosen[contract.id]
            if operation.audio_input is None:
                yield from _priced(cases, whole=whole) if is_billable(operation) else cases
            elif whole:  # paid for as well: only of a whole provider
                yield from intake_cases(operation, cases)


def _priced(cases: Iterable[ConformanceCase | SkippedCase], *, whole: bool) -> Iterator[ConformanceCase | SkippedCase]:
    """The `cases` of an operation that costs money; of a `whole` provider each media type is sent in every plan."""
    shown: set[str | None] = set()
    for case in cases:
        if isinstance(case, SkippedCase):
            yield case
            continue
        media_type = case.wire.media_type if case.wire is not None else None
        shows = whole and case.expected.kind == "valid" and media_type not in shown
        shown |= {media_type} if shows else set()
        yield msgspec.structs.replace(case, is_billable_operation=True, whole=shows)


def _target_cases(
    target: Target, text: str, *, first: bool, emulated: bool, every: bool
) -> Iterator[ConformanceCase | SkippedCase]:
    speech = valid_speech_request(target, text=text)
    wire = map_speech_request(target, speech)
    operation = target.operation
    if target.needs_key:
        yield from _key_cases(operation, wire, target)
    if first:
        if emulated:
            yield from _situation_cases(operation, wire, target)
        yield from body_cases(operation, wire, target)
        yield from left_out_cases(target, wire)
        yield from text_cases(target, wire)
        yield from parameter_cases(operation, wire, target)
        batch = batch_case(target, wire)
        yield from [batch] if batch is not None else []
    slot = target.speech.request.get("voice_sample_upload")
    if (
        slot is not None and "voice_sample_upload" in target.spec.required_fields
    ):  # the first target's: ids are the operation's
        yield from upload_cases(operation, wire, slot.at.tokens[0], target.name, emulated=emulated)
    yield _delivery(target, speech, "a full delivery")
    if every:
        for name in target.spec.formats if "format" in target.speech.request else ():
            yield _delivery(target, _with(speech, format=name), f"a full delivery as {name}")
    if emulated:
        yield from _failing_deliveries(target, speech)


def _combinations(targets: Sequence[Target], text: str) -> Iterator[ConformanceCase]:
    """Pairs of values, for each operation over all of its targets."""
    starts: dict[tuple[str, str], list[tuple[Target, RequestParts]]] = {}
    for target in targets:
        try:
            wire = map_speech_request(target, valid_speech_request(target, text=text))
        except (UsageError, OSError):
            continue  # told of as a skipped target
        starts.setdefault((target.contract.id, target.operation.id), []).append((target, wire))
    for same in starts.values():
        yield from combination_cases(same)


def _delivery(target: Target, speech: SpeechRequest, description: str, *, fails: bool = False) -> ConformanceCase:
    return ConformanceCase(
        id=f"{target.id}: {description}",
        provider=target.contract.id,
        operation=target.operation.id,
        target=target.name,
        expected=ExpectedResponse(
            verdict="accepted", kind="valid", description=description, contract_pointer=target.pointer
        ),
        speech=speech,
        expects_failure=fails,
        text_characters=len(speech.text),
    )


def _with(speech: SpeechRequest, **changes: object) -> SpeechRequest:
    return msgspec.structs.replace(speech, **changes)


def _failing_deliveries(target: Target, speech: SpeechRequest) -> Iterator[ConformanceCase]:
    job = target.job_operation.job if target.job_operation else None
    states = job.states if job else {}
    events = target.operation.stream.events if target.operation.stream else {}
    ends = [(name, f"a job that ends as {name}") for name, state in states.items() if state.end == "failure"]
    ends += [(name, f"a stream that ends in {name}") for name, event in events.items() if event.end == "failure"]
    for name, description in ends:
        extra = {**speech.extra, f"header.{SCENARIO_HEADER}": f"state:{name}"}
        yield _delivery(target, _with(speech, extra=extra), description, fails=True)


def _key_cases(operation: Operation, wire: RequestParts, target: Target | None) -> Iterator[ConformanceCase]:
    at = f"{operation.pointer}/security" if "security" in operation.data else "/security"
    for key, description in (("none", "a request without a key"), ("bad", "a request with a wrong key")):
        yield ConformanceCase(
            id=f"{target.id if target else _name(operation)}: {description}",
            provider=operation.contract.id,
            operation=operation.id,
            target=target.name if target else None,
            expected=ExpectedResponse(
                verdict="rejected",
                statuses=rejection_statuses(operation, "unauthorized"),
                kind="authentication",
                description=description,
                contract_pointer=at,
            ),
            wire=wire,
            key="none" if key == "none" else "bad",
        )


def _situation_cases(
    operation: Operation, wire: RequestParts, target: Target | None, met: Container[RejectionReason] = PLAINLY_MET
) -> Iterator[ConformanceCase]:
    """A request for each documented situation but those `met` by requests that are just that."""
    for situation in SITUATIONS:
        statuses = rejection_statuses(operation, situation)
        if not statuses or situation in met:
            continue
        description = f"the situation {situation}"
        yield ConformanceCase(
            id=f"{_name(operation)}: {description}",
            provider=operation.contract.id,
            operation=operation.id,
            target=target.name if target else None,
            expected=ExpectedResponse(
                verdict="rejected",
                statuses=statuses,
                kind="rejection-reason",
                description=description,
                contract_pointer=f"{operation.pointer}/responses/{statuses[0]}",
            ),
            wire=with_headers(wire, {SCENARIO_HEADER: situation}),
        )


def _other_cases(
    contract: Contract, operation: Operation, *, emulated: bool, every: bool
) -> Iterator[ConformanceCase | SkippedCase]:
    """Operations that speak nothing: status, lists, health, downloads."""
    wire, known = other_operation_wire(operation)
    if wire is None:
        yield SkippedCase(id=_name(operation), reason="no value is known for a required parameter")
        return
    found = [*_known_cases(contract, operation, wire, emulated=emulated, every=every)] if known else []
    found += _key_cases(operation, wire, None) if operation.needs_key else []
    yield from found
    if emulated:
        asked = {case.expected.kind for case in found}
        met = [
            situation for situation, why in zip(PLAINLY_MET, ("invalid", "authentication"), strict=True) if why in asked
        ]
        yield from _situation_cases(operation, wire, None, met)
    statuses = rejection_statuses(operation, "not-found")
    if known:
        return
    if statuses:
        description = "an id that nobody gave out"
        expected = ExpectedResponse(
            verdict="rejected",
            statuses=statuses,
            kind="unknown-id",
            description=description,
            contract_pointer=operation.pointer,
        )
        yield _plain_call(contract, operation, wire, expected)
    else:
        yield SkippedCase(id=_name(operation), reason="the document does not say what an unknown id is answered with")


def _known_cases(
    contract: Contract, operation: Operation, wire: RequestParts, *, emulated: bool, every: bool
) -> Iterator[ConformanceCase]:
    """Of an operation that needs no id of something: a plain call, and each value that its schemas speak of."""
    yield _plain_call(contract, operation, wire)
    yield from parameter_cases(operation, wire, None)
    yield from body_cases(operation, wire, None)
    for media in list(operation.request_media.values())[1:]:
        other = minimal_request(operation, media)
        if other is not None:
            description = f"a plain request as {media.name}"
            yield _plain_call(contract, operation, other, _valid(description, media.pointer))
            for case in body_cases(operation, other, None):
                yield msgspec.structs.replace(case, id=f"{case.id} ({media.name})")
    yield from _limited_uploads(operation, wire, emulated=emulated)
    life = life_case(operation, thorough=every)
    yield from [life] if life is not None else []


def _valid(description: str, at: str) -> ExpectedResponse:
    return ExpectedResponse(verdict="accepted", kind="valid", description=description, contract_pointer=at)


def _limited_uploads(operation: Operation, wire: RequestParts, *, emulated: bool) -> Iterator[ConformanceCase]:
    body = wire.body if isinstance(wire.body, dict) else {}
    for field in operation.limits.uploads:
        if isinstance(body.get(field), UploadedFile):
            yield from upload_cases(operation, wire, field, None, emulated=emulated)


def _plain_call(
    contract: Contract, operation: Operation, wire: RequestParts, expected: ExpectedResponse | None = None
) -> ConformanceCase:
    expected = expected or _valid("a plain request", operation.pointer)
    return ConformanceCase(
        id=f"{_name(operation)}: {expected.description}",
        provider=contract.id,
        operation=operation.id,
        expected=expected,
        wire=wire,
    )


def _name(operation: Operation) -> str:
    return f"{operation.contract.id}/{operation.id}"
