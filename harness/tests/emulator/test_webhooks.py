"""Callbacks of the emulator: real POST requests to a real socket."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from voicegauge.callback_receiver import Receiver, run_receiver
from voicegauge.contract.extension.jobs import WebhookEmulation
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator._webhooks import send_callback_with_retries
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings

CHATTERBOX = "/pixazo/chatterbox-text-to-speech/v1/chatterbox-text-to-speech-request"
KEYS = {"Ocp-Apim-Subscription-Key": "any", "Authorization": "Bearer sk-tts-any"}
CATALOGUE = load_catalogue()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


@asynccontextmanager
async def emulator(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    made = EmulatorSettings(**{"accepts_http_webhook_urls": True, "credits": 1e9, "clock": "per-poll", **settings})
    transport = httpx.ASGITransport(create_app(CATALOGUE, made))
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator", headers=KEYS) as client:
        yield client


async def _submit(client: httpx.AsyncClient, url: str, mode: str | None = None, **headers: str) -> httpx.Response:
    named = {"X-Webhook-URL": url, **({"X-Webhook-Mode": mode} if mode else {}), **headers}
    return await client.post(CHATTERBOX, json={"text": "Good morning."}, headers=named)


async def _poll(client: httpx.AsyncClient, job: str) -> dict[str, Any]:
    response = await client.get(f"/pixazo/v2/requests/status/{job}")
    found: dict[str, Any] = response.json()
    return found


def _payloads(receiver: Receiver, url: str) -> list[Any]:
    return [json.loads(one.request.body) for one in receiver.list_callbacks_to(url)]


@pytest.mark.parametrize(
    ("mode", "states"),
    [(None, ["COMPLETED"]), ("terminal", ["COMPLETED"]), ("sync", ["PROCESSING", "COMPLETED"])],
)
async def test_callbacks_follow_the_requested_mode_and_have_the_status_body(receiver, mode, states) -> None:
    url = receiver.create_url()
    async with emulator() as client:
        job = (await _submit(client, url, mode)).json()["request_id"]
        assert _payloads(receiver, url) == []
        polled = [await _poll(client, job) for _ in range(4)]
    payloads = _payloads(receiver, url)
    assert [payload["status"] for payload in payloads] == states
    assert payloads[-1] == polled[-1]
    assert receiver.list_callbacks_to(url)[0].request.find_header("content-type") == "application/json"


async def test_a_failed_job_is_reported_with_its_reason(receiver) -> None:
    url = receiver.create_url()
    async with emulator() as client:
        scenario = {"X-Voicegauge-Scenario": "state:ERROR"}
        job = (await _submit(client, url, **scenario)).json()["request_id"]
        for _ in range(3):
            await _poll(client, job)
    (payload,) = _payloads(receiver, url)
    assert (payload["status"], payload["request_id"]) == ("ERROR", job)
    assert payload["error"]


async def test_a_batch_callback_has_its_own_body_and_a_valid_result_url(receiver) -> None:
    url = receiver.create_url()
    texts = [{"text": "Good morning.", "model": "kokoro", "voice": "af_bella"}]
    async with emulator() as client:
        response = await client.post("/ttsai/v1/tts/batch/", json={"texts": texts, "webhook_url": url})
        batch = response.json()["batch_id"]
        for _ in range(3):
            state = (await client.get("/ttsai/v1/tts/batch/result/", params={"batch_id": batch})).json()
        (payload,) = _payloads(receiver, url)
        audio = await client.get(payload["result_url"])
    assert (payload["event"], payload["task_id"], payload["status"]) == ("task.completed", batch, "success")
    assert payload["credits_used"] == state["credits_charged"]
    assert payload["created_at"] < payload["completed_at"]
    assert (audio.status_code, audio.headers["content-type"]) == (200, "audio/mpeg")


async def test_with_a_real_clock_callbacks_are_sent_in_the_background(receiver) -> None:
    url = receiver.create_url()
    async with emulator(clock="real", time_scale=0.05) as client:
        assert (await _submit(client, url)).status_code == 202
        (came,) = await receiver.wait_for_callbacks(url, lambda _: True, timeout_s=60)
    assert json.loads(came.request.body)["status"] == "COMPLETED"


async def test_advancing_a_virtual_clock_sends_progress_and_final_callbacks(receiver) -> None:
    url = receiver.create_url()
    async with emulator(clock="virtual") as client:
        await _submit(client, url, "sync")
        for _ in range(20):
            await client.post("/_emulator/clock", json={"advance_s": 0.5})
        state = (await client.get("/_emulator/state")).json()
    states = [payload["status"] for payload in _payloads(receiver, url)]
    assert states[-1] == "COMPLETED"
    assert states.count("COMPLETED") == 1
    assert "PROCESSING" in states
    assert [payload["status"] for payload in state["pixazo"]["webhooks"]] == [200] * len(states)


@pytest.mark.parametrize(
    ("url", "lenient", "status"),
    [
        ("https://hooks.invalid/x", False, 202),
        ("http://hooks.invalid/x", False, 400),
        ("http://hooks.invalid/x", True, 400),
        ("http://127.0.0.1:9/x", False, 400),
        ("http://127.0.0.1:9/x", True, 202),
        ("ftp://hooks.invalid/x", True, 400),
        ("/relative", True, 400),
        ("https://[broken", True, 400),
    ],
)
async def test_plain_http_is_rejected_as_documented_unless_local_and_allowed(url, lenient, status) -> None:
    async with emulator(accepts_http_webhook_urls=lenient) as client:
        assert (await _submit(client, url)).status_code == status


async def test_callbacks_leave_this_machine_only_to_allowed_hosts() -> None:
    async def reached(**settings: Any) -> bool:
        async with emulator(**settings) as client:
            job = (await _submit(client, "https://hooks.invalid/x")).json()["request_id"]
            for _ in range(3):
                await _poll(client, job)
            (sent,) = (await client.get("/_emulator/state")).json()["pixazo"]["webhooks"]
            assert sent["status"] is None
            return bool(sent["sent"])

    assert not await reached()
    assert await reached(webhook_hosts=("hooks.invalid",))


class _Moody(http.server.BaseHTTPRequestHandler):
    statuses: tuple[int, ...] = ()
    seen = 0

    def do_POST(self) -> None:
        kind = type(self)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(kind.statuses[min(kind.seen, len(kind.statuses) - 1)])
        kind.seen += 1
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("statuses", "tries", "last"),
    [((200,), 1, 200), ((503, 200), 2, 200), ((500,), 3, 500), ((410,), 1, 410), ((302,), 1, 302)],
)
async def test_a_failing_receiver_is_retried_and_a_rejecting_one_is_not(statuses, tries, last) -> None:
    handler = type("Handler", (_Moody,), {"statuses": statuses, "seen": 0})
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        assert (
            await send_callback_with_retries(url, b"{}", WebhookEmulation(max_attempts=3, retry_delay_s=7), pause)
            == last
        )
        server.shutdown()
        thread.join()
    assert (handler.seen, pauses) == (tries, [7.0] * (tries - 1))


async def test_a_receiver_that_never_responds_is_abandoned() -> None:
    async def pause(_seconds: float) -> None:
        return

    # Connections stay in the backlog forever.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert (
            await send_callback_with_retries(
                url, b"{}", WebhookEmulation(max_attempts=2, response_timeout_s=0.05), pause
            )
            is None
        )
