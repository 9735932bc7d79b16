"""The proxy between a client and a service: what passes, what is found, and what is written, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import brotli
import httpx
import pytest
import zstandard

import voicegauge
from voicegauge.api import local_servers as running_proxy
from voicegauge.client.model_and_voice_names import ModelAndVoiceNames
from voicegauge.errors import StorageError, UsageError
from voicegauge.model.exchange import Request, Response
from voicegauge.recording.har_files import load_har
from voicegauge.recording.masking import MASK
from voicegauge.relay import _traffic_judge as traffic_judge
from voicegauge.relay.traffic_monitor import CapturedBodyLimit, JudgeSettings, RelayedExchange

from ..builders.servers import accepting, connected, listening

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SPEECH = {"model": "tts-1", "voice": "alloy", "input": "Good morning. This is a short test.", "response_format": "wav"}
KEY = {"Authorization": "Bearer sk-proxy-0123456789abcdef"}


@contextlib.asynccontextmanager
async def proxied(handler: Handler) -> AsyncIterator[voicegauge.RunningProxy]:
    """A proxy in front of a server that responds with the bytes that `handler` writes."""
    async with listening(handler) as url, voicegauge.proxy("openai", upstream=f"{url}/v1") as running:
        yield running


async def exchange_bytes(url: str, request: bytes) -> bytes:
    """Send bytes to a server, and return all that it sends until it closes the connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    async with connected(host, int(port)) as (reader, writer):
        writer.write(request)
        return await reader.read()


async def test_requests_and_responses_pass_byte_for_byte() -> None:
    received: list[bytes] = []
    body = gzip.compress(b'{"object": "list", "data": []}')

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readexactly(22))
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            b"Content-Encoding: gzip\r\nX-Hop: 1\r\nConnection: x-hop\r\nContent-Length: %d\r\n\r\n"
        )
        writer.write(head % len(body) + body)
        await writer.drain()

    async with proxied(respond) as running:
        request = (
            b"POST /v1/audio/speech?x=%7E&y=a+b HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n"
            b"TE: trailers\r\nX-Mine: 1\r\nConnection: close, X-Mine\r\n"
            b"Content-Type: application/json\r\nContent-Length: 22\r\n\r\n"
            b'{"input" :  "\\u00e4"} '
        )
        response = await exchange_bytes(running.url, request)
    head, _, content = response.partition(b"\r\n\r\n")
    assert content == body
    assert received == [b'{"input" :  "\\u00e4"} ']
    lines = head.lower().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"set-cookie")] == [b"set-cookie: a=1", b"set-cookie: b=2"]
    assert b"content-encoding: gzip" in lines
    assert not any(line.startswith((b"x-hop", b"date")) for line in lines)


@pytest.mark.parametrize(("coding", "compress"), [("br", brotli.compress), ("zstd", zstandard.compress)])
async def test_bodies_in_encodings_of_browsers_are_judged(coding, compress, tmp_path) -> None:
    body = compress(b'{"object": 1, "data": []}')

    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async with (
        listening(respond) as url,
        voicegauge.proxy("openai-compatible", upstream=f"{url}/v1", recording_path=tmp_path) as running,
    ):
        request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        response = await exchange_bytes(running.url, request)
    assert response.endswith(body)
    assert running.report.unjudged_count_by_reason == {}
    assert "response-schema" in {finding.rule for finding in running.report.report.findings}
    assert load_har(Path(running.report.recording_path)).exchanges[0].response.body == b'{"object": 1, "data": []}'


async def test_a_server_that_closes_a_kept_connection_is_asked_again_for_its_names() -> None:
    closed: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in itertools.count():
            head = await reader.readuntil(b"\r\n\r\n")
            if number and not closed:
                closed.append(head)
                return
            await reader.readexactly(2 if head.startswith(b"POST") else 0)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
            writer.write(head + b'{"data": []}')

    async with accepting(serve) as url, voicegauge.proxy("openai-compatible", upstream=f"{url}/v1") as running:
        assert running.url
    assert closed


async def test_the_target_and_the_headers_reach_the_service_unchanged() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, voicegauge.proxy("openai", upstream=f"http://127.0.0.1:{port}/base") as running:
        request = b"GET /v1/models/../a//%7Eb?q=%41&z= HTTP/1.1\r\nHost: localhost\r\nTE: x\r\nX-Mine: 1\r\n"
        request += b"Connection: close, x-mine\r\n"
        await exchange_bytes(running.url, request + b"Accept-Encoding: br\r\nUser-Agent: mine\r\n\r\n")
    lines = heads[0].strip().split(b"\r\n")
    assert lines[0] == b"GET /base/models/../a//%7Eb?q=%41&z= HTTP/1.1"
    assert sorted(line.lower() for line in lines[1:]) == [
        b"accept-encoding: br",
        b"host: 127.0.0.1:%d" % port,
        b"user-agent: mine",
    ]


