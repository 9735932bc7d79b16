from __future__ import annotations

import asyncio
import base64
import json

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from voicegauge.client import Client, Ledger
from voicegauge.errors import BudgetError, UsageError
from voicegauge.model import DOWNLOAD, SpeechRequest
from voicegauge.transport import Timeouts, Transport, VirtualClock

KEY = "k-secret-123456"
WAV = b"RIFF\x00\x00\xff\xfeaudio"
HELLO = SpeechRequest(text="Hello")


class Watcher:
    """An observer that keeps what it was told, in order."""

    def __init__(self):
        self.told = []

    def submitting(self, target, request):
        self.told.append(("submitting", target.id, request.method))

    def submitted(self, target, exchange, job_id):
        self.told.append(("submitted", target.id, exchange.response.status, job_id))


@pytest.fixture
async def speak(contract, script, serve):
    """Speak with a scripted provider on a virtual clock; answers with the delivery and the clock."""
    base = await serve(script)
    opened = []

    async def run(target="one", speech=HELLO, edit=None, *, method="speak", transport=None, **options):
        clock = VirtualClock()
        transport = transport or Transport()
        opened.append(transport)
        call = {name: options.pop(name) for name in ("observer", "price_usd") if name in options}
        loaded = contract(edit)
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, clock=clock, **options)
        delivery = await getattr(client, method)(loaded.target(target), speech, **call)
        return delivery, clock

    run.base = base
    yield run
    for transport in opened:
        await transport.__aexit__(None, None, None)


def audio_at(base, path="/files/a.wav"):
    return f"{base}{path}"


def job_script(script, base, status, *states, **last):
    """A provider whose job goes through `states`."""
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued"}, 202))
    done = status("done", audio=audio_at(base), **last)
    script.on("GET /jobs/j1", *(status(state) for state in states), done)
    script.on("GET /files/a.wav", Response(WAV, media_type="audio/wav"))


async def test_a_job_is_submitted_polled_and_fetched(speak, script, status):
    job_script(script, speak.base, status, "queued", "working")
    delivery, clock = await speak()
    assert delivery.failure is None
    assert delivery.audio == WAV
    assert delivery.media_type == "audio/wav"
    assert script.routes == ["POST /speech", *["GET /jobs/j1"] * 3, "GET /files/a.wav"]
    assert clock.sleeps == [1, 2, 4]
    assert [(s.state, s.asked_ms, s.at_ms, s.exchange) for s in delivery.job.sightings] == [
        ("queued", 0, 0, 0),
        ("queued", 1000, 1000, 1),
        ("working", 3000, 3000, 2),
        ("done", 7000, 7000, 3),
    ]
    assert (delivery.job.id, delivery.job.status_operation) == ("j1", "status")
    assert [exchange.operation for exchange in delivery.exchanges] == ["submit", *["status"] * 3, DOWNLOAD]
    assert (delivery.attempts, delivery.submit_exchange, delivery.audio_exchange) == (1, 0, 4)
    assert delivery.audio is delivery.exchanges[4].response.body


async def test_the_key_goes_to_the_provider_and_not_with_the_download(speak, script, status):
    job_script(script, speak.base, status)
    await speak()
    keys = {route: request.headers.get("x-key") for route, request, _ in script.asked}
    assert keys == {"POST /speech": KEY, "GET /jobs/j1": KEY, "GET /files/a.wav": None}
    assert all("x-client" not in r.headers for route, r, _ in script.asked if route.startswith("GET /files"))


async def test_a_described_download_that_needs_the_key_gets_it_from_the_provider_alone(speak, script, status, serve):
    def described(document):
        document["paths"]["/files/{name}"] = {
            "get": {
                "operationId": "file",
                "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {"302": {"description": "elsewhere"}},
            }
        }
        document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["audio"]["download"] = "file"

    job_script(script, speak.base, status)
    delivery, _ = await speak(edit=described)
    assert delivery.exchanges[-1].operation == "file"
    assert script.asked[-1][1].headers["x-key"] == KEY

    script.on("GET /files/a.wav", RedirectResponse("http://example.invalid/a.wav"))
    delivery, _ = await speak(edit=described)
    assert delivery.failure.kind == "network"
    assert KEY not in repr(delivery.exchanges[-1].response)


async def test_a_poll_may_be_told_when_to_come_back(speak, script, status):
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
    assert [s.state for s in delivery.job.sightings] == ["done"]


async def test_a_submit_may_answer_with_audio(speak, script):
    script.on("POST /speech", Response(WAV, media_type="audio/wav"))
    delivery, _ = await speak()
    assert (delivery.audio, delivery.audio_exchange, delivery.job) == (WAV, 0, None)


