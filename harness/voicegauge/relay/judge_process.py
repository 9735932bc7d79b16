"""Runs the judge of passing traffic in a process of its own."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from voicegauge.conformance.check_report import CheckReport
from voicegauge.contract.loading import adapt_contract_to_server, load_contract
from voicegauge.errors import NothingMeasuredError, UsageError, VoicegaugeError
from voicegauge.model.base import Finding
from voicegauge.relay._traffic_judge import TrafficJudge
from voicegauge.relay.relay_server import RelayObserver
from voicegauge.relay.relayed_exchange import CapturedBody, JudgedExchange, JudgeSettings, RelayedExchange

# Sends records between two processes, each as its length followed by MessagePack.


RecordT = TypeVar("RecordT")
_LENGTH_PREFIX_BYTES = 8


def write_record(stream: IO[bytes], record: Any) -> None:
    """Write one record.

    Raises:
        OSError: nobody reads the stream any more.
    """
    data = msgspec.msgpack.encode(record)
    stream.write(len(data).to_bytes(_LENGTH_PREFIX_BYTES, "big"))
    stream.write(data)
    stream.flush()


def iterate_records(stream: IO[bytes], record_type: type[RecordT]) -> Iterator[RecordT]:
    """Yield the records in a stream until its end. An incomplete record at the end is left out."""
    while len(head := stream.read(_LENGTH_PREFIX_BYTES)) == _LENGTH_PREFIX_BYTES:
        length = int.from_bytes(head, "big")
        data = stream.read(length)
        if len(data) < length:
            return
        yield msgspec.msgpack.decode(data, type=record_type)


# Judges traffic in a process of its own, so that no rule or redaction delays the bytes that pass.


IDLE_TIME_BEFORE_JUDGING_S = 0.02
"""Time in seconds without a new exchange after which waiting exchanges are judged. Clients often send the next request
right after a response."""
MAX_EXCHANGES_WAITING_FOR_PAUSE = 32
"""Number of waiting exchanges above which they are judged without waiting for a pause."""
MAX_DISTINCT_REASONS = 100
"""Maximum number of entries in each count while a proxy runs: exchanges that were not judged, not recorded or without
a response, by reason, and undocumented requests, by method and path. The rest is counted in one entry, because a client
can send requests to any number of paths."""
MAX_IMMEDIATELY_REPORTED_FINDINGS = 10_000
"""Maximum number of different findings that are reported while traffic passes; the report counts all."""
_REMAINING_REASONS_LABEL = "(others)"
"""The name under which all further reasons and paths are counted together."""
_JUDGE_ENDED_REASON = "the process that judges has ended"

FindingCallback = Callable[[Finding], None]
"""A function that is called with each new finding."""


def judge_exchange_stream(exchange_stream: IO[bytes], result_stream: IO[bytes]) -> None:
    """Read settings and then exchanges from `exchange_stream` until its end, and write the result of each exchange.

    The report is written last. If nobody reads `result_stream`, because the proxy was killed, the remaining exchanges
    are judged anyway, so that the recording is complete.
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
        self._queue: queue.SimpleQueue[RelayedExchange | None] = queue.SimpleQueue()
        self._has_ended = threading.Event()
        self._arrived_s = 0.0

    def iterate_in_pauses(self) -> Iterator[RelayedExchange]:
        """Yield each exchange when the traffic pauses, so that judging does not compete with it for the processor."""
        threading.Thread(target=self._read_exchanges, daemon=True).start()
        while (relayed_exchange := self._queue.get()) is not None:
            self._wait_for_pause()
            yield relayed_exchange

    def _read_exchanges(self) -> None:
        for relayed_exchange in iterate_records(self._exchange_stream, RelayedExchange):
            self._arrived_s = time.monotonic()
            self._queue.put(relayed_exchange)
        self._has_ended.set()
        self._queue.put(None)

    def _wait_for_pause(self) -> None:
        while self._queue.qsize() < MAX_EXCHANGES_WAITING_FOR_PAUSE:
            remaining_s = self._arrived_s + IDLE_TIME_BEFORE_JUDGING_S - time.monotonic()
            if remaining_s <= 0 or self._has_ended.wait(remaining_s):
                return


@contextlib.contextmanager
def _run_judge_process() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Run `judge_exchange_stream` in a process, and yield the streams of its exchanges and results.

    The process ends when the stream of its exchanges is closed, also if this process is killed.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "voicegauge.relay"],  # -P: imports nothing from the current folder
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C must only interrupt this process, which then ends the other one
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.kill()
        process.stdout.close()
        process.wait()