async def test_a_client_that_uses_it_as_a_forward_proxy_gets_a_reason() -> None:
    async with voicegauge.proxy("openai", upstream="http://127.0.0.1:1/v1") as running:
        for target in (b"GET http://a.example/", b"CONNECT a.example:443"):
            response = await exchange_bytes(running.url, target + b" HTTP/1.1\r\nHost: a.example\r\n\r\n")
            assert response.startswith(b"HTTP/1.1 400 ")
            assert b"as the base URL of your client" in response


async def test_parts_of_a_response_pass_as_they_arrive() -> None:
    first_received = asyncio.Event()

    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"7\r\ndata: 1\r\n")
        await first_received.wait()
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        await writer.drain()

    async with (
        proxied(respond) as running,
        httpx.AsyncClient() as client,
        client.stream("GET", f"{running.url}/v1/models") as response,
    ):
        parts = response.aiter_raw()
        assert await anext(parts) == b"data: 1"
        first_received.set()
        assert await anext(parts) == b"data: 2\n\n"


@pytest.mark.parametrize(
    ("response", "passed"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 100\r\n\r\nRIFFabcd", b"RIFFabcd"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nRIFF\r\n", b"4\r\nRIFF\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nRIFF\r\nzz\r\n", b"4\r\nRIFF\r\n"),
    ],
    ids=["a length", "chunks", "a malformed chunk"],
)
async def test_a_response_that_breaks_off_breaks_off_for_the_client(response, passed, caplog) -> None:
    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        await writer.drain()

    async with proxied(respond) as running:
        received = await exchange_bytes(running.url, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert received.partition(b"\r\n\r\n")[2] == passed
    assert [finding.rule for finding in running.report.report.findings] == ["response-incomplete"]
    assert not caplog.records


@pytest.mark.parametrize("status", ["302 Found", "503 Service Unavailable"])
async def test_redirects_and_server_errors_pass(status) -> None:
    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nLocation: https://x.example/\r\nContent-Length: 2\r\n\r\nno".encode())
        await writer.drain()

    async with proxied(respond) as running, httpx.AsyncClient() as client:
        response = await client.get(f"{running.url}/v1/models")
    assert (str(response.status_code), response.headers["location"]) == (status[:3], "https://x.example/")
    assert response.content == b"no"
    assert running.report.report.findings


async def test_endless_traffic_with_a_finding_keeps_it_once_and_counts_it() -> None:
    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Gone\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    new = []
    async with (
        listening(respond) as url,
        voicegauge.proxy("openai", upstream=url, on_finding=new.append) as running,
        httpx.AsyncClient() as client,
    ):
        for _ in range(3):
            await client.get(f"{running.url}/v1/models")
    assert len(new) == len(running.findings) == len({(finding.fingerprint, finding.message) for finding in new})
    assert {finding.occurrence_count for finding in running.report.report.findings} == {3}


def test_merging_findings_between_exchanges_changes_no_report(monkeypatch) -> None:
    contract = voicegauge.load_contracts().find_provider("openai")
    settings = JudgeSettings(
        contract_path="", base_urls={}, model_and_voice_names=ModelAndVoiceNames(), recording_path=None
    )
    relayed_exchange = RelayedExchange(
        request=Request(method="GET", url="https://api.openai.com/v1/models"),
        response=Response(status=503),
        timing=None,
    )
    reports = []
    for count in (1, 1000):
        monkeypatch.setattr(traffic_judge, "EXCHANGES_BETWEEN_FINDING_MERGES", count)
        judge = traffic_judge.TrafficJudge(contract, settings)
        for _ in range(3):
            judge.judge_exchange(relayed_exchange)
        reports.append(judge.build_report())
    assert reports[0].findings == reports[1].findings
    assert {finding.occurrence_count for finding in reports[0].findings} == {3}


async def test_a_finding_is_shown_again_at_the_upstream_without_the_key_and_masked_headers() -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")  # a response before the end of the request is another case
        writer.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(respond) as url, voicegauge.proxy("openai", upstream=f"{url}/base") as running:
        headers = {**KEY, "X-Stainless-Arch": "x64", "X-Trace": "sk-other-0123456789abcdef"}
        async with httpx.AsyncClient(headers=headers) as client:
            await client.post(f"{running.url}/v1/audio/speech", json=SPEECH)
    commands = {finding.reproduction_command or "" for finding in running.report.report.findings}
    assert commands
    for command in commands:
        assert f"curl -sS -i {url}/base/audio/speech " in command
        assert "OPENAI_API_KEY" not in command
        assert f"authorization: Bearer {MASK}" in command
        assert not any(text in command.lower() for text in ("api.openai.com", "x-trace", "x-stainless"))


async def test_a_service_that_sends_endless_headers_is_cut_off() -> None:
    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: " + b"x" * 10_000 + b"\r\n")
            await writer.drain()

    async with proxied(respond) as running, httpx.AsyncClient() as client:
        response = await client.get(f"{running.url}/v1/models")
    assert response.status_code == 502
    assert response.headers["x-voicegauge-proxy"] == "error"
    assert sum(running.report.failure_count_by_reason.values()) == 1


async def test_a_client_that_leaves_ends_the_request_to_the_service() -> None:
    closed = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nRIFF")
        assert await reader.read() == b""
        closed.set()

    async with proxied(respond) as running:
        async with httpx.AsyncClient() as client, client.stream("GET", f"{running.url}/v1/models") as response:
            assert await anext(response.aiter_raw()) == b"RIFF"
        await asyncio.wait_for(closed.wait(), 30)
    assert list(running.report.unjudged_count_by_reason) == [
        "the client closed the connection before the end of the response"
    ]


@pytest.mark.parametrize(("method", "statuses"), [("GET", [200, 200]), ("POST", [200, 502])])
async def test_a_connection_that_the_service_closes_as_the_next_request_arrives(method, statuses) -> None:
    connections = 0

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if connections == 1:
            await reader.readuntil(b"\r\n\r\n")

    async with proxied(respond) as running, httpx.AsyncClient() as client:
        responses = [await client.request(method, f"{running.url}/v1/models") for _ in range(2)]
    assert [response.status_code for response in responses] == statuses
    assert connections == statuses.count(200), "only what has no effect is sent again"


async def test_a_body_above_the_limit_passes_and_is_not_judged(monkeypatch) -> None:
    monkeypatch.setattr(running_proxy, "CapturedBodyLimit", lambda: CapturedBodyLimit(1000, 10_000))

    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
        await writer.drain()

    async with proxied(respond) as running, httpx.AsyncClient() as client:
        assert len((await client.get(f"{running.url}/v1/models")).content) == 5000
    assert running.report.unjudged_count_by_reason == {"a body is larger than 1000 bytes": 1}


async def test_a_hundred_requests_at_once_within_the_common_memory(monkeypatch) -> None:
    memory = CapturedBodyLimit(1000, 5000)
    monkeypatch.setattr(running_proxy, "CapturedBodyLimit", lambda: memory)

    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 900\r\n\r\n" + b"x" * 900)
        await writer.drain()

    limits = httpx.Limits(max_connections=100)
    async with proxied(respond) as running, httpx.AsyncClient(limits=limits, timeout=60) as client:
        responses = await asyncio.gather(*(client.get(f"{running.url}/v1/models") for _ in range(100)))
    assert {len(response.content) for response in responses} == {900}
    assert running.report.request_count == 100
    assert memory.reserve(5000), "all memory is free again"


async def test_why_a_service_does_not_respond_is_reported_when_it_happens_and_once() -> None:
    reasons: list[str] = []
    async with (
        voicegauge.proxy("openai", upstream="http://127.0.0.1:1/v1", on_missing_response=reasons.append) as running,
        httpx.AsyncClient() as client,
    ):
        for _ in range(2):
            assert (await client.get(f"{running.url}/v1/models")).status_code == 502
        (reason,) = reasons
    assert running.report.failure_count_by_reason == {reason: 2}


def test_a_proxy_does_not_forward_to_itself() -> None:
    with pytest.raises(UsageError, match="the address of the proxy itself"):
        voicegauge.proxy("openai", upstream="http://127.0.0.1:18070/v1", port=18070)


def test_a_key_is_not_forwarded_over_plain_http() -> None:
    with pytest.raises(UsageError, match="http"):
        voicegauge.proxy("openai", upstream="http://tts.example")


def test_open_marks_of_the_contract_are_named_before_traffic_is_judged(acme_contracts: Callable[..., Path]) -> None:
    folder = acme_contracts()
    path = folder / "acme" / "openapi.yaml"
    path.write_text(path.read_text().replace("\nservers:", "  # TODO\nservers:", 1))
    notices = []
    with voicegauge.proxy("acme", contracts=folder, on_notice=notices.append):
        pass
    assert [notice.partition(":")[0] for notice in notices] == [f"1 open TODO mark in {path}"]


def test_a_recording_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.har").write_text("{}")
    with pytest.raises(StorageError, match="exists"):
        voicegauge.proxy("openai", recording_path=tmp_path / "a.har")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        pytest.param(
            "/proc/x", "/proc is not writable", marks=pytest.mark.skipif(not Path("/proc").is_dir(), reason="")
        ),
        ("{file}/a.har", "is not a folder"),
        ("{file}", "is not a folder"),
    ],
)
def test_a_recording_that_cannot_be_written_is_refused_before_anything_listens(place, reason, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=reason):
        voicegauge.proxy("openai", recording_path=place.format(file=tmp_path / "file"))