async def test_audio_is_the_body_of_a_synchronous_answer(speak, script):
    script.on("POST /say", Response(WAV, media_type="audio/wav", headers={"X-Charged": "3"}))
    delivery, _ = await speak("sync")
    assert (delivery.audio, delivery.media_type, delivery.job) == (WAV, "audio/wav", None)
    assert delivery.charged_usd == 3
    assert json.loads(script.asked[0][2]) == {"model": "m1", "input": "Hello", "format": "wav"}


@pytest.mark.parametrize(
    ("text", "media_type"),
    [
        (base64.b64encode(WAV).decode(), None),
        ("data:audio/wav;base64," + base64.b64encode(WAV).decode(), "audio/wav"),
        ("data:audio/wav,RIFF%00%00%FF%FEaudio", "audio/wav"),
    ],
)
async def test_audio_may_stand_in_the_answer(speak, script, status, text, media_type):
    def inline(document):
        document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["audio"] = {"at": "body#/b64", "delivered": "base64"}

    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("done", b64=text))
    delivery, _ = await speak(edit=inline)
    assert (delivery.audio, delivery.media_type, delivery.audio_exchange) == (WAV, media_type, 1)


async def test_a_result_may_need_a_call_of_its_own(speak, script, status):
    def second_call(document):
        spec = document["paths"]["/jobs/{job_id}"]["get"]["x-job"]
        spec.update(result="result", audio={"at": "body", "delivered": "bytes"})

    job_script(script, speak.base, status)
    script.on("GET /results/j1", Response(status_code=503), Response(WAV, media_type="audio/wav"))
    delivery, _ = await speak(edit=second_call)
    assert delivery.audio == WAV
    assert delivery.exchanges[-1].operation == "result"
    assert script.asked[-1][1].headers["x-key"] == KEY


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
    assert script.asked[1][1].headers["x-key"] == KEY


async def test_without_an_id_nor_a_url_of_its_own_a_job_is_lost(speak, script):
    script.on("POST /speech", JSONResponse({"state": "queued", "poll": "http://evil.test/j"}, 202))
    delivery, _ = await speak(edit=without_link)
    assert delivery.failure.kind == "protocol"
    assert "no usable job id at body#/id" in delivery.failure.message
    assert script.routes == ["POST /speech"]


async def test_refused_submits_are_sent_again_as_documented(speak, script, status):
    job_script(script, speak.base, status)
    script.on(
        "POST /speech",
        Response(status_code=429),
        Response(status_code=503, headers={"Retry-After": "7"}),
        JSONResponse({"id": "j1", "state": "queued"}, 202),
    )
    watcher = Watcher()
    delivery, clock = await speak(observer=watcher)
    assert delivery.audio == WAV
    assert delivery.attempts == 3
    assert delivery.submit_exchange == 2
    assert clock.sleeps[0] == pytest.approx(2.1, abs=0.1)
    assert clock.sleeps[1] == 7
    assert delivery.job.sightings[0].asked_ms == 0
    assert watcher.told == [
        ("submitting", "acme/one", "POST"),
        ("submitted", "acme/one", 429, None),
        ("submitting", "acme/one", "POST"),
        ("submitted", "acme/one", 503, None),
        ("submitting", "acme/one", "POST"),
        ("submitted", "acme/one", 202, "j1"),
    ]


@pytest.mark.parametrize(
    ("status_code", "kind", "sends"),
    [
        (429, "rate_limited", 3),
        (402, "credit", 1),
        (401, "refused", 1),
        (422, "refused", 1),
        (500, "server", 1),
        (503, "server", 3),
        (302, "protocol", 1),
    ],
)
async def test_a_refusal_says_what_it_is(speak, script, status_code, kind, sends):
    script.on("POST /speech", JSONResponse({"error": f"no {KEY}"}, status_code, headers={"Location": "/elsewhere"}))
    delivery, _ = await speak()
    assert (delivery.failure.kind, delivery.failure.status) == (kind, status_code)
    assert delivery.attempts == len(script.asked) == sends
    assert "no [redacted]" in delivery.failure.message
    assert KEY not in delivery.failure.message


@pytest.mark.parametrize("before", [190, 195, 3_000, 4_080, 4_090])
@pytest.mark.parametrize("filler", ["x", " "])
async def test_no_part_of_an_echoed_key_is_left_where_a_message_is_cut(speak, script, before, filler):
    script.on("POST /speech", Response(filler * before + KEY + " " * 5_000, 400))
    delivery, _ = await speak()
    assert KEY[:4] not in delivery.failure.message


