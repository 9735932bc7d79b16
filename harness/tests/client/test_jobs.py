"""A job is polled as its contract documents, until it ends or is cancelled."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import JSONResponse, Response

from voicegauge.client import Client, Ledger
from voicegauge.errors import BudgetError, UsageError
from voicegauge.transport import Transport

from ..builders.scripted_provider import HELLO, KEY, WAV, Watcher, audio_at, job, job_script


async def test_a_status_response_can_request_a_wait(speak, script, status):
    job_script(script, speak.base, status)
    working = status("working")
    working.headers["retry-after"] = "9"
    script.on("GET /jobs/j1", working, status("done", audio=audio_at(speak.base)))
    _, clock = await speak()
    assert clock.sleeps == [1, 9]


async def test_a_job_may_be_done_at_once(speak, script):
    script.on("POST /speech", JSONResponse({"id": "j", "state": "done", "audio": audio_at(speak.base)}, 202))
    script.on("GET /files/a.wav", Response(WAV, media_type="audio/wav"))
    delivery, clock = await speak()
    assert delivery.audio == WAV
    assert clock.sleeps == []
    assert [s.state for s in delivery.job.observations] == ["done"]


def without_link(document):
    del document["paths"]["/speech"]["post"]["responses"]["202"]["links"]


@pytest.mark.parametrize("poll", ["/v9/jobs?id=1", None, "http://evil.test/jobs/j1", "http://127.0.0.1:9/jobs/j1", 5])
async def test_a_polling_url_is_used_only_if_it_is_the_providers_own(speak, script, status, poll):
    job_script(script, speak.base, status)
    own = isinstance(poll, str) and poll.startswith("/")
    url = f"{speak.base}{poll}" if own else poll
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued", "poll": url}, 202))
    script.on("GET /v9/jobs", status("done", audio=audio_at(speak.base)))
    delivery, _ = await speak(edit=without_link)
    assert delivery.audio == WAV
    assert script.routes[1] == ("GET /v9/jobs" if own else "GET /jobs/j1")
    assert script.requests[1][1].headers["x-key"] == KEY


async def test_without_an_id_nor_a_url_of_its_own_a_job_is_lost(speak, script):
    script.on("POST /speech", JSONResponse({"state": "queued", "poll": "http://evil.test/j"}, 202))
    delivery, _ = await speak(edit=without_link)
    assert delivery.failure.kind == "protocol"
    assert "no usable job id at body#/id" in delivery.failure.message
    assert script.routes == ["POST /speech"]


async def test_a_failed_job_has_a_reason(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("failed", reason=f"out of breath {KEY}"))
    delivery, _ = await speak()
    assert (delivery.failure.kind, delivery.failure.message) == ("failed", "failed: out of breath [redacted]")
    assert delivery.audio is None


async def test_a_reason_is_one_short_line_without_control_characters(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("failed", reason="\x1b]0;mine\x07 out\nof \u202ebreath" + "!" * 5_000))
    delivery, _ = await speak()
    message = delivery.failure.message
    assert message.startswith("failed: ]0;mine out of breath!!!")
    assert message.isprintable()
    assert len(message) < 300


async def test_an_unknown_state_is_noted_and_waited_for(speak, script, status):
    job_script(script, speak.base, status, "dreaming")
    delivery, _ = await speak()
    assert delivery.audio == WAV
    assert [s.state for s in delivery.job.observations] == ["queued", "dreaming", "done"]


async def test_a_stuck_job_times_out(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("working"))
    delivery, clock = await speak()
    assert delivery.failure.kind == "timeout"
    assert delivery.failure.message == "job not done after 60 s (the contract's limit), last seen: state 'working'"
    assert clock.monotonic() == 60
    assert sum(clock.sleeps) == 60


async def test_a_status_response_without_a_state_is_a_protocol_failure(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", JSONResponse({"note": "busy"}))
    delivery, _ = await speak()
    assert delivery.failure.kind == "protocol"
    assert 'no state at body#/state: HTTP 200: {"note":"busy"}' in delivery.failure.message


async def test_polls_that_fail_in_passing_are_borne(speak, script, status):
    job_script(script, speak.base, status)
    script.on(
        "GET /jobs/j1",
        Response(status_code=500),
        Response(status_code=429, headers={"Retry-After": "3"}),
        status("done", audio=audio_at(speak.base)),
    )
    delivery, clock = await speak()
    assert delivery.audio == WAV
    assert clock.sleeps == [1, 2, 3]


@pytest.mark.parametrize(("code", "kind", "polls"), [(500, "server_error", 6), (404, "rejected", 1)])
async def test_polls_that_keep_failing_are_not(speak, script, status, code, kind, polls):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", Response(status_code=code))
    delivery, _ = await speak()
    assert delivery.failure.kind == kind
    assert delivery.failure.message.startswith("polling the job: HTTP")
    assert script.routes.count("GET /jobs/j1") == polls


async def test_a_job_paid_for_before_is_resumed(speak, script, status):
    job_script(script, speak.base, status, "working")
    delivery, clock = await speak(speech="j1", method="resume_job")
    assert delivery.audio == WAV
    assert script.routes == ["GET /jobs/j1", "GET /jobs/j1", "GET /files/a.wav"]
    assert (delivery.attempts, delivery.submit_exchange, delivery.job.id) == (0, None, "j1")
    assert (delivery.charged_usd, delivery.charged_credits) == (None, None)
    assert clock.sleeps == [0, 2]


@pytest.mark.parametrize(
    ("answer", "has_open_job"),
    [
        (Response(status_code=500), True),
        (Response(status_code=429), True),
        (Response(status_code=401), True),
        (Response("<html>busy</html>", media_type="text/html"), True),
        (Response(status_code=404), False),
        (Response(status_code=410), False),
        (job("failed"), False),
        (job("working"), False),
    ],
)
async def test_a_job_whose_status_cannot_be_fetched_stays_open(speak, script, status, answer, has_open_job):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", answer)
    delivery, _ = await speak()
    assert delivery.failure is not None
    assert (delivery.has_open_job, delivery.billing) == (has_open_job, "accepted")


async def test_a_job_whose_audio_cannot_be_fetched_stays_open(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /files/a.wav", Response(status_code=503))
    delivery, _ = await speak()
    assert delivery.has_open_job


async def test_a_job_without_an_id_cannot_stay_open(speak, script):
    script.on("POST /speech", JSONResponse({"state": "queued", "poll": f"{speak.base}/v9"}, 202))
    script.on("GET /v9", Response(status_code=500))
    watcher = Watcher()
    delivery, _ = await speak(edit=without_link, observer=watcher)
    assert not delivery.has_open_job
    assert watcher.events[-1] == (202, "accepted", None)


@pytest.mark.parametrize(("state", "spent_usd"), [("done", 0.01), ("failed", 0.01), ("void", 0.0)])
async def test_the_price_of_a_resumed_job_is_settled_by_its_end(speak, script, status, state, spent_usd):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status(state, audio=audio_at(speak.base)))
    ledger = Ledger(0.005)
    held = ledger.reserve_unconditionally(0.01)  # more than the budget: it was spent before
    with pytest.raises(BudgetError):
        ledger.reserve(0.001)
    await speak(speech="j1", method="resume_job", ledger=ledger, reservation=held)
    assert (ledger.spent_usd, ledger.reserved_usd) == (spent_usd, 0)


async def test_a_target_without_jobs_cannot_be_resumed(speak):
    with pytest.raises(UsageError, match="acme/sync has no jobs"):
        await speak("sync", speech="j1", method="resume_job")


def cancellable(document):
    document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["cancel"] = {"operation": "cancel", "state": "failed"}


@pytest.mark.parametrize(("edit", "cancels"), [(None, 0), (cancellable, 1)])
async def test_ctrl_c_cancels_the_job_where_that_is_documented(contract, script, serve, status, edit, cancels):
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued"}, 202))
    script.on("GET /jobs/j1", status("working")).on("DELETE /jobs/j1", Response(status_code=204))
    base, loaded, watcher, ledger = await serve(script), contract(edit), Watcher(), Ledger(1.0)
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, ledger=ledger)
        task = asyncio.create_task(client.speak(loaded.find_target_by_name("one"), HELLO, observer=watcher))
        while len(watcher.events) < 2:  # noqa: ASYNC110 - an observer has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert watcher.events[-1] == (202, "accepted", "j1")
    assert script.routes.count("DELETE /jobs/j1") == cancels
    assert (ledger.spent_usd, ledger.reserved_usd) == (0.01, 0)
