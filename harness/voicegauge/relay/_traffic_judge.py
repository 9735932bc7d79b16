"""Judges and records passing traffic, without its secrets, in a process of its own.

Exchanges are redacted before anything else, so that no finding can quote a secret. An exchange that belongs to no job
is judged once. A job is judged again after each of its exchanges, to report findings as they occur; only its last
judgement counts in the report.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec

from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.offline_subjects import explain_unmatched_call, read_recorded_socket
from voicegauge.conformance.recording_judging import (
    UnmatchedRequestCounter,
    build_repeat_command,
    iterate_jobs_and_deliveries,
    parse_call,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import adapt_contract_to_server, load_contract
from voicegauge.contract.socket_turns import find_socket_operation
from voicegauge.emulator.process import is_emulated
from voicegauge.errors import DataError, MissingExtraError, StorageError, VoicegaugeError
from voicegauge.model.base import Finding, Provenance
from voicegauge.model.exchange import DOWNLOAD_OPERATION, Exchange, Request, Response
from voicegauge.recording.documented_values import find_used_credentials
from voicegauge.recording.har_files import GrowingHar, load_har
from voicegauge.recording.masking import mask_credentials
from voicegauge.recording.recorded_exchanges import ConversationIndex, Recording, UrlCanonicalizer, find_relative_path
from voicegauge.recording.redaction import RedactionSettings, Redactor
from voicegauge.recording.secret_search import find_secret_spelling
from voicegauge.relay.traffic_monitor import (
    JudgedExchange,
    JudgeSettings,
    RelayedExchange,
    Upstream,
    iterate_records,
    write_record,
)
from voicegauge.rules.call import Call, CheckSubject, IncompleteResponse
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.rules.subjects import JobHistory, SpeechDelivery
from voicegauge.speech.containers import suppress_decoder_stderr
from voicegauge.transport.body_encoding import ADDITIONAL_CODINGS, decode_body

# Redacts exchanges one by one: each is searched for every credential that was used so far.


MAX_REDACTED_SECRETS = 200
"""Maximum number of different credentials. Searching an exchange for one of them takes a few milliseconds."""


class TrafficRedactor:
    """Masks in each exchange the credentials of this exchange and of all earlier ones, in any encoding."""

    def __init__(self, contract: Contract, redaction: RedactionSettings) -> None:
        """Create a redactor that knows the keys in the environment.

        Args:
            contract: contract of the provider.
            redaction: which names are masked, and which are left. Its secrets are not used.
        """
        self._contract, self._settings = contract, redaction
        values = (os.environ.get(variable, "").strip() for variable in contract.key_variables)
        self.secrets: dict[str, None] = dict.fromkeys(filter(None, values))
        """The credentials, as keys in the order in which they were used."""
        self._redactor = self._create_redactor()
        self._earlier_redactions: Counter[str] = Counter()
        """Number of values by location that former redactors masked."""

    @property
    def redaction_count_by_location(self) -> dict[str, int]:
        """Number of values that were masked so far, by the location at which they were."""
        total = self._earlier_redactions + Counter(self._redactor.count_redactions_by_location())
        return dict(sorted(total.items()))

    def learn_credentials(self, exchange: Exchange) -> list[str]:
        """Note the credentials that the request of `exchange` uses, and return those that no earlier one used.

        Raises:
            DataError: there are more than `MAX_REDACTED_SECRETS` credentials.
        """
        # What a response contains is masked in this exchange; a client that uses it later sends it in a request.
        used = find_used_credentials(self._contract, exchange, in_request_only=True)
        found = [one for one in used if one not in self.secrets]
        if not found:
            return []
        if len(self.secrets) + len(found) > MAX_REDACTED_SECRETS:
            raise DataError(f"clients used more than {MAX_REDACTED_SECRETS} different keys, tokens and cookies")
        self.secrets |= dict.fromkeys(found)
        # The next redactor, which knows the new secrets as well, counts from 0.
        self._earlier_redactions.update(self._redactor.count_redactions_by_location())
        self._redactor = self._create_redactor()
        return found

    def _create_redactor(self) -> Redactor:
        return Redactor(self._contract, msgspec.structs.replace(self._settings, secrets=tuple(self.secrets)))

    def redact(self, exchange: Exchange) -> Exchange:
        """Return `exchange` without secrets.

        Raises:
            DataError: something in it still looks like a credential, or it is too large to be searched.
        """
        masked = self._redactor.mask_exchange(exchange)
        self._redactor.check_exchange("the exchange", 1, masked)
        return masked


# Writes the exchanges that passed through the proxy to a recording, one by one.


class TrafficRecorder:
    """Writes the redacted exchanges of the traffic to one recording."""

    def __init__(self, path: Path, contract: Contract, redactor: TrafficRedactor) -> None:
        """Prepare to write `path`.

        Raises:
            StorageError: the file exists or cannot be written.
        """
        self._har, self._contract, self._redactor = GrowingHar(path), contract, redactor
        self._recorded_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._provenance = Provenance.RECORDED
        self._has_exchanges = False
        """Whether the recording has any exchange."""

    def add_exchange(self, exchange: Exchange) -> None:
        """Add a redacted exchange; the file is complete afterwards.

        Raises:
            DataError: the file is full.
            StorageError: the file cannot be written.
        """
        if is_emulated(exchange):
            self._provenance = Provenance.EMULATED
        self._har.add_exchange(exchange, self._build_recording_metadata())
        self._has_exchanges = True

    def remove_secrets(self, new_secrets: Sequence[str]) -> None:
        """Redact the recorded exchanges again if one of them contains one of `new_secrets`.

        These secrets were not known when the exchanges were recorded.

        An exchange that still contains something like a credential is removed.

        Raises:
            StorageError: the file cannot be written.
        """
        if not self._has_exchanges or not new_secrets:
            return
        exchanges = load_har(self._har.path).exchanges
        if not any(
            find_secret_spelling(data, new_secrets)
            for exchange in exchanges
            for data in _list_url_headers_and_bodies(exchange)
        ):
            return
        redacted = []
        for exchange in exchanges:
            with contextlib.suppress(DataError):
                redacted.append(self._redactor.redact(exchange))
        self._har.replace_exchanges(redacted, self._build_recording_metadata())

    def _build_recording_metadata(self) -> Recording:
        return Recording(
            provenance=self._provenance,
            provider=self._contract.id,
            contract_version=self._contract.version,
            contract_sha256=self._contract.document.sha256,
            recorded_at=self._recorded_at,
            exchanges=(),
            redaction_count_by_location=self._redactor.redaction_count_by_location,
        )


def _list_url_headers_and_bodies(exchange: Exchange) -> tuple[bytes, ...]:
    headers = "\n".join(f"{name}: {value}" for name, value in (*exchange.request.headers, *exchange.response.headers))
    messages = exchange.socket.messages if exchange.socket is not None else ()
    bodies = exchange.request.body, exchange.response.body, *(message.data for message in messages)
    return exchange.request.url.encode(), headers.encode(), *bodies


# Judges the exchanges that pass through the proxy, one by one, with the rules for recordings.


MAX_DECOMPRESSED_BODY_BYTES = 64 * 2**20
"""Maximum size of a body after decompression."""
MAX_OPEN_JOBS = 200
"""Maximum number of jobs whose exchanges are kept. Above it, the oldest job is judged with the exchanges so far."""
MAX_TOTAL_OPEN_JOB_BYTES = 64 * 2**20
"""Maximum memory, in bytes, that the bodies of the exchanges of open jobs take."""
MAX_INTERIM_JOB_JUDGEMENTS = 50
"""Maximum number of times that a job is judged before its end: after each of its first exchanges. Later exchanges are
only judged at the end of the job, because judging takes longer the more exchanges there are."""
EXCHANGES_BETWEEN_FINDING_MERGES = 1000
"""Number of exchanges after which equal findings are merged, because traffic may pass for days."""
MAX_REQUEST_NAME_CHARACTERS = 120
"""Maximum length of the method and path by which a request without an operation is named."""

_JobOrDelivery = JobHistory | SpeechDelivery


class _JobConversation:
    """The exchanges of one job: the submit, the polls and the download."""

    def __init__(self, *, has_target: bool) -> None:
        self.has_target = has_target
        """Whether the contract has the target that the job was started for. If not, its exchanges are not kept."""
        self.exchanges: list[Exchange] = []
        self.calls: list[Call] = []
        self.reported_findings: set[tuple[str, str]] = set()
        """Fingerprint and message of each finding about the job that was reported."""

    @property
    def size_bytes(self) -> int:
        return sum(len(exchange.request.body) + len(exchange.response.body) for exchange in self.exchanges)

    def list_subjects(self) -> list[_JobOrDelivery]:
        subjects = iterate_jobs_and_deliveries(self.calls, self.exchanges)
        return [subject for subject in subjects if isinstance(subject, JobHistory | SpeechDelivery)]


class TrafficJudge:
    """Redacts, records and judges the exchanges that passed through the proxy, one after the other."""

    def __init__(self, contract: Contract, settings: JudgeSettings) -> None:
        """Create a judge that has seen no exchange.

        Raises:
            StorageError: the recording exists or cannot be written.
        """
        self._contract = contract
        self._canonicalizer = UrlCanonicalizer(contract, settings.base_urls)
        self._redactor = TrafficRedactor(contract, settings.redaction)
        path = Path(settings.recording_path) if settings.recording_path is not None else None
        self._recorder = TrafficRecorder(path, contract, self._redactor) if path is not None else None
        self._collector = ResultCollector([target.id for target in contract.targets.values()], 0)
        self._collector.coverage.add_contract(contract, RULE_BY_ID)
        self._recording_path, self._upstream = path, Upstream(contract, settings.base_urls.get(""))
        self._checkers = {
            provenance: Checker(provenance, RULE_BY_ID, self._build_repeat_command, self._mask_secrets)
            for provenance in (Provenance.LIVE, Provenance.EMULATED)
        }
        self._unmatched_requests = UnmatchedRequestCounter()
        self._conversation_index = ConversationIndex(contract)
        self._open_jobs: OrderedDict[int, _JobConversation] = OrderedDict()
        self._job_count = 0

    def judge_exchange(self, relayed_exchange: RelayedExchange) -> JudgedExchange:
        """Redact, record and judge one exchange."""
        try:
            exchange = self._canonicalizer.rewrite_exchange(_build_exchange(self._contract, relayed_exchange))
            operation = self._find_operation_id(exchange)
            exchange = msgspec.structs.replace(exchange, operation=operation or DOWNLOAD_OPERATION)
            new_secrets = self._redactor.learn_credentials(exchange)
            if self._recorder is not None:
                # A key that is used for the first time may be in earlier exchanges: in the response that issued it.
                self._recorder.remove_secrets(new_secrets)
            if operation is None:
                path = exchange.request.url.partition("?")[0].partition("://")[2].partition("/")[2]
                name = self._mask_secrets(f"{exchange.request.method} /{path}")
                return JudgedExchange(undocumented_request=name[:MAX_REQUEST_NAME_CHARACTERS])
            exchange = self._redactor.redact(exchange)
        # Whatever a client or a service sends must not end the judging of the traffic that follows.
        except (VoicegaugeError, ValueError) as error:
            return JudgedExchange(not_judged_reason=self._mask_secrets(str(error)))
        # Neither recorded nor counted to a job: what its body would have said is not known.
        if relayed_exchange.interruption_reason is not None:
            return self._judge_incomplete_exchange(exchange, relayed_exchange.interruption_reason)
        job_number = self._find_or_open_job(exchange) if exchange.socket is None else None
        if job_number is not None:
            exchange = msgspec.structs.replace(exchange, conversation_id=f"conversation {job_number}")
        not_recorded = self._record_if_possible(exchange)
        self._count_exchange(exchange)
        try:
            if exchange.socket is not None:  # judged after its end
                socket = read_recorded_socket(self._contract, exchange, {})
                findings = self._collector.judge_subjects(self._choose_checker([exchange]), socket.subjects)
                not_judged = socket.not_judged_reason
            else:
                findings = self._judge_call_and_job(exchange, job_number)
                call = parse_call(self._contract, exchange)
                not_judged = call.unread_body_reason if call is not None else None
        except MissingExtraError as error:  # audio that only an optional part can decode
            findings, not_judged = [], str(error)
        return JudgedExchange(
            findings=tuple(findings),
            is_recorded=self._recorder is not None and not_recorded is None,
            not_recorded_reason=not_recorded,
            not_judged_reason=not_judged,
        )

    def build_report(self) -> CheckReport:
        """Judge the jobs that have not ended, and return the report of all exchanges."""
        while self._open_jobs:
            self._judge_and_close_oldest_job()
        self._unmatched_requests.report_counts("traffic", self._contract, self._collector)
        self._collector.secrets |= self._redactor.secrets.keys()  # masked in every text of the report
        return self._collector.build_report()

    def _mask_secrets(self, text: str) -> str:
        return mask_credentials(text, tuple(self._redactor.secrets))

    def _build_repeat_command(self, exchange: Exchange) -> str | None:
        """Return the command that sends a request to the service again; without the key if `--upstream` is set.

        `None` if no command can, see `build_repeat_command` of the recordings.
        """
        parts = urlsplit(exchange.request.url)
        origin, target = self._upstream.find_origin_and_request_target(exchange.request.method, parts.path, parts.query)
        sent_request = msgspec.structs.replace(exchange.request, url=f"{origin}{target}")
        return build_repeat_command(
            self._contract,
            self._recording_path,
            msgspec.structs.replace(exchange, request=sent_request),
        )

    def _find_operation_id(self, exchange: Exchange) -> str | None:
        if exchange.socket is not None:
            channel = find_socket_operation(self._contract, exchange.request.url)
            return channel.id if channel is not None else None
        path = find_relative_path(self._contract, exchange.request.url)
        match = self._contract.match_operation(exchange.request.method, path) if path is not None else None
        if match is not None:
            return match[0].id
        if exchange.request.method == "GET" and self._conversation_index.find_conversation_number(exchange) is not None:
            return DOWNLOAD_OPERATION
        return None

    def _record_if_possible(self, exchange: Exchange) -> str | None:
        """Record `exchange`. Return why that failed; `None` if it was recorded, or if no recording is written."""
        if self._recorder is None:
            return None
        try:
            self._recorder.add_exchange(exchange)
        except (DataError, StorageError) as error:
            return str(error)
        return None

    def _judge_incomplete_exchange(self, exchange: Exchange, reason: str) -> JudgedExchange:
        call = parse_call(self._contract, exchange)
        if call is None:
            return JudgedExchange(not_judged_reason=reason)
        self._count_exchange(exchange)
        subject = IncompleteResponse(call, self._mask_secrets(reason), 1)
        findings = self._collector.judge_subjects(self._choose_checker([exchange]), [subject])
        not_recorded = None if self._recorder is None else "the body broke off, which a recording cannot state"
        return JudgedExchange(findings=tuple(findings), not_recorded_reason=not_recorded)

    def _count_exchange(self, exchange: Exchange) -> None:
        provenance = Provenance.EMULATED if is_emulated(exchange) else Provenance.LIVE
        self._collector.count_exchange(provenance, self._contract.id, exchange.operation)
        self._collector.coverage.add_exchange(exchange)

    def _choose_checker(self, exchanges: Sequence[Exchange]) -> Checker:
        """Return the checker for emulated traffic if the emulator responded, else that for live traffic."""
        return self._checkers[Provenance.EMULATED if any(map(is_emulated, exchanges)) else Provenance.LIVE]

    def _find_or_open_job(self, exchange: Exchange) -> int | None:
        """Return the number of the job to which `exchange` belongs, a new one for a submit.

        `None` if it belongs to none.
        """
        job_number = self._conversation_index.find_conversation_number(exchange)
        if job_number in self._open_jobs:
            return job_number
        call = parse_call(self._contract, exchange)
        if call is None or call.operation.speech is None or not call.is_accepted:
            return None
        targets = call.operation.targets if call.target is None else [call.target]
        if all(target.job_operation is None for target in targets):
            return None
        self._job_count += 1
        self._open_jobs[self._job_count] = _JobConversation(has_target=call.target is not None)
        if len(self._open_jobs) > MAX_OPEN_JOBS:
            self._judge_and_close_oldest_job()
        return self._job_count

    def _judge_call_and_job(self, exchange: Exchange, job_number: int | None) -> list[Finding]:
        """Judge one exchange, and the job to which it belongs; return the findings that are new.

        `job_number` is the number of that job; `None` if the exchange belongs to none.
        """
        if self._collector.exchange_count % EXCHANGES_BETWEEN_FINDING_MERGES == 0:
            self._collector.merge_equal_findings()
        call = parse_call(self._contract, exchange)
        checker = self._choose_checker([exchange])
        job = self._open_jobs[job_number] if job_number is not None else None
        if job_number is not None:
            self._conversation_index.add_exchange(exchange, job_number)
        findings = []
        if call is not None:
            reason = explain_unmatched_call(call, job_has_target=job.has_target if job is not None else None)
            self._unmatched_requests.count_call(call, reason)
            if reason is not None:
                return []
            findings = self._collector.judge_subjects(checker, [call])
        if job is not None:
            findings += self._judge_job(job, exchange, call)
            # The job that was opened last is kept, so that one job is judged whole, however large it is.
            while (
                sum(job.size_bytes for job in self._open_jobs.values()) > MAX_TOTAL_OPEN_JOB_BYTES
                and len(self._open_jobs) > 1
            ):
                self._judge_and_close_oldest_job()
        elif call is not None:
            deliveries = list(iterate_jobs_and_deliveries([call], [exchange]))
            findings += self._collector.judge_subjects(checker, deliveries)
            self._count_audio_fetched_elsewhere([call], deliveries)
        return findings

    def _count_audio_fetched_elsewhere(self, calls: Sequence[Call], subjects: Sequence[CheckSubject]) -> None:
        """Count the audio of a delivery that a response links to, if its download did not pass through the proxy."""
        if any(map(_links_to_audio, calls)) and not any(isinstance(one, SpeechDelivery) for one in subjects):
            self._collector.deliveries.unjudged_words_count_by_reason[_AUDIO_FETCHED_ELSEWHERE_REASON] += 1

    def _judge_job(self, job: _JobConversation, exchange: Exchange, call: Call | None) -> list[Finding]:
        """Add an exchange to its job, judge the job, and return the findings that were not reported before.

        Return nothing for a job of no target, and after more than `MAX_INTERIM_JOB_JUDGEMENTS` exchanges. `call` is
        `exchange` as a call; `None` for a download that no document describes.
        """
        if not job.has_target:
            return []
        job.exchanges.append(exchange)
        if call is not None:
            job.calls.append(call)
        if len(job.exchanges) > MAX_INTERIM_JOB_JUDGEMENTS:
            return []
        checker = self._choose_checker(job.exchanges)
        new = []
        for subject in job.list_subjects():
            for finding in checker.iterate_findings(subject):
                if (finding.fingerprint, finding.message) not in job.reported_findings:
                    job.reported_findings.add((finding.fingerprint, finding.message))
                    new.append(finding)
        return new

    def _judge_and_close_oldest_job(self) -> None:
        job_number, job = self._open_jobs.popitem(last=False)
        self._conversation_index.forget_conversation(job_number)
        with contextlib.suppress(MissingExtraError):  # it was counted when the exchange passed
            subjects = job.list_subjects()
            self._collector.judge_subjects(self._choose_checker(job.exchanges), subjects)
            self._count_audio_fetched_elsewhere(job.calls if job.has_target else [], subjects)


_AUDIO_FETCHED_ELSEWHERE_REASON = "the client fetched the file from elsewhere than the proxy"


def _links_to_audio(call: Call) -> bool:
    """Whether the response to a submit or a poll has the URL of a file with speech."""
    job, target = call.operation.job, call.target
    audio = job.audio if job is not None else target.response.audio if target is not None else None
    if audio is None or audio.delivery_method != "url" or not call.is_accepted:
        return False
    return isinstance(call.read_response_value(audio.location), str)


def _build_exchange(contract: Contract, relayed_exchange: RelayedExchange) -> Exchange:
    """Return a relayed exchange with decompressed bodies, as the record that rules judge; its operation is set later.

    Raises:
        OversizeError: a body decompresses to more than `MAX_DECOMPRESSED_BODY_BYTES`.
        DataError: a body cannot be decompressed.
        MissingExtraError: the package that decompresses a body is not installed.
    """
    request, response = relayed_exchange.request, relayed_exchange.response
    request = msgspec.structs.replace(request, body=_decompress_body(request, "the request"))
    response = msgspec.structs.replace(response, body=_decompress_body(response, "the response"))
    return Exchange(
        provider=contract.id,
        operation=DOWNLOAD_OPERATION,
        request=request,
        response=response,
        timing=relayed_exchange.timing,
        socket=relayed_exchange.socket,
    )


def _decompress_body(message: Request | Response, message_name: str) -> bytes:
    encoding = ", ".join(value for key, value in message.headers if key.lower() == "content-encoding")
    if not encoding.strip() or encoding.strip().lower() == "identity" or not message.body:
        return message.body
    body = decode_body(
        message.body,
        encoding,
        max_bytes=MAX_DECOMPRESSED_BODY_BYTES,
        origin_name=message_name,
        additional_codings=ADDITIONAL_CODINGS,
    )
    if body is message.body:  # a secret in it could not be found
        raise DataError(f"the body of {message_name} is compressed ({encoding[:40]}) and could not be decompressed")
    return body


IDLE_TIME_BEFORE_JUDGING_S = 0.02
"""Time in seconds without a new exchange after which waiting exchanges are judged. Clients often send the next request
right after a response."""


MAX_EXCHANGES_WAITING_FOR_PAUSE = 32
"""Number of waiting exchanges above which they are judged without waiting for a pause."""


def judge_exchange_stream(exchange_stream: IO[bytes], result_stream: IO[bytes]) -> None:
    """Read settings and then exchanges from `exchange_stream` until its end, and write the result of each exchange.

    The first record says whether judging can begin, and the last one has the report. If nobody reads `result_stream`,
    because the proxy was killed, the remaining exchanges are judged anyway, so that the recording is complete.
    """
    try:
        settings = next(iterate_records(exchange_stream, JudgeSettings), None)
        if settings is None:
            return  # nobody judges anything: the proxy was killed before it sent the settings
        contract = load_contract(Path(settings.contract_path))
        if any(settings.model_and_voice_names):
            contract = adapt_contract_to_server(contract, **settings.model_and_voice_names._asdict())
        judge = TrafficJudge(contract, settings)
    except VoicegaugeError as error:
        write_record(result_stream, JudgedExchange(startup_error=str(error)))
        return
    write_record(result_stream, JudgedExchange())
    for relayed_exchange in _WaitingExchanges(exchange_stream).iterate_in_pauses():
        with contextlib.suppress(OSError):
            write_record(result_stream, judge.judge_exchange(relayed_exchange))
    with contextlib.suppress(OSError):
        write_record(result_stream, JudgedExchange(report=judge.build_report()))


class _WaitingExchanges:
    """A queue of exchanges to judge. A thread reads each from the proxy's stream as soon as it arrives.

    No exchange is lost if the proxy is killed.
    """

    def __init__(self, exchange_stream: IO[bytes]) -> None:
        self._exchange_stream = exchange_stream
        self._queued_exchanges: queue.SimpleQueue[RelayedExchange | None] = queue.SimpleQueue()
        self._has_ended = threading.Event()
        self._latest_arrival_s = 0.0

    def iterate_in_pauses(self) -> Iterator[RelayedExchange]:
        """Yield each exchange when the traffic pauses, so that judging does not compete with it for the processor."""
        threading.Thread(target=self._read_exchanges, daemon=True).start()
        while (relayed_exchange := self._queued_exchanges.get()) is not None:
            self._wait_for_pause()
            yield relayed_exchange

    def _read_exchanges(self) -> None:
        for relayed_exchange in iterate_records(self._exchange_stream, RelayedExchange):
            self._latest_arrival_s = time.monotonic()
            self._queued_exchanges.put(relayed_exchange)
        self._has_ended.set()
        self._queued_exchanges.put(None)

    def _wait_for_pause(self) -> None:
        while self._queued_exchanges.qsize() < MAX_EXCHANGES_WAITING_FOR_PAUSE:
            remaining_s = self._latest_arrival_s + IDLE_TIME_BEFORE_JUDGING_S - time.monotonic()
            if remaining_s <= 0 or self._has_ended.wait(remaining_s):
                return


def main() -> None:
    """Judge the exchanges from standard input until it is closed, and write the results to standard output."""
    if sys.stdin.isatty():
        sys.exit("this module is started by other commands with its settings: run `voicegauge proxy`")
    suppress_decoder_stderr()
    os.nice(10)  # the bytes that pass go first
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not be read as a result
    judge_exchange_stream(sys.stdin.buffer, results)


if __name__ == "__main__":
    main()
