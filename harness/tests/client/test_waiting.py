"""The wait for a job and the time of a delivery are limited, and a message says what was seen last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.responses import JSONResponse, Response

from voicegauge.client.client import Client
from voicegauge.client.exchange_log import MAX_SUBMIT_AND_DOWNLOAD_S, DeliveryInterruptedError
from voicegauge.model.exchange import BillingStatus
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.scripted_provider import HELLO, KEY, WAV, audio_at, job_script
from ..builders.servers import serving
from ..builders.virtual_time import in_virtual_time


def job_spec(document):
    return document["paths"]["/jobs/{job_id}"]["get"]["x-job"]


async def test_an_undocumented_state_ends_the_wait_on_request(contract, script, serve, status):
    base = await serve(script)
    job_script(script, base, status, "dreaming")
    async with Transport() as transport:
        client = Client(contract(), transport, base_urls={"": base}, key=KEY, clock=VirtualClock())
        delivery = await client.speak(contract().find_target_by_name("one"), HELLO, stop_at_undocumented_state=True)
    assert delivery.failure.kind == "protocol"
    assert delivery.failure.message == "the job is in state 'dreaming', which the contract does not document"
    assert script.routes == ["POST /speech", "GET /jobs/j1"]
    assert delivery.has_open_job


async def test_a_job_that_stays_in_an_undocumented_state_is_named_at_the_limit(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("dreaming"))
    delivery, clock = await speak()
    assert delivery.failure.message == (
        "job not done after 60 s (the contract's limit), "
        "last seen: state 'dreaming', which the contract does not document"
    )
    assert clock.monotonic() == 60


async def test_the_wait_for_a_job_can_be_limited(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("working"))
    delivery, clock = await speak(max_wait_s=20)
    assert delivery.failure.kind == "timeout"
    assert delivery.failure.message == "job not done after 20 s (a delivery may take 20 s), last seen: state 'working'"
    assert clock.monotonic() == 20
    assert delivery.has_open_job  # it may still succeed


@pytest.mark.parametrize("max_wait_s", [60, 1e6])
async def test_a_limit_not_below_that_of_the_contract_changes_nothing(speak, script, status, max_wait_s):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("working"))
    delivery, clock = await speak(max_wait_s=max_wait_s)
    assert "60 s (the contract's limit)" in delivery.failure.message
    assert clock.monotonic() == 60


async def test_the_longest_wait_that_is_honored(speak, script, status):
    job_script(script, speak.base, status)
    working = status("working")
    working.headers["retry-after"] = "120"
    script.on("GET /jobs/j1", working, status("done", audio=audio_at(speak.base)))
    delivery, clock = await speak(edit=lambda document: job_spec(document)["poll_schedule"].update(job_timeout_s=500))
    assert delivery.audio == WAV
    assert clock.sleeps == [1, 120]


@pytest.mark.parametrize("wait", ["999999999", "Thu, 01 Jan 2999 00:00:00 GMT", "121"])
async def test_a_status_response_cannot_request_an_endless_wait(speak, script, status, wait):
    job_script(script, speak.base, status)
    working = status("working")
    working.headers["retry-after"] = wait
    script.on("GET /jobs/j1", working, status("done", audio=audio_at(speak.base)))
    delivery, clock = await speak()
    assert delivery.audio == WAV
    assert clock.sleeps == [1, 2]


async def test_a_rejected_poll_that_asks_for_an_endless_wait_ends_the_wait(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", Response("slow down", 429, {"Retry-After": "999999999"}))
    delivery, clock = await speak()
    assert delivery.failure.kind == "rate_limited"
    assert delivery.failure.message == (
        "polling the job: HTTP 429: slow down; asks to wait 999999999 s, more than 120 s"
    )
    assert clock.sleeps == [1]
    assert delivery.has_open_job


async def _drip(scope, receive, send):
    """Respond with a byte per second, without end."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    while True:
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        await asyncio.sleep(1)


async def _silence(scope, receive, send):
    await asyncio.sleep(3600)


def scripted(app: Callable[..., object]) -> Callable[[object], object]:
    """Return an answer of a script that runs an ASGI application."""

    async def answer(_request: object) -> object:
        return app

    return answer


LAST_SEEN = {
    "429": (Response("slow down", 429, {"Retry-After": "30"}), "last seen: HTTP 429: slow down"),
    "silence": (scripted(_silence), "waiting for the response: not done after"),
    "slow body": (scripted(_drip), "bytes of the body received"),
    "not JSON": (Response("<html>busy</html>"), "the status response is not JSON: HTTP 200: <html>busy</html>"),
    "binary": (Response(b"\x89PNG\r\n"), "the status response is not JSON: HTTP 200: \ufffdPNG"),
    "nothing": (Response(b""), "the status response is not JSON: HTTP 200 with an empty body"),
}


