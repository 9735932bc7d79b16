"""The error of voicegauge's own times, and samples taken while it was too busy."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from voicegauge.bench.benchmark_plan import PlannedSample
from voicegauge.bench.load import find_request_preparation_s, send_open_loop
from voicegauge.bench.loopback_server import accept_connections
from voicegauge.bench.run_config import ArrivalRate
from voicegauge.bench.timing_error import (
    LOOPBACK_DELAYS_MS,
    MAX_PROBES_IN_FLIGHT,
    NEW_OBJECTS_PER_GARBAGE_COLLECTION,
    EventLoopLag,
    LoopbackTimes,
    TimingProbes,
    _has_objects_exempt_from_gc,
    is_timing_disturbed,
    measure_timing_error,
    reduce_event_loop_delays,
    run_loopback_server,
    summarize_timing_errors,
)
from voicegauge.cli import run as voicegauge
from voicegauge.model.exchange import Exchange, Request
from voicegauge.model.run import describe_timing_error
from voicegauge.transport.http import SEND_NOT_BEFORE_S, Transport
from voicegauge.transport.timing import PacketTimingSocket, RealClock, VirtualClock

from ..builders.rounds import build_rounds
from ..builders.virtual_time import in_virtual_time


async def test_the_error_is_measured_at_a_server_that_states_its_delays() -> None:
    found = await measure_timing_error(2, lambda: Transport(min_send_interval_s=0.002))
    assert (found.concurrency, found.request_count) == (2, 32 * len(LOOPBACK_DELAYS_MS))
    assert 0 <= found.median_error_ms <= found.p99_error_ms


@pytest.mark.slow
async def test_the_error_at_a_rate_is_measured_at_that_rate() -> None:
    found = await measure_timing_error(2, lambda: Transport(min_send_interval_s=0.002), requests_per_s=100.0)
    assert (found.requests_per_s, found.request_count) == (100.0, 32 * len(LOOPBACK_DELAYS_MS))
    assert 0 <= found.median_error_ms <= found.p99_error_ms
    few = await measure_timing_error(1, lambda: Transport(min_send_interval_s=0.002), requests_per_s=20.0)
    assert few.request_count == 20 * len(LOOPBACK_DELAYS_MS)
    assert describe_timing_error(few).endswith("at 20 requests/s at a server on this machine")


async def test_a_delay_lasts_until_the_response_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that loses the processor while it sends responds later than it could have stated before."""
    send, times = PacketTimingSocket.send, LoopbackTimes()

    def send_late(connected: PacketTimingSocket, data: Any, flags: int = 0, /) -> int:
        if bytes(data).startswith(b"HTTP/1.1 200"):
            time.sleep(0.03)
        return send(connected, data, flags)

    monkeypatch.setattr(PacketTimingSocket, "send", send_late)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        serving = asyncio.create_task(accept_connections(listener))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/bytes/0"
        async with Transport() as transport:
            for _ in range(4):
                request = Request(method="POST", url=url, body=b"{}")
                exchange = await transport.send(request, provider_id="", operation_id="")
                assert exchange.timing is not None
                times.add(exchange)
        serving.cancel()
    errors_ms = times.compute_errors_ms()
    assert len(errors_ms) == 3, "the last response states the delay of the one before"
    assert exchange.timing.ttfb_ms >= 30
    stated_ms = [float(one.partition("=")[2]) for one in (exchange.response.find_header("x-delays-ms") or "").split()]
    assert stated_ms[-1] >= 30


def test_errors_in_both_directions_count() -> None:
    found = summarize_timing_errors([-3.0, 0.5, 1.0, -0.25], 4)
    assert (found.median_error_ms, found.p99_error_ms) == (0.5, 3.0)