@pytest.fixture(scope="module")
def faulty_emulator() -> Iterator[voicegauge.RunningEmulator]:
    faults = ["stream-unknown-event", "wrong-error-shape", "backwards-transition", "other-sample-rate"]
    with voicegauge.emulate(
        ["openai", "pixelapi"], clock="per-poll", enforce_rate_limits=False, faults=faults
    ) as emulator:
        yield emulator


@pytest.mark.slow
def test_the_openai_client_and_its_recording(faulty_emulator, tmp_path) -> None:
    import openai

    printed = []
    with (
        voicegauge.proxy(
            "openai", upstream=faulty_emulator.base_url("openai"), recording_path=tmp_path, on_finding=printed.append
        ) as running,
        openai.OpenAI(api_key="sk-test-0123456789", base_url=f"{running.url}/v1", max_retries=0) as client,
    ):
        assert client.audio.speech.create(**SPEECH).content[:4] == b"RIFF"
        create = client.audio.speech.with_streaming_response.create
        with create(
            **{**SPEECH, "model": "gpt-4o-mini-tts", "response_format": "pcm"}, stream_format="sse"
        ) as response:
            assert sum(1 for _ in response.iter_lines()) > 2
        with pytest.raises(openai.BadRequestError):
            client.audio.speech.create(**{**SPEECH, "voice": "nobody"})
    report = running.report
    assert (report.request_count, report.recorded_count, report.unjudged_count_by_reason) == (3, 3, {})
    assert printed
    assert_judged_like_the_recording(report, tmp_path)
    assert load_har(Path(report.recording_path)).exchanges[0].request.url == "https://api.openai.com/v1/audio/speech"
    assert voicegauge.find_drift("openai", tmp_path).changes