@pytest.mark.parametrize("name", LAST_SEEN)
@in_virtual_time
async def test_the_message_says_what_was_seen_last(contract, script, status, name):
    answer, message = LAST_SEEN[name]
    job_script(script, "", status)
    script.on("GET /jobs/j1", status("working"), answer)
    async with serving(script) as base, Transport() as transport:
        client = Client(contract(), transport, base_urls={"": base}, key=KEY, max_wait_s=50)
        delivery = await client.speak(contract().find_target_by_name("one"), HELLO)
    assert message in delivery.failure.message
    assert delivery.has_open_job
    if "job not done" in delivery.failure.message:
        assert delivery.failure.message.endswith("; before that, state 'working'")


def fast_polls(document):
    job_spec(document)["poll_schedule"].update(min_interval_s=0.01, max_interval_s=0.01)


SLOW_S = 100


@asynccontextmanager
async def _slow_service(contract, routes, **options) -> AsyncIterator[tuple[Client, VirtualClock, list[str]]]:
    """Yield a client of a service in which every response takes `SLOW_S` seconds of virtual time."""
    clock, called = VirtualClock(), []

    async def app(scope, receive, send):
        called.append(scope["path"])
        await clock.sleep(SLOW_S)
        await routes(scope["path"])(scope, receive, send)

    async with Transport(app=app) as transport:
        yield Client(contract(), transport, key=KEY, clock=clock, **options), clock, called