async def test_a_provider_cannot_stall_a_run(speak, script):
    script.on("POST /speech", Response(status_code=429, headers={"Retry-After": "86400"}))
    delivery, clock = await speak()
    assert delivery.failure.kind == "rate_limited"
    assert "asks to wait 86400 s" in delivery.failure.message
    assert clock.sleeps == []


async def test_a_submit_that_may_have_been_paid_for_is_not_sent_again(contract):
    connections = []

    async def break_off(reader, writer):
        connections.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(break_off, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    loaded, ledger = contract(), Ledger(1.0)
    async with server, Transport() as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, clock=VirtualClock(), ledger=ledger)
        delivery = await client.speak(loaded.target("one"), HELLO)
    assert delivery.failure.kind == "network"
    assert "may have been paid for" in delivery.failure.message
    assert len(connections) == delivery.attempts == 1
    assert (ledger.spent_usd, ledger.reserved_usd) == (0.01, 0)


async def test_a_submit_that_never_left_is_sent_again_and_costs_nothing(contract):
    loaded, ledger, clock = contract(), Ledger(1.0), VirtualClock()
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": "http://127.0.0.1:1"}, clock=clock, ledger=ledger)
        delivery = await client.speak(loaded.target("one"), HELLO)
    assert (delivery.failure.kind, delivery.attempts, len(clock.sleeps)) == ("network", 3, 2)
    assert (ledger.spent_usd, ledger.reserved_usd) == (0, 0)


async def test_a_failed_job_says_why(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("failed", reason=f"out of breath {KEY}"))
    delivery, _ = await speak()
    assert (delivery.failure.kind, delivery.failure.message) == ("failed", "failed: out of breath [redacted]")
    assert delivery.audio is None


async def test_an_unknown_state_is_noted_and_waited_for(speak, script, status):
    job_script(script, speak.base, status, "dreaming")
    delivery, _ = await speak()
    assert delivery.audio == WAV
    assert [s.state for s in delivery.job.sightings] == ["queued", "dreaming", "done"]


async def test_a_stuck_job_times_out(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("working"))
    delivery, clock = await speak()
    assert delivery.failure.kind == "timeout"
    assert delivery.failure.message == "job not done after 60 s, last seen 'working'"
    assert clock.monotonic() == 60
    assert sum(clock.sleeps) == 60


async def test_a_status_answer_without_a_state_is_a_broken_protocol(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", Response("<html>busy</html>", media_type="text/html"))
    delivery, _ = await speak()
    assert delivery.failure.kind == "protocol"
    assert "no state at body#/state: HTTP 200: <html>busy</html>" in delivery.failure.message


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


@pytest.mark.parametrize(("code", "kind", "polls"), [(500, "server", 6), (404, "refused", 1)])
async def test_polls_that_keep_failing_are_not(speak, script, status, code, kind, polls):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", Response(status_code=code))
    delivery, _ = await speak()
    assert delivery.failure.kind == kind
    assert delivery.failure.message.startswith("asking for the job's state: HTTP")
    assert script.routes.count("GET /jobs/j1") == polls


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "no plain http(s) URL"),
        ("http://user:pw@files.test/a", "no plain http(s) URL"),
        ("http://127.0.0.1:1/a.wav", "not a public address"),
        ("http://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://[::1]/a", "not a public address"),
        ("http://localhost:1/a", "not a public address"),
    ],
)
async def test_the_audios_url_cannot_lead_into_ones_own_network(speak, script, status, url, words):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("done", audio=url))
    delivery, _ = await speak()
    assert delivery.failure.kind == "protocol"
    assert words in delivery.failure.message

    script.on("GET /jobs/j1", status("done", audio=audio_at(speak.base)))
    script.on("GET /files/a.wav", Response(status_code=302, headers={"Location": url}))
    delivery, _ = await speak()
    assert words in delivery.failure.message


async def test_redirects_of_the_audio_are_followed_five_times(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /files/a.wav", RedirectResponse("/files/1"))
    for hop in range(1, 5):
        script.on(f"GET /files/{hop}", RedirectResponse(f"/files/{hop + 1}"))
    script.on("GET /files/5", Response(WAV, media_type="audio/wav"))
    delivery, _ = await speak()
    assert delivery.audio == WAV
    script.on("GET /files/5", RedirectResponse("/files/6"))
    delivery, _ = await speak()
    assert "redirects more than 5 times" in delivery.failure.message


@pytest.mark.parametrize(
    ("audio", "answer", "kind", "words"),
    [
        (None, None, "protocol", "without audio at body#/audio"),
        ("/files/a.wav", Response(status_code=404), "refused", "fetching the audio: HTTP 404"),
        ("/files/a.wav", Response(b"", media_type="audio/wav"), "protocol", "audio of no bytes"),
    ],
)
async def test_missing_audio_is_a_failure(speak, script, status, audio, answer, kind, words):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("done", audio=audio))
    if answer is not None:
        script.on("GET /files/a.wav", answer)
    delivery, _ = await speak()
    assert delivery.failure.kind == kind
    assert words in delivery.failure.message


