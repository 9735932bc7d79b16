"""A service that never responds, or loses some connections."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicegauge import cli
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.client.client import Client
from voicegauge.conformance._case_runner import MAX_CONSECUTIVE_UNREACHABLE_CASES, CaseRunner
from voicegauge.conformance.check_settings import (
    EMULATOR_API_KEY,
    CheckedService,
    CheckSettings,
    build_emulator_settings,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.emulator.app import create_app
from voicegauge.errors import TimedOutError, UnreachableError
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import Timeouts, VirtualClock


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_service_that_never_responds_is_given_up_soon(concurrency: int, acme_contracts: Callable[..., Path]) -> None:
    contract = load_contract(acme_contracts() / "acme" / "openapi.yaml")
    cases = plan_cases(list(contract.targets.values()), is_emulated=False, include_all_billable_cases=False).cases
    collector = ResultCollector([], 0)

    async def check(url: str) -> None:
        async with Transport(timeouts=Timeouts(read_s=0.05)) as transport:
            client = Client(contract, transport, base_urls={"": url}, key="sk-acme")
            runner = CaseRunner(CheckedService(contract, client), RULE_BY_ID, collector, concurrency=concurrency)
            await runner.run_cases(cases)
            assert len(asyncio.all_tasks()) == 1

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimedOutError):
        asyncio.run(check(f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert len(cases) > MAX_CONSECUTIVE_UNREACHABLE_CASES
    assert len(collector.build_report().case_results) == MAX_CONSECUTIVE_UNREACHABLE_CASES - 1


def test_a_service_that_was_never_reached_is_given_up_after_the_first_case(acme_contracts: Callable[..., Path]) -> None:
    contract = load_contract(acme_contracts() / "acme" / "openapi.yaml")
    cases = plan_cases(list(contract.targets.values()), is_emulated=False, include_all_billable_cases=False).cases
    clock, collector = VirtualClock(), ResultCollector([], 0)

    async def check(url: str) -> None:
        async with Transport() as transport:
            client = Client(contract, transport, base_urls={"": url}, key="sk-acme", clock=clock)
            await CaseRunner(CheckedService(contract, client), RULE_BY_ID, collector).run_cases(cases)

    with socket.socket() as bound:  # nobody listens, and nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(UnreachableError, match="cannot connect"):
            asyncio.run(check(f"http://127.0.0.1:{bound.getsockname()[1]}"))
    assert len(collector.build_report().case_results) <= 1


@pytest.fixture
def fuzz():
    """Fuzz a target whose service drops connections for which `drops` is true; returns the number of connections."""

    def run(drops: Callable[[int], bool], collector: ResultCollector) -> int:
        [target] = load_catalogue().select_targets(["pixelapi/voice-design"])
        emulator, connections = create_app([target.contract], build_emulator_settings()), []

        async def app(scope, receive, send) -> None:
            connections.append(scope["path"])
            if not drops(len(connections)):
                await emulator(scope, receive, send)

        settings = CheckSettings(
            base_urls_by_provider={"pixelapi": {"": "http://emulated/pixelapi"}},
            api_key_by_provider={"pixelapi": EMULATOR_API_KEY},
            fuzz_request_count=8,
            create_clock=VirtualClock,
            emulator_app=app,
        )
        with contextlib.suppress(UnreachableError):
            asyncio.run(check_service([target], CasePlan(cases=()), settings, collector))
        return len(connections)

    return run


@pytest.mark.slow
def test_occasional_lost_connections_do_not_end_a_search(fuzz) -> None:
    collector = ResultCollector([], 0)
    connections = fuzz(lambda number: number % 5 == 0, collector)
    assert connections > 20
    assert collector.exchange_count == connections - connections // 5
    assert collector.build_report().findings == ()


def test_a_search_ends_when_the_service_is_unreachable(fuzz) -> None:
    assert fuzz(lambda _: True, ResultCollector([], 0)) == MAX_CONSECUTIVE_UNREACHABLE_CASES


@pytest.fixture
def respond_to_all() -> Iterator[Callable[[bytes], str]]:
    """Start servers that respond to each request with the same bytes and close; returns the base URL of a server."""
    listening = []

    def serve(listener: socket.socket, response: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(2**16)
                    connection.sendall(response)

    def start(response: bytes) -> str:
        listening.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=serve, args=(listening[-1], response), daemon=True).start()
        return f"http://127.0.0.1:{listening[-1].getsockname()[1]}"

    yield start
    for one in listening:
        one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "switched to another protocol"),
        (b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n", "the response is not valid HTTP: its status is below 100"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "its Content-Length is not a number"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Header: y\r\n" * 50_000, "the headers are too large"),
        (b"SMTP ready\r\n\r\n", "the response is not valid HTTP: illegal status line: b'SMTP ready'"),
        (b"", "the server closed the connection without a response"),
    ],
    ids=["101", "status 000", "negative length", "many headers", "other protocol", "no response"],
)
def test_a_check_that_receives_no_valid_response_writes_its_files(
    response: bytes,
    reason: str,
    acme_contracts: Callable[..., Path],
    respond_to_all: Callable[[bytes], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "sk-acme-0123456789abcdef")
    files = {name: tmp_path / f"result.{name}" for name in ("json", "junit", "sarif")}
    arguments = ["acme", "--contracts", str(acme_contracts()), "--live", "--base-url", respond_to_all(response)]
    status = cli.run(["check", *arguments, *(f"--{name}={file}" for name, file in files.items())])
    assert status == 3
    report = json.loads(files["json"].read_text())
    assert (report["stop_reason"], report["is_finished"]) == ("unreachable", False)
    assert reason in report["stop_message"]
    out, err = capsys.readouterr()
    assert report["stop_message"] in err.splitlines()[-1]
    lost = [line for line in (out + err).splitlines() if line.startswith("may have been charged, without a result")]
    assert len(lost) == len(set(lost)) > 0, "each request once"
    for name in ("junit", "sarif"):
        assert reason in html.unescape(files[name].read_text())


def test_a_check_that_sends_nothing_writes_no_file(
    acme_contracts: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "sk-acme-0123456789abcdef")
    file = tmp_path / "result.json"
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        arguments = ["acme", "--contracts", str(acme_contracts()), "--live", "--base-url", url]
        assert cli.run(["check", *arguments, "--json", str(file)]) == 3
    assert not file.exists()