class TrafficMonitor(RelayObserver):
    """Sends the exchanges that passed through the proxy to the judging process, and collects its results."""

    def __init__(self, on_finding: FindingCallback, on_missing_response: Callable[[str], None]) -> None:
        """Prepare to judge traffic; `judge_traffic` starts the judging process.

        Args:
            on_finding: called in another thread with each new finding.
            on_missing_response: called with each new reason why there was no response of the service.
        """
        self._on_finding, self._on_failure = on_finding, on_missing_response
        self._queue: queue.SimpleQueue[tuple[RelayedExchange, tuple[CapturedBody, ...]] | None] = queue.SimpleQueue()
        self._sent: deque[tuple[CapturedBody, ...]] = deque()
        """Bodies of the exchanges that the judge has, whose memory is released when it has judged them."""
        self._lock = threading.Lock()
        self.new_findings: dict[tuple[str, str], Finding] = {}
        """The first finding with each fingerprint and message, at most `MAX_IMMEDIATELY_REPORTED_FINDINGS`."""
        self.request_count = self.recorded_count = self._handed_on = self._judged = 0
        self.failure_count_by_reason: Counter[str] = Counter()
        self.unjudged_count_by_reason: Counter[str] = Counter()
        self.undocumented_count_by_request: Counter[str] = Counter()
        self.unrecorded_count_by_reason: Counter[str] = Counter()
        self.report: CheckReport | None = None
        """The report of the judge; `None` until the end."""

    @property
    def unjudged_count(self) -> int:
        """Number of exchanges that passed through the proxy and are not judged yet."""
        return self._handed_on - self._judged

    def on_exchange(self, exchange: RelayedExchange, captured_bodies: tuple[CapturedBody, ...]) -> None:
        """Queue a complete exchange."""
        with self._lock:
            self.request_count += 1
            self._handed_on += 1
        self._queue.put((exchange, captured_bodies))

    def on_exchange_lost(self, reason: str) -> None:
        """Count an exchange that passed through the proxy but cannot be judged."""
        with self._lock:
            self.request_count += 1
            _count_reason(self.unjudged_count_by_reason, reason)

    def on_request_failed(self, reason: str) -> None:
        """Count a request without a response of the service."""
        with self._lock:
            self.request_count += 1
            _count_reason(self.failure_count_by_reason, reason)
            is_new = self.failure_count_by_reason[reason] == 1
        if is_new:
            self._on_failure(reason)

    @contextlib.contextmanager
    def judge_traffic(self, settings: JudgeSettings) -> Iterator[None]:
        """Judge the exchanges that pass while the context is active.

        When it ends, the remaining exchanges are judged; Ctrl-C skips them.

        Raises:
            VoicegaugeError: judging cannot begin.
        """
        with _run_judge_process() as (exchange_stream, result_stream):
            write_record(exchange_stream, settings)
            started = next(iterate_records(result_stream, JudgedExchange), None)
            if started is None or started.startup_error is not None:
                raise UsageError(
                    "the process that judges did not start" if started is None else started.startup_error or ""
                )
            sending = threading.Thread(target=self._send_exchanges, args=(exchange_stream,), daemon=True)
            receiving = threading.Thread(target=self._receive_results, args=(result_stream,), daemon=True)
            sending.start()
            receiving.start()
            try:
                yield
            finally:
                self._queue.put(None)
                sending.join()
                receiving.join()
                _count_reason(self.unjudged_count_by_reason, _JUDGE_ENDED_REASON, self.unjudged_count)

    def require_report(self) -> CheckReport:
        """Return the report of the judge.

        Raises:
            NothingMeasuredError: the judging process ended before it reported.
        """
        if self.report is None:
            raise NothingMeasuredError(f"{_JUDGE_ENDED_REASON} before its report")
        return self.report

    def _send_exchanges(self, exchange_stream: IO[bytes]) -> None:
        is_open = True
        while (waiting := self._queue.get()) is not None:
            exchange, captured_bodies = waiting
            self._sent.append(captured_bodies)
            if is_open:
                try:
                    write_record(exchange_stream, exchange)
                except OSError:
                    is_open = False
            for body in captured_bodies:
                body.discard()
        with contextlib.suppress(OSError):
            exchange_stream.close()

    def _receive_results(self, result_stream: IO[bytes]) -> None:
        for judged in iterate_records(result_stream, JudgedExchange):
            if judged.report is not None:
                self.report = judged.report
                return
            for body in self._sent.popleft():
                body.release()
            with self._lock:
                self._judged += 1
                self.recorded_count += judged.is_recorded
                for counter, reason in (
                    (self.unjudged_count_by_reason, judged.not_judged_reason),
                    (self.undocumented_count_by_request, judged.undocumented_request),
                    (self.unrecorded_count_by_reason, judged.not_recorded_reason),
                ):
                    if reason is not None:
                        _count_reason(counter, reason)
            for finding in judged.findings:
                key = (finding.fingerprint, finding.message)
                if key not in self.new_findings and len(self.new_findings) < MAX_IMMEDIATELY_REPORTED_FINDINGS:
                    self.new_findings[key] = finding
                    self._on_finding(finding)


def _count_reason(counter: Counter[str], reason: str, count: int = 1) -> None:
    if count:
        counter[reason if reason in counter or len(counter) < MAX_DISTINCT_REASONS else _REMAINING_REASONS_LABEL] += (
            count
        )
