"""Judges recordings: polls and audio are assigned to the submit requests that caused them."""

from __future__ import annotations

import functools
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import msgspec

from voicegauge.cases.case import ConformanceCase, explain_missing_verdict
from voicegauge.cases.plan import plan_cases
from voicegauge.client.http_request import Origin, build_curl_command
from voicegauge.conformance._sent_case import read_inline_audio, read_speech_request, read_streamed_audio
from voicegauge.conformance.check_settings import build_contract_options
from voicegauge.conformance.offline_subjects import (
    ExchangeLookup,
    UnmatchedCallReason,
    find_unmatched_calls,
    read_recorded_socket,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.extension.provider import ListOperation
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.contract.loading import adapt_contract_to_server, replace_missing_voices
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.errors import ContractError, DataError, MissingExtraError
from voicegauge.model.base import Finding, Provenance, Severity
from voicegauge.model.exchange import DOWNLOAD_OPERATION, Delivery, Exchange, StateObservation
from voicegauge.printable_text import format_count, format_names
from voicegauge.recording.har_files import compute_age_days, load_har
from voicegauge.recording.quoted_words import mask_undocumented_words
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.rules.call import Call, CaseOutcome, CheckSubject, RecordingAge
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import Rule
from voicegauge.rules.subjects import JobHistory, SpeechDelivery

MAX_DISTINCT_REASONS = 5
"""Maximum number of different reasons, for one operation, why requests address no target."""
MAX_TARGETS_NAMED = 3
"""Maximum number of the contract's targets that are named in a report of requests that address no target."""
MAX_QUOTED_PATH_CHARACTERS = 200
"""Maximum length of the path of a request that is quoted in an error."""


def check_recordings(
    files: Sequence[Path],
    contracts: Sequence[Contract],
    rules: Mapping[str, Rule],
    collector: ResultCollector,
    *,
    now: datetime | None = None,
    stale_recordings_fail: bool = False,
) -> list[Path]:
    """Judge every recording of a provider that has a contract in `contracts`, and add the results to `collector`.

    Args:
        files: HAR files.
        contracts: the contracts of the providers to judge.
        rules: the rules to apply, by id.
        collector: collects the findings.
        now: the time at which the age of recordings is computed; `None` for the current time.
        stale_recordings_fail: whether a recording that is too old is an error instead of a warning.

    Returns:
        The files that were judged.

    Raises:
        DataError: a file is not a valid recording, or has an exchange that is not of its operation.
    """
    by_id = {contract.id: contract for contract in contracts}
    judged: list[Path] = []
    for path in files:
        recording = load_har(path)
        contract = by_id.get(recording.provider)
        if contract is None:
            continue
        checker = Checker(
            recording.provenance,
            rules,
            functools.partial(build_repeat_command, contract, path),
            mask_quotation=mask_undocumented_words,
        )
        adapted = adapt_to_recorded_models_and_voices(contract, recording)
        try:
            recorded = RecordingContent(adapted, recording, plan_cases_by_id(adapted))
            _judge_recording(path, recorded, checker, collector)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        except MissingExtraError as error:  # audio that only an optional part can decode
            collector.add_unjudged_item(f"recordings of {contract.id}", str(error))
            continue
        collector.coverage.add_contract(contract, rules)
        for exchange in recording.exchanges:
            collector.count_exchange(recording.provenance, contract.id, exchange.operation)
            collector.coverage.add_exchange(exchange)
        recorded.count_unmatched_calls().report_counts(path.name, contract, collector)
        collector.add_findings(
            _iterate_age_findings(
                checker,
                path,
                contract,
                recording,
                now or datetime.now(UTC),
                stale_recordings_fail=stale_recordings_fail,
            )
        )
        judged.append(path)
    return judged


def _judge_recording(path: Path, content: RecordingContent, checker: Checker, collector: ResultCollector) -> None:
    """Judge the exchanges of one recording, and note what of it cannot be judged.

    Raises:
        MissingExtraError: a package that decodes the audio is not installed.
    """
    subjects = list(content.iterate_subjects())
    collector.judge_subjects(checker, subjects, case_id=path.name)
    collector.recorded_targets |= {one.target.id for one in subjects if one.target is not None}
    for call in content.calls:
        audio_input_target = call.operation.find_audio_input_target(call.read_request)
        if audio_input_target is not None:
            collector.recorded_targets.add(audio_input_target.id)
    reasons = {one.unread_body_reason for one in subjects if isinstance(one, Call)}
    reasons |= {socket.not_judged_reason for socket in content.sockets}
    if not content.exchanges:
        reasons.add("it has no exchanges")
    for reason in sorted(filter(None, reasons)):
        collector.add_unjudged_item(f"{content.contract.id}/{path.name}", reason)


def adapt_to_recorded_models_and_voices(contract: Contract, recording: Recording) -> Contract:
    """Return the contract with the models and voices that the recorded service lists.

    The recording was made with them: the plan of a live check or recording begins with a request for them. The
    contract itself is returned if the recording has no such list, or has names that the contract does not allow.
    """
    own_server = contract.provider.self_hosted
    if own_server is None:
        voices = _read_recorded_names(recording, contract.provider.voice_lists)
        return replace_missing_voices(contract, voices) if voices else contract
    models = _read_recorded_names(recording, [own_server.model_list] if own_server.model_list is not None else [])
    voices = _read_recorded_names(recording, own_server.voice_lists)
    if not models and not voices:
        return contract
    try:
        return adapt_contract_to_server(contract, model_names=models, voice_names=voices)
    except ContractError:
        return contract


def _read_recorded_names(recording: Recording, name_lists: Sequence[ListOperation]) -> tuple[str, ...]:
    """Return the names in the first of the lists for which the recording has names; empty if it has none."""
    for name_list in name_lists:
        for exchange in recording.exchanges:
            if exchange.operation == name_list.operation_id and 200 <= exchange.response.status < 300:
                names = name_list.read_names(parse_exchange(exchange).response_json)
                if names:
                    return names
    return ()


class UnmatchedRequestCounter:
    """Counts the requests that address no target of the contract, by operation and reason."""

    def __init__(self) -> None:
        """Create a counter that has counted no request."""
        self._submit_count = self._unmatched_submit_count = 0
        self._counts: dict[Operation, Counter[UnmatchedCallReason]] = {}

    def count_call(self, call: Call, reason: UnmatchedCallReason | None) -> None:
        """Count a request; `reason` is why it is about no target, or `None` if it may be about one."""
        is_submit = call.operation.speech is not None and call.is_accepted
        self._submit_count += is_submit
        if reason is None:
            return
        self._unmatched_submit_count += is_submit
        counts = self._counts.setdefault(call.operation, Counter())
        if reason not in counts and len(counts) >= MAX_DISTINCT_REASONS:
            reason = UnmatchedCallReason(reason.call_noun, "of no target for other reasons")
        counts[reason] += 1

    def report_counts(self, recording_or_traffic_name: str, contract: Contract, collector: ResultCollector) -> None:
        """Report the counted requests of a recording, or of proxied traffic, to the collector.

        If none of the submits addresses a target, the recording or traffic is reported as not judged.
        """
        is_judged = self._unmatched_submit_count < self._submit_count
        for operation, counts in self._counts.items():
            parts = [
                f"{format_count(count, f'accepted {one.call_noun}')} {one.explanation}" for one, count in counts.items()
            ]
            if names := [target.id for target in operation.targets]:
                parts.append(f"targets: {format_names(names, MAX_TARGETS_NAMED)}")
            reason = "; ".join(parts)
            if operation.speech is not None and not is_judged:
                collector.add_unjudged_item(f"{contract.id}/{recording_or_traffic_name}", reason)
            else:
                name = f"{contract.id}/{recording_or_traffic_name}: {operation.id}"
                collector.unmatched_request_reason_by_name[name] = reason


_CASES_BY_ID_BY_CONTRACT: WeakKeyDictionary[Contract, Mapping[str, ConformanceCase]] = WeakKeyDictionary()
"""Cache of `plan_cases_by_id`: the planned cases of each contract, by id."""


def plan_cases_by_id(contract: Contract) -> Mapping[str, ConformanceCase]:
    """Return every case that follows from a contract, by id. Recorded responses are judged against these cases.

    The cases of a contract are planned once and then cached, because planning takes up to a second.
    """
    cases = _CASES_BY_ID_BY_CONTRACT.get(contract)
    if cases is None:
        targets = [*contract.targets.values(), *contract.socket_targets.values()]
        plan = plan_cases(targets, is_emulated=True, include_all_billable_cases=True)
        cases = _CASES_BY_ID_BY_CONTRACT[contract] = {case.id: case for case in plan.cases}
    return cases


def build_repeat_command(
    contract: Contract,
    recording_path: Path | None,
    exchange: Exchange,
    *,
    trusted_origins: Collection[Origin] | None = None,
) -> str | None:
    """Return the command that shows a finding again; `None` if no command can.

    It sends the request again, unless the request needs an id from an earlier response, which may not exist any more.
    In that case it judges the recording at `recording_path` again, if there is one. The key is masked for origins that
    are not in `trusted_origins`, by default those of the servers in the contract.
    """
    operation = contract.operations.get(exchange.operation)
    if operation is not None and not operation.needs_existing_id:
        return build_curl_command(exchange.request, contract, key_origins=trusted_origins)
    if recording_path is None:
        return None
    options = build_contract_options([contract])
    return shlex.join(["voicegauge", "check", contract.id, "--recordings", str(recording_path.parent), *options])


def _iterate_age_findings(
    checker: Checker,
    recording_path: Path,
    contract: Contract,
    recording: Recording,
    now: datetime,
    *,
    stale_recordings_fail: bool,
) -> Iterator[Finding]:
    """Yield a finding if a live recording is too old, with the command that records it again.

    Recordings of the emulator do not age, because they follow from the contract.
    """
    documented = {*contract.operations, *contract.socket_operations}
    known = [exchange for exchange in recording.exchanges if exchange.operation in documented]
    if recording.provenance is not Provenance.RECORDED or not known:
        return
    oldest = max(known, key=lambda exchange: compute_age_days(recording, exchange, now))
    target = contract.targets.get(recording_path.stem)
    out = recording_path.parent.parent if recording_path.parent.name == contract.id else recording_path.parent
    operation = contract.find_operation(oldest.operation)
    age = RecordingAge(operation, oldest, recording_path.name, compute_age_days(recording, oldest, now), target)
    named = target or contract.socket_targets.get(recording_path.stem)
    name = named.id if named else contract.id
    options = build_contract_options([contract])
    command = shlex.join(["voicegauge", "record", name, "--live", "--out", str(out), "--yes", *options])
    for finding in checker.iterate_findings(age, case_id=recording_path.name):
        severity = Severity.ERROR if stale_recordings_fail else finding.severity
        yield msgspec.structs.replace(finding, severity=severity, reproduction_command=command)


class RecordingContent:
    """The exchanges of one recording, each read once: as a call or as a WebSocket."""

    def __init__(
        self,
        contract: Contract,
        recording: Recording,
        case_by_id: Mapping[str, ConformanceCase] = MappingProxyType({}),
    ) -> None:
        """Read the exchanges of `recording`.

        Args:
            contract: the contract of the recording's provider.
            recording: the recording.
            case_by_id: the planned cases by id. An exchange recorded for a case is judged against the expected
                response.

        Raises:
            DataError: the contract does not have the operation of an exchange, or the operation has another method or
                path.
        """
        self.contract, self.exchanges, self._case_by_id = contract, recording.exchanges, case_by_id
        for exchange in self.exchanges:
            _require_request_of_operation(contract, exchange)
        parsed = (parse_call(contract, exchange, case_by_id) for exchange in self.exchanges)
        self.calls = [call for call in parsed if call is not None]
        """The calls of documented operations, in the order of the recording."""
        self.sockets = [
            read_recorded_socket(contract, exchange, case_by_id)
            for exchange in self.exchanges
            if exchange.socket is not None
        ]
        """What can be judged of each WebSocket, in the order of the recording."""
        self._unmatched = find_unmatched_calls(self.calls, ExchangeLookup(self.calls, self.exchanges), case_by_id)

    def iterate_subjects(self) -> Iterator[CheckSubject]:
        """Yield each call, each submit with its polls as a job, the audio of each delivery, and WebSockets.

        Calls that are about no target of the contract are left out.
        """
        # By identity, because calls have no equality: two polls may be equal in all that they contain.
        yield from (call for call in self.calls if id(call) not in self._unmatched)
        yield from _iterate_case_outcomes(self.calls, self._case_by_id)
        yield from iterate_jobs_and_deliveries(self.calls, self.exchanges)
        for socket in self.sockets:
            yield from socket.subjects

    def count_unmatched_calls(self) -> UnmatchedRequestCounter:
        """Count the accepted requests that address no target of the contract; most rules are not applied to them."""
        unmatched = UnmatchedRequestCounter()
        for call in self.calls:
            unmatched.count_call(call, self._unmatched.get(id(call)))
        return unmatched


def iterate_jobs_and_deliveries(calls: Sequence[Call], exchanges: Sequence[Exchange]) -> Iterator[CheckSubject]:
    """Yield every submit with its polls as a job, and the audio of each delivery.

    Args:
        calls: the calls of documented operations, in order.
        exchanges: all exchanges, with the downloads.
    """
    exchange_lookup = ExchangeLookup(calls, exchanges)
    for submit in calls:
        if submit.target is None or not submit.is_accepted:
            continue
        status = submit.target.job_operation
        polls: list[Call] = []
        if status is not None and status.job is not None:
            polls = exchange_lookup.find_polls(
                status, submit, submit.read_response_value(status.job.submit_response.job_id_location)
            )
            polls = [Call(call.operation, call.exchange, submit.target, submit_call=submit) for call in polls]
            yield JobHistory(
                submit, tuple(polls), status, state_observations=_build_state_observations(submit, polls, status.job)
            )
        delivery = _build_speech_delivery(submit, polls, exchange_lookup)
        if delivery is not None:
            yield delivery


def _require_request_of_operation(contract: Contract, exchange: Exchange) -> None:
    """Check that an exchange was not recorded under the name of another operation, whose rules would judge it.

    Raises:
        DataError: its method or path is not that of the operation.
    """
    operations = contract.operations if exchange.socket is None else contract.socket_operations
    operation = operations.get(exchange.operation)
    if operation is None:
        return
    method, path = exchange.request.method, urlsplit(exchange.request.url).path
    if method != operation.method or operation.match_path_end(path) is None:
        raise DataError(
            f"the exchange {method} {path[:MAX_QUOTED_PATH_CHARACTERS]} has the operation {operation.id!r}, which is "
            f"{operation.method} {operation.path}: correct its _operation, or record again"
        )


def parse_call(
    contract: Contract, exchange: Exchange, case_by_id: Mapping[str, ConformanceCase] = MappingProxyType({})
) -> Call | None:
    """Return an exchange as a call; `None` for a WebSocket, and for a download that no document describes.

    Raises:
        DataError: the contract does not have the operation of the exchange.
    """
    operation = contract.operations.get(exchange.operation)
    if operation is None:
        if exchange.operation == DOWNLOAD_OPERATION or exchange.socket is not None:
            return None
        raise DataError(
            f"a recording of {contract.id} has the operation {exchange.operation!r}, which {contract.document.path} "
            "does not have: add it to the contract, or record again"
        )
    call = Call(operation, exchange)
    case = case_by_id.get(exchange.conversation_id or "")
    is_invalid = case is not None and case.expected_response.acceptance == "rejected"
    target = operation.find_target(call.read_request)
    return Call(operation, exchange, target, request_intent="invalid" if is_invalid else "valid")


def _iterate_case_outcomes(calls: Sequence[Call], case_by_id: Mapping[str, ConformanceCase]) -> Iterator[CaseOutcome]:
    """Yield the outcome of each recorded case: the last response of the operation that it tests."""
    # The last: a request that was sent again after a status of a busy service is judged by its final response.
    last = {(call.exchange.conversation_id or "", call.operation.id): call for call in calls}
    for (group, operation), call in last.items():
        case = case_by_id.get(group)
        if case is None or case.operation != operation:
            continue
        if explain_missing_verdict(case, call.operation, call.status) is None:
            yield CaseOutcome(call, case.expected_response)


def _build_state_observations(
    submit_call: Call, polls: Sequence[Call], job_spec: JobSpec
) -> tuple[StateObservation, ...]:
    """Return when each state was seen; empty if the times of an exchange were not recorded."""
    observations: list[StateObservation] = []
    for index, call in enumerate((submit_call, *polls)):
        timing, start = call.exchange.timing, submit_call.exchange.timing
        if timing is None or start is None:
            return ()
        read_state = job_spec.read_state if index else job_spec.read_submit_state
        state = read_state(call.read_response_value)
        requested_ms = timing.started_ms - start.started_ms
        if call.is_accepted and isinstance(state, str):
            response_began_ms = requested_ms + timing.total_ms
            observations.append(
                StateObservation(
                    state=state, response_began_ms=response_began_ms, requested_ms=requested_ms, exchange_index=index
                )
            )
    return tuple(observations)


def _build_speech_delivery(
    submit_call: Call, polls: Sequence[Call], exchange_lookup: ExchangeLookup
) -> SpeechDelivery | None:
    """Return the delivery that a submit requested; `None` if its audio was not recorded."""
    target = submit_call.target
    location = target.response.audio if target is not None else None
    carrier = submit_call
    accepted = [poll for poll in polls if poll.is_accepted]  # one with a wrong key may follow
    if accepted and accepted[-1].operation.job is not None:
        location, carrier = accepted[-1].operation.job.audio, accepted[-1]
    if target is None or location is None:
        return None
    exchange = _find_audio_exchange(carrier, location, exchange_lookup)
    if exchange is None:
        return None
    match location.delivery_method:
        case "stream":
            audio = read_streamed_audio(carrier)
        case "base64":
            audio = read_inline_audio(carrier, location)
        case _:
            audio = exchange.response.body
    if not audio:
        return None
    declared = carrier.read_response_value(location.media_type_location)
    header = exchange.response.media_type or None if location.delivery_method in ("bytes", "url") else None
    delivery = Delivery(
        target=target.id,
        exchanges=(submit_call.exchange, exchange),
        submit_count=1,
        audio=audio,
        media_type=declared if isinstance(declared, str) else header,
        audio_exchange_index=1,
        submit_exchange_index=0,
    )
    return SpeechDelivery(target, read_speech_request(submit_call, target), delivery)


def _find_audio_exchange(
    call_with_audio: Call, response_audio: ResponseAudio, exchange_lookup: ExchangeLookup
) -> Exchange | None:
    """Return the exchange whose response body is or contains the audio; `None` if there is none."""
    if response_audio.delivery_method in ("stream", "base64"):
        return call_with_audio.exchange
    if response_audio.delivery_method == "bytes":
        return call_with_audio.exchange if call_with_audio.exchange.response.media_type.startswith("audio/") else None
    url = call_with_audio.read_response_value(response_audio.location)
    if response_audio.delivery_method != "url" or not isinstance(url, str):
        return None
    return exchange_lookup.downloads.get(urlsplit(url).path)