async def test_a_download_is_tried_again(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /files/a.wav", Response(status_code=503), Response(WAV, media_type="audio/wav"))
    delivery, _ = await speak()
    assert delivery.audio == WAV


async def test_an_answer_too_large_is_a_network_failure(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /files/a.wav", Response(b"x" * 10_000, media_type="audio/wav"))
    delivery, _ = await speak(transport=Transport(max_body_bytes=5_000))
    assert delivery.failure.kind == "network"
    assert "larger than 5000 bytes" in delivery.failure.message


def credits(document):
    document["x-provider"]["credits"] = {"name": "credits", "usd": 0.001}


async def test_charges_are_read_from_the_last_word(speak, script, status):
    job_script(script, speak.base, status, cost="7")
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued", "cost": 5}, 202))
    delivery, _ = await speak(edit=credits)
    assert delivery.charged_credits == 7
    assert delivery.charged_usd == pytest.approx(0.007)


@pytest.mark.parametrize(
    ("last", "spent"),
    [
        ({"state": "done"}, 0.01),
        ({"state": "done", "cost": 2}, 0.002),
        ({"state": "failed"}, 0.01),
        ({"state": "void"}, 0.0),
    ],
)
async def test_the_ledger_settles_what_became_of_it(speak, script, status, last, spent):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status(**last, audio=audio_at(speak.base)))
    ledger = Ledger(1.0)
    await speak(edit=credits, ledger=ledger)
    assert (ledger.spent_usd, ledger.reserved_usd) == (spent, 0)


async def test_a_spent_budget_sends_nothing(speak, script):
    with pytest.raises(BudgetError):
        await speak(ledger=Ledger(0.009))
    assert script.asked == []


async def test_an_unknown_price_sends_nothing_unless_the_user_names_one(speak, script):
    script.on("POST /say", Response(WAV, media_type="audio/wav"))
    with pytest.raises(UsageError, match="no document says what acme/sync costs"):
        await speak("sync", ledger=Ledger(1.0))
    assert script.asked == []
    ledger = Ledger(1.0)
    delivery, _ = await speak("sync", ledger=ledger, price_usd=0.25)
    assert delivery.audio == WAV
    assert ledger.spent_usd == 0.25


async def test_a_job_paid_for_before_is_resumed(speak, script, status):
    job_script(script, speak.base, status, "working")
    delivery, clock = await speak(speech="j1", method="resume")
    assert delivery.audio == WAV
    assert script.routes == ["GET /jobs/j1", "GET /jobs/j1", "GET /files/a.wav"]
    assert (delivery.attempts, delivery.submit_exchange, delivery.job.id) == (0, None, "j1")
    assert clock.sleeps == [0, 2]


async def test_a_target_without_jobs_cannot_be_resumed(speak):
    with pytest.raises(UsageError, match="acme/sync has no jobs"):
        await speak("sync", speech="j1", method="resume")


def cancellable(document):
    document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["cancel"] = "cancel"


@pytest.mark.parametrize(("edit", "cancels"), [(None, 0), (cancellable, 1)])
async def test_ctrl_c_cancels_the_job_where_that_is_documented(contract, script, serve, status, edit, cancels):
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued"}, 202))
    script.on("GET /jobs/j1", status("working")).on("DELETE /jobs/j1", Response(status_code=204))
    base, loaded, watcher, ledger = await serve(script), contract(edit), Watcher(), Ledger(1.0)
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, ledger=ledger)
        task = asyncio.create_task(client.speak(loaded.target("one"), HELLO, observer=watcher))
        while len(watcher.told) < 2:  # noqa: ASYNC110 - an observer has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert watcher.told[-1] == ("submitted", "acme/one", 202, "j1")
    assert script.routes.count("DELETE /jobs/j1") == cancels
    assert (ledger.spent_usd, ledger.reserved_usd) == (0.01, 0)


async def test_many_requests_share_a_client_and_a_budget(contract, script, serve):
    script.on("POST /speech", Response(WAV, media_type="audio/wav"))
    base, loaded, ledger = await serve(script), contract(), Ledger(0.1)
    async with Transport(timeouts=Timeouts(total_s=30)) as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, ledger=ledger)
        asked = (client.speak(loaded.target("one"), HELLO) for _ in range(25))
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(result, BudgetError) for result in results) == 15
    assert len(script.asked) == 10
    assert ledger.spent_usd == 0.1
