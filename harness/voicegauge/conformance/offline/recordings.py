"""Recorded exchanges, put together again: which polls and which audio belong to which request."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from voicegauge.checks import Call, CaseOutcome, Checker, CheckSubject, JobHistory, RecordingAge, Rule, SpeechDelivery
from voicegauge.client import curl_command
from voicegauge.conformance.cases import ConformanceCase, no_verdict_reason, plan_cases
from voicegauge.conformance.running import Collector
from voicegauge.conformance.target_matching import find_target
from voicegauge.contract import MISSING, Contract, Target
from voicegauge.contract.extension import FieldMapping, JobSpec, ResponseAudio
from voicegauge.errors import DataError
from voicegauge.formats import UnreadableBodyError
from voicegauge.model import Delivery, Exchange, Finding, Provenance, Severity, SpeechRequest, StateObservation
from voicegauge.recording import Recording, age_days, load_har


def check_recordings(
    files: Sequence[Path],
    contracts: Sequence[Contract],
    rules: Mapping[str, Rule],
    collector: Collector,
    *,
    now: datetime | None = None,
    ci: bool = False,
) -> None:
    """Judge every recording whose provider is among `contracts`.

    Args:
        files: HAR files.
        contracts: of the providers to judge.
        rules: to apply.
        collector: takes what is found.
        now: to count the age of recordings from; this moment if left out.
        ci: whether a recording that is too old is an error, not a warning.

    Raises:
        DataError: a file is no recording.
    """
    by_id = {contract.id: contract for contract in contracts}
    cases: dict[str, Mapping[str, ConformanceCase]] = {}
    for path in files:
        recording = load_har(path)
        contract = by_id.get(recording.provider)
        if contract is None:
            continue
        if contract.id not in cases:
            cases[contract.id] = cases_by_id(contract)
        judge = Checker(recording.provenance, rules, _reproducer(contract))
        for exchange in recording.exchanges:
            collector.saw(recording.provenance, contract.id, exchange.operation)
        collector.judge(judge, subjects_of_recording(contract, recording, cases[contract.id]), case=path.name)
        collector.add(_ageing(judge, path, contract, recording, now or datetime.now(UTC), ci=ci))


def cases_by_id(contract: Contract) -> dict[str, ConformanceCase]:
    """Every case that a contract leads to: what is recorded of one is expected to be answered as it says."""
    plan = plan_cases(list(contract.targets.values()), emulated=True, every=True)
    return {case.id: case for case in plan.cases}


def _reproducer(contract: Contract) -> Callable[[Exchange], str]:
    return lambda exchange: curl_command(exchange.request, contract)


def _ageing(
    judge: Checker, path: Path, contract: Contract, recording: Recording, now: datetime, *, ci: bool
) -> Iterator[Finding]:
    """What is too old, with the command that records it again; the emulator's answers do not age."""
    known = [exchange for exchange in recording.exchanges if exchange.operation in contract.operations]
    if recording.provenance is not Provenance.RECORDED or not known:
        return
    oldest = max(known, key=lambda exchange: age_days(recording, exchange, now))
    target = contract.targets.get(path.stem)
    operation = contract.operation(oldest.operation)
    aged = RecordingAge(operation, oldest, path.name, age_days(recording, oldest, now), target)
    command = (
        f"voicegauge record {target.id if target else contract.id} --live --out {shlex.quote(str(path.parent.parent))}"
    )
    for finding in judge.findings(aged, case=path.name):
        severity = Severity.ERROR if ci else finding.severity
        yield msgspec.structs.replace(finding, severity=severity, reproduce=command)


def subjects_of_recording(
    contract: Contract, recording: Recording, cases: Mapping[str, ConformanceCase] | None = None
) -> Iterator[CheckSubject]:
    """Every exchange as a call, every submit with its polls as a job, and the audio it led to.

    Args:
        contract: of the recording's provider.
        recording: what was said.
        cases: by id; the exchanges that were recorded for one are judged by what it expects.

    Raises:
        DataError: an exchange is of an operation that the contract does not have.
    """
    known = cases or {}
    read = (_call(contract, exchange, known) for exchange in recording.exchanges)
    calls = [call for call in read if call is not None]
    yield from calls
    yield from _outcomes(calls, known)
    for submit in calls:
        if submit.target is None or not submit.ok:
            continue
        status = submit.target.job_operation
        polls: list[Call] = []
        if status is not None and status.job is not None:
            job_id = submit.read_response(status.job.submit.id)
            polls = [call for call in calls if call.operation is status and _is_of(call, submit, job_id)]
            polls = [Call(call.operation, call.exchange, submit.target, submit=submit) for call in polls]
            yield JobHistory(submit, tuple(polls), status, observations=_sightings(submit, polls, status.job))
        delivered = _delivered(submit, polls, recording.exchanges)
        if delivered is not None:
            yield delivered