@in_virtual_time
async def test_a_busy_event_loop_is_noticed_with_its_time() -> None:
    loop, lag = asyncio.get_running_loop(), EventLoopLag()

    def work_ms(duration_ms: float) -> None:
        loop.now_s += duration_ms / 1000  # type: ignore[attr-defined]  # as if a callback took that long

    async with lag.measure_lag():
        await asyncio.sleep(0.1)
        loop.call_later(0.0025, work_ms, 40.0)
        await asyncio.sleep(0.5)
    assert lag.find_max_lag_ms(0.0, 0.09) == 0.0
    assert lag.find_max_lag_ms(0.1, 0.2) == pytest.approx(37.5, abs=1e-3)
    assert lag.find_max_lag_ms(0.2, 0.5) == 0.0


@pytest.mark.parametrize(
    ("lag_ms", "latency_ms", "disturbed"), [(9, 100, False), (11, 100, True), (300, 60_000, False)]
)
def test_a_lag_is_judged_by_the_latency(lag_ms: float, latency_ms: float, *, disturbed: bool) -> None:
    assert is_timing_disturbed(lag_ms, latency_ms) is disturbed


def test_a_process_that_has_frozen_its_objects_keeps_them_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.bench.timing_error._has_objects_exempt_from_gc", _has_objects_exempt_from_gc)
    frozen_count = gc.get_freeze_count()
    with reduce_event_loop_delays():
        pass
    assert gc.get_freeze_count() >= frozen_count > 0


def test_full_collections_are_rare_while_times_are_measured() -> None:
    former = gc.get_threshold()
    with reduce_event_loop_delays():
        assert gc.get_threshold() == (NEW_OBJECTS_PER_GARBAGE_COLLECTION, *former[1:])
    assert gc.get_threshold() == former