def test_a_job_is_judged_while_it_runs(faulty_emulator, tmp_path) -> None:
    url = faulty_emulator.base_url("pixelapi")
    headers = {"Authorization": "Bearer pk-0123456789"}
    with (
        voicegauge.proxy("pixelapi", upstream=url, recording_path=tmp_path / "a.har") as running,
        httpx.Client(base_url=running.url, headers=headers) as client,
    ):
        run_job(client)
    assert_judged_like_the_recording(running.report, tmp_path / "a.har")
    groups = {exchange.conversation_id for exchange in load_har(tmp_path / "a.har").exchanges}
    assert groups == {"conversation 1"}


async def test_requests_of_no_target_are_not_judged_like_in_a_recording(tmp_path) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")  # a response before the end of the request is another case
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\npng")
        await writer.drain()

    async with (
        listening(respond) as url,
        voicegauge.proxy("openai", upstream=f"{url}/v1", recording_path=tmp_path) as running,
        httpx.AsyncClient() as client,
    ):
        await client.post(f"{running.url}/v1/audio/speech", json={**SPEECH, "model": "painter"}, headers=KEY)
    report = voicegauge.check("openai", recordings=[tmp_path])
    reason = '1 accepted submit of no target: body#/model "painter"'
    for checked in (running.report.report, report):
        assert [finding for finding in checked.findings if finding.provenance != "documented"] == []
        assert [text.partition(";")[0] for text in checked.not_judged_reason_by_name.values()] == [reason]


def run_job(client: httpx.Client) -> None:
    """Submit a job, and poll it to its end."""
    fields = {"text": "Hello, welcome to our store.", "language": "en", "voice_description": "warm narrator"}
    submitted = client.post("/v1/tts/generate", files={name: (None, value) for name, value in fields.items()})
    assert submitted.status_code in (200, 201, 202), submitted.text
    job_id = next(value for key, value in submitted.json().items() if key.endswith("id"))
    for _ in range(20):
        polled = client.get(f"/v1/tts/status/{job_id}").json()
    assert polled["status"] in ("completed", "failed"), polled


def assert_judged_like_the_recording(report, file_or_folder: Path) -> None:
    checked = voicegauge.check(report.provider, recordings=[file_or_folder])
    expected = {(f.fingerprint, f.severity, f.occurrence_count) for f in checked.findings if f.provenance == "emulated"}
    assert {(f.fingerprint, f.severity, f.occurrence_count) for f in report.report.findings} == expected