def _call(contract: Contract, exchange: Exchange, cases: Mapping[str, ConformanceCase]) -> Call | None:
    """The exchange read by its operation; `None` for a download that no document describes."""
    operation = contract.operations.get(exchange.operation)
    if operation is None:
        if exchange.operation.startswith("("):
            return None
        raise DataError(f"a recording of {contract.id} has the operation {exchange.operation!r}, its contract has not")
    call = Call(operation, exchange)
    case = cases.get(exchange.group or "")
    broken = case is not None and case.expected.verdict == "rejected"
    target = find_target(operation, call.read_request)
    return Call(operation, exchange, target, request_origin="invalid" if broken else "sent")


def _outcomes(calls: Sequence[Call], cases: Mapping[str, ConformanceCase]) -> Iterator[CaseOutcome]:
    """What each recorded case was answered with: its last answer to the operation that it is about."""
    last = {(call.exchange.group or "", call.operation.id): call for call in calls}
    for (group, operation), call in last.items():
        case = cases.get(group)
        if case is not None and case.operation == operation and no_verdict_reason(case, call.status) is None:
            yield CaseOutcome(call, case.expected)


def _is_of(poll: Call, submit: Call, job_id: object) -> bool:
    if poll.exchange.group != submit.exchange.group:
        return False
    return isinstance(job_id, str) and job_id in unquote(poll.exchange.request.url)


def _sightings(submit: Call, polls: Sequence[Call], job: JobSpec) -> tuple[StateObservation, ...]:
    """When each state was seen; none where an exchange has no times."""
    found: list[StateObservation] = []
    for index, call in enumerate((submit, *polls)):
        timing, began = call.exchange.timing, submit.exchange.timing
        if timing is None or began is None:
            return ()
        state = call.read_response(job.state if index else job.submit.state)
        requested_ms = timing.started_ms - began.started_ms
        if call.ok and isinstance(state, str):
            at_ms = requested_ms + timing.total_ms
            found.append(StateObservation(state=state, at_ms=at_ms, requested_ms=requested_ms, exchange=index))
    return tuple(found)


def _delivered(submit: Call, polls: Sequence[Call], exchanges: Sequence[Exchange]) -> SpeechDelivery | None:
    target = submit.target
    place = submit.operation.speech.response.audio if submit.operation.speech else None
    carrier = submit
    if polls and polls[-1].operation.job is not None:
        place, carrier = polls[-1].operation.job.audio, polls[-1]
    if target is None or place is None:
        return None
    found = _audio_exchange(carrier, place, exchanges)
    audio = _streamed(carrier) if place.delivered == "stream" else found.response.body if found else b""
    if found is None or not audio:
        return None
    declared = carrier.read_response(place.media_type)
    named = None if place.delivered == "stream" else found.response.media_type or None
    delivery = Delivery(
        target=target.id,
        exchanges=(submit.exchange, found),
        attempts=1,
        audio=audio,
        media_type=declared if isinstance(declared, str) else named,
        audio_exchange=1,
        submit_exchange=0,
    )
    return SpeechDelivery(target, _speech(submit, target), delivery)


def _streamed(call: Call) -> bytes:
    """The audio of a stream that ended well; nothing of one that cannot be read, which has rules of its own."""
    if call.stream is None or not call.stream.ended or call.stream.failed:
        return b""
    try:
        return b"".join(piece for _, piece in call.stream.audio())
    except UnreadableBodyError:
        return b""


def _audio_exchange(carrier: Call, place: ResponseAudio, exchanges: Sequence[Exchange]) -> Exchange | None:
    """The exchange that carries the audio; audio inside JSON is left to live checks."""
    if place.delivered == "stream":
        return carrier.exchange
    if place.delivered == "bytes":
        return carrier.exchange if carrier.exchange.response.media_type.startswith("audio/") else None
    url = carrier.read_response(place.at)
    if place.delivered != "url" or not isinstance(url, str):
        return None
    path = urlsplit(url).path
    return next((e for e in exchanges if urlsplit(e.request.url).path == path and e.response.status == 200), None)


def _speech(submit: Call, target: Target) -> SpeechRequest:
    """What a recorded request asked for, in neutral words."""
    words = {
        word: submit.read_request(target.speech.request[word].at)
        for word in ("text", "language", "format", "speed")
        if word in target.speech.request
    }
    text = words.get("text", MISSING)
    speed = words.get("speed", MISSING)
    return SpeechRequest(
        text=_bare(target.speech.request["text"], text) if isinstance(text, str) else "",
        language=_word(words.get("language")),
        format=_word(words.get("format")),
        speed=float(speed) if isinstance(speed, int | float) else None,
    )


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _bare(slot: FieldMapping, text: str) -> str:
    """The text without what the contract's template adds around it."""
    before, _, after = slot.template.partition("{}")
    return text.removeprefix(before).removesuffix(after) if after else text.removeprefix(before)