def test_the_error_of_times_is_printed_and_saved(
    contracts_folder: Path, suite_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "result.json"
    words = ["bench", "acme/now", "--contracts", str(contracts_folder), "--suite", str(suite_file), "--limit", "1"]
    assert not voicegauge([*words, "--asr", "none", "--out", str(tmp_path / "runs"), "--json", str(result)])
    found = json.loads(result.read_bytes())
    assert found["manifest"]["timing_error"] == {
        "concurrency": 16,
        "requests_per_s": None,
        "request_count": 96,
        "median_error_ms": 0.1,
        "p99_error_ms": 1.0,
        "is_measured_during_run": False,
    }
    assert "error of times: 0.10 ms (median), 1.00 ms (p99)" in " ".join(capsys.readouterr().out.split())
    (page,) = (tmp_path / "runs").glob("*/report.html")
    assert "0.10 ms (median), 1.00 ms (p99)" in page.read_text()


def test_a_rate_is_used_and_saved(contracts_folder: Path, suite_file: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    words = ["bench", "acme/now", "--contracts", str(contracts_folder), "--suite", str(suite_file), "--asr", "none"]
    more = ["--rate", "20", "--arrivals", "poisson", "--warmup", "0", "--no-report", "--http2", "--json", str(result)]
    assert not voicegauge([*words, *more, "--out", str(tmp_path / "runs")])
    manifest = json.loads(result.read_bytes())["manifest"]
    assert (manifest["requests_per_s"], manifest["arrival_process"], manifest["uses_http2"]) == (20.0, "poisson", True)
    (run_file,) = (tmp_path / "runs").glob("*/run.json")
    samples = json.loads(run_file.read_bytes())["samples"]
    assert all(sample["latency"]["start_delay_ms"] >= 0 for sample in samples[1:]), (
        "the first one shows who can be reached"
    )
    assert samples[0]["request_phases"]["http_version"] == "HTTP/1.1"


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_a_rate_above_the_accounts_plan_is_rejected(
    dry_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIXELAPI_KEY", "sk-0123456789abcdef")
    words = ["bench", "pixelapi/voice-design", "--live", "--rate", "1.5", "--plan", "free", *dry_run]
    assert voicegauge([*words, "--out", str(tmp_path / "runs")]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "more than the 60 requests per minute of the account's plan: use at most --rate 1, or" in error
    assert not (tmp_path / "runs").exists()


async def test_the_error_is_measured_while_a_run_sends_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.bench.timing_error.FIRST_PROBE_INTERVAL_S", 0.002)
    monkeypatch.setattr("voicegauge.bench.timing_error.PROBE_DELAYS_MS", (0, 2))
    with run_loopback_server() as url:
        probes = TimingProbes(url)
        async with Transport(min_send_interval_s=0.002) as transport:
            async with probes.send_with(transport):
                await asyncio.sleep(0.01)
            assert probes.summarize(16, None) is None, "a few probes say nothing about one in a hundred"
            async with probes.send_with(transport):
                found = None
                for _ in range(500):
                    await asyncio.sleep(0.02)
                    found = found or probes.summarize(16, 20.0)
                    if found is not None:
                        break
    assert found is not None
    assert (found.concurrency, found.requests_per_s, found.is_measured_during_run) == (16, 20.0, True)
    assert 0 <= found.median_error_ms <= found.p99_error_ms
    described = describe_timing_error(found)
    assert described.endswith("at 20 requests/s, measured during the run at a server on this machine")


async def test_probes_are_sent_while_earlier_ones_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FIRST_PROBE_INTERVAL_S", 0.001), ("PROBE_DELAYS_MS", (50,))):
        monkeypatch.setattr(f"voicegauge.bench.timing_error.{name}", value)
    in_flight, most = 0, 0
    sent: list[str] = []

    async def count(transport: Transport, *arguments: Any, **options: Any) -> Exchange:
        nonlocal in_flight, most
        sent.append("probe")
        in_flight += 1
        if len(sent) > MAX_PROBES_IN_FLIGHT:  # the first ones open connections, all at once
            most = max(most, in_flight)
        try:
            return await send(transport, *arguments, **options)
        finally:
            in_flight -= 1

    send = Transport.send
    monkeypatch.setattr(Transport, "send", count)
    with run_loopback_server() as url:
        async with Transport() as transport, TimingProbes(url).send_with(transport):
            for _ in range(500):
                await asyncio.sleep(0.01)
                if most > 1:
                    break
    assert most > 1, "a slow moment is left out if nothing is sent while an earlier probe waits"


async def test_a_server_that_is_gone_ends_the_probes_but_not_the_run() -> None:
    probes = TimingProbes("http://127.0.0.1:1")
    async with Transport() as transport, probes.send_with(transport):
        await asyncio.sleep(0.05)
    assert probes.summarize(1, None) is None


async def test_a_request_that_is_prepared_early_is_sent_when_it_is_due() -> None:
    due_s: list[float] = []
    prepared_s: list[float] = []
    exchanges: list[Exchange] = []
    loop = asyncio.get_running_loop()

    async def send(_planned: PlannedSample, at_s: float | None) -> None:
        assert at_s is not None
        prepared_s.append(loop.time())
        SEND_NOT_BEFORE_S.set(at_s)
        request = Request(method="POST", url=f"{url}/bytes/0", body=b"{}")
        exchanges.append(await transport.send(request, provider_id="", operation_id=""))
        due_s.append(at_s)
        await transport.send(request, provider_id="", operation_id="")  # the second one of a task has no due time

    rounds = build_rounds(8, "a")
    with run_loopback_server() as url:
        async with Transport() as transport:
            await send_open_loop(
                rounds,
                ArrivalRate(20.0),
                send,
                clock=RealClock(),
                seed=0,
                preparation_s=find_request_preparation_s(RealClock()),
            )
    sent_s = [one.timing.started_ms / 1000 for one in exchanges if one.timing is not None]
    # A busy machine prepares some of them late.
    assert any(prepared < due for prepared, due in zip(prepared_s, due_s, strict=True))
    assert all(sent >= due - 1e-3 for sent, due in zip(sent_s, due_s, strict=True))
    assert find_request_preparation_s(VirtualClock()) == 0.0