@pytest.mark.parametrize("max_wait_s", [None, 150])
async def test_redirects_do_not_outlast_the_deadline(contract, max_wait_s):
    def redirect(_path):
        return Response(status_code=302, headers={"Location": "/next"})

    def respond(path):
        done = {"id": "j1", "state": "done", "audio": "/file"}
        return JSONResponse(done, 202) if path == "/speech" else redirect(path)

    async with _slow_service(contract, respond, max_wait_s=max_wait_s) as (client, clock, called):
        delivery = await client.speak(contract().find_target_by_name("one"), HELLO)
    limit_s = max_wait_s or 60 + MAX_SUBMIT_AND_DOWNLOAD_S
    assert delivery.failure.kind == "timeout"
    assert f"a delivery may take {limit_s:g} s" in delivery.failure.message
    assert len(called) == -(-limit_s // SLOW_S)
    assert clock.monotonic() < limit_s + SLOW_S


async def test_a_state_is_timed_from_the_first_submit(contract):
    """Every response takes `SLOW_S`; the first submit is rejected and sent again."""
    submits = [Response(status_code=429), JSONResponse({"id": "j1", "state": "working"}, 202)]

    def respond(path):
        return submits.pop(0) if path == "/speech" else JSONResponse({"state": "failed"})

    def patient(document):
        job_spec(document)["poll_schedule"].update(job_timeout_s=500)

    async with _slow_service(lambda: contract(patient), respond) as (client, clock, _):
        await clock.sleep(7)
        delivery = await client.speak(contract(patient).find_target_by_name("one"), HELLO)
    assert [seen.state for seen in delivery.job.observations] == ["working", "failed"]
    times_s = [
        time_ms / 1000 for seen in delivery.job.observations for time_ms in (seen.requested_ms, seen.response_began_ms)
    ]
    accepted_s = times_s[1]
    assert 2 * SLOW_S + 2 <= accepted_s <= 2 * SLOW_S + 2.2, "both submits, and the wait between them"
    assert times_s == pytest.approx([0, accepted_s, accepted_s + 1, accepted_s + SLOW_S + 1], rel=1e-6)


async def test_a_job_whose_submit_took_all_the_time_is_not_polled(contract):
    def respond(_path):
        return JSONResponse({"id": "j1", "state": "working"}, 202)

    async with _slow_service(contract, respond, max_wait_s=SLOW_S) as (client, _, called):
        delivery = await client.speak(contract().find_target_by_name("one"), HELLO)
    assert delivery.failure.message == "job not done after 0 s (a delivery may take 100 s), last seen: no poll was sent"
    assert (called, delivery.has_open_job) == (["/speech"], True)


@pytest.mark.parametrize(("last", "has_open_job"), [(Response(status_code=500), True), (None, False)])
async def test_a_job_that_was_not_done_in_time_stays_open_if_its_last_poll_failed(
    speak, script, status, last, has_open_job
):
    job_script(script, speak.base, status)
    polls = [status("working")] * 17
    script.on("GET /jobs/j1", *(polls if last is None else [*polls[:-1], last]))
    delivery, _ = await speak()
    assert script.routes.count("GET /jobs/j1") == len(polls)
    seen = "state 'working'" if last is None else "HTTP 500 with an empty body; before that, state 'working'"
    assert delivery.failure.message == f"job not done after 60 s (the contract's limit), last seen: {seen}"
    assert delivery.has_open_job is has_open_job


async def test_a_wait_that_takes_too_long_is_not_followed_by_a_submit(contract, script, serve):
    class LateClock(VirtualClock):
        async def sleep(self, seconds):
            await super().sleep(2 * seconds)

    script.on("POST /speech", Response("busy", 503))
    async with Transport() as transport:
        base_urls = {"": await serve(script)}
        client = Client(contract(), transport, base_urls=base_urls, key=KEY, clock=LateClock(), max_wait_s=3)
        delivery = await client.speak(contract().find_target_by_name("one"), HELLO)
    assert delivery.failure.message == "no time is left for the next request; a delivery may take 3 s"
    assert (delivery.failure.kind, delivery.billing_status, len(script.requests)) == (
        "timeout",
        BillingStatus.REJECTED,
        1,
    )


@pytest.mark.parametrize(("max_wait_s", "limit_s"), [(250, 250), (None, MAX_SUBMIT_AND_DOWNLOAD_S)])
async def test_retries_do_not_outlast_the_deadline(contract, max_wait_s, limit_s):
    def respond(_path):
        return Response("busy", 503, {"Retry-After": "110"})

    async with _slow_service(contract, respond, max_wait_s=max_wait_s) as (client, clock, called):
        delivery = await client.speak(contract().find_target_by_name("sync"), HELLO)
    limit = f"a delivery may take {limit_s:g} s, and the next attempt is due in 110 s"
    assert delivery.failure.message == f"HTTP 503: busy; {limit}"
    assert (len(called), clock.monotonic()) == (2, 310)
    assert delivery.billing_status is BillingStatus.REJECTED


async def test_the_wait_for_a_rate_limit_does_not_count(contract):
    class Limiter:
        async def wait_for_request(self):
            await clock.sleep(1000)

    def respond(_path):
        return Response(WAV, media_type="audio/wav")

    clock = VirtualClock()

    async def app(scope, receive, send):
        await respond(scope["path"])(scope, receive, send)

    async with Transport(app=app) as transport:
        client = Client(contract(), transport, key=KEY, clock=clock, max_wait_s=10, rate_limiter=Limiter())
        delivery = await client.speak(contract().find_target_by_name("sync"), HELLO)
    assert delivery.audio == WAV


DRIPPED = {
    "synchronous body": ("sync", {"POST /say"}),
    "submit": ("one", {"POST /speech"}),
    "poll": ("one", {"GET /jobs/j1"}),
    "download": ("one", {"GET /files/a.wav"}),
}


@pytest.mark.parametrize("name", DRIPPED)
@in_virtual_time
async def test_a_service_that_drips_is_cut_off(contract, script, status, name):
    target, routes = DRIPPED[name]
    loaded = contract(fast_polls)
    async with serving(script) as base, Transport() as transport:
        job_script(script, base, status)
        for route in routes:
            script.on(route, scripted(_drip))
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, max_wait_s=0.3)
        delivery = await client.speak(loaded.find_target_by_name(target), HELLO)
    assert delivery.failure.kind == "timeout"
    assert "bytes of the body received" in delivery.failure.message
    assert script.routes[-1] in routes


async def test_an_interrupted_delivery_has_what_was_observed(contract, script, serve, status):
    base, loaded, asked = await serve(script), contract(fast_polls), asyncio.Event()

    async def working(_request):
        if len(script.routes) > 3:
            asked.set()
        return status("working")

    job_script(script, base, status)
    script.on("GET /jobs/j1", working)
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY)
        task = asyncio.create_task(client.speak(loaded.find_target_by_name("one"), HELLO))
        await asked.wait()
        task.cancel()
        with pytest.raises(DeliveryInterruptedError) as caught:
            await task
    delivery = caught.value.delivery
    assert {state.state for state in delivery.job.observations} == {"queued", "working"}
    assert delivery.failure.kind == "interrupted"
    assert delivery.failure.message.endswith("last seen: state 'working'")
    assert delivery.has_open_job
    assert len(delivery.exchanges) >= 3
