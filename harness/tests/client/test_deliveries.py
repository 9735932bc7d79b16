"""A speech request from its submit to its audio; rejected submits are sent again only as documented."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from starlette.responses import JSONResponse, Response

from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.model.exchange import DOWNLOAD_OPERATION
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.scripted_provider import HELLO, KEY, WAV, Watcher, job_script
from .conftest import JOB_ID


async def test_a_job_is_submitted_polled_and_fetched(speak, script, status):
    job_script(script, speak.base, status, "queued", "working")
    delivery, clock = await speak()
    assert delivery.failure is None
    assert delivery.audio == WAV
    assert delivery.media_type == "audio/wav"
    assert script.routes == ["POST /speech", *["GET /jobs/j1"] * 3, "GET /files/a.wav"]
    assert clock.sleeps == [1, 2, 4]
    assert [(s.state, s.requested_ms, s.response_began_ms, s.exchange_index) for s in delivery.job.observations] == [
        ("queued", 0, 0, 0),
        ("queued", 1000, 1000, 1),
        ("working", 3000, 3000, 2),
        ("done", 7000, 7000, 3),
    ]
    assert (delivery.job.id, delivery.job.status_operation) == ("j1", "status")
    assert [exchange.operation for exchange in delivery.exchanges] == ["submit", *["status"] * 3, DOWNLOAD_OPERATION]
    assert (delivery.submit_count, delivery.submit_exchange_index, delivery.audio_exchange_index) == (1, 0, 4)
    assert not delivery.has_open_job
    assert delivery.audio is delivery.exchanges[4].response.body


async def test_the_response_to_a_submit_can_be_audio(speak, script):
    script.on("POST /speech", Response(WAV, media_type="audio/wav"))
    delivery, _ = await speak()
    assert (delivery.audio, delivery.audio_exchange_index, delivery.job) == (WAV, 0, None)
    script.on("POST /speech", Response(b"", media_type="audio/wav"))
    delivery, _ = await speak()
    assert (delivery.failure.kind, delivery.failure.message) == ("protocol", "the audio of submit is empty")


async def test_audio_is_the_body_of_a_synchronous_response(speak, script):
    script.on("POST /say", Response(WAV, media_type="audio/wav", headers={"X-Charged": "3"}))
    delivery, _ = await speak("sync")
    assert (delivery.audio, delivery.media_type, delivery.job) == (WAV, "audio/wav", None)
    assert delivery.charged_usd == 3
    assert json.loads(script.requests[0][2]) == {"model": "m1", "input": "Hello", "format": "wav"}


@pytest.mark.parametrize(
    ("text", "media_type"),
    [
        (base64.b64encode(WAV).decode(), None),
        ("data:audio/wav;base64," + base64.b64encode(WAV).decode(), "audio/wav"),
        ("data:audio/wav,RIFF%00%00%FF%FEaudio", "audio/wav"),
    ],
)
async def test_audio_can_be_inline_in_the_response(speak, script, status, text, media_type):
    def inline(document):
        document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["audio"] = {
            "location": "body#/b64",
            "delivery_method": "base64",
        }

    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("done", b64=text))
    delivery, _ = await speak(edit=inline)
    assert (delivery.audio, delivery.media_type, delivery.audio_exchange_index) == (WAV, media_type, 1)


async def test_a_result_may_need_a_call_of_its_own(speak, script, status):
    def second_call(document):
        spec = document["paths"]["/jobs/{job_id}"]["get"]["x-job"]
        spec.update(result_operation_id="result", audio={"location": "body", "delivery_method": "bytes"})

    job_script(script, speak.base, status)
    script.on("GET /results/j1", Response(status_code=503), Response(WAV, media_type="audio/wav"))
    delivery, _ = await speak(edit=second_call)
    assert delivery.audio == WAV
    assert delivery.exchanges[-1].operation == "result"
    assert script.requests[-1][1].headers["x-key"] == KEY


def edit_result(parameters, links=None):
    """Return an edit after which the result is fetched by an operation with these parameters."""

    def edit(document):
        paths = document["paths"]
        status = paths["/jobs/{job_id}"]["get"]
        status["x-job"].update(
            result_operation_id="result",
            audio={"location": "body", "delivery_method": "bytes"},
            charge_location="header.X-Charged",
        )
        paths["/speech"]["post"]["responses"]["202"]["links"] |= (links or {}).get("submit", {})
        status["responses"]["200"]["links"] = (links or {}).get("status", {})
        is_in_path = any(parameter["in"] == "path" for parameter in parameters)
        result = paths.pop("/results/{job_id}")
        result["get"]["parameters"] = parameters
        paths["/results/{job_id}" if is_in_path else "/results"] = result

    return edit


def query(name, *, required=False):
    return {"name": name, "in": "query", "required": required, "schema": {"type": "string"}}


def link(**parameters):
    return {"result": {"operationId": "result", "parameters": parameters}}


RESULT_REQUESTS = {
    "the only required parameter": (edit_result([JOB_ID, query("format")]), "/results/j1", ""),
    "a link from the last status": (
        edit_result([JOB_ID, query("part")], {"status": link(job_id="$response.body#/type", part=7)}),
        "/results/r7",
        "part=7",
    ),
    "a link from the submit": (
        edit_result([query("job"), query("part")], {"submit": link(job="$response.body#/id")}),
        "/results",
        "job=j1",
    ),
    "no parameter": (edit_result([query("part")]), "/results", ""),
}


@pytest.mark.parametrize("name", RESULT_REQUESTS)
async def test_a_result_is_requested_as_documented(speak, script, status, name):
    edit, path, query_string = RESULT_REQUESTS[name]
    job_script(script, speak.base, status, type="r7")
    script.on(f"GET {path}", Response(WAV, media_type="audio/wav", headers={"X-Charged": "0.5"}))
    delivery, _ = await speak(edit=edit)
    assert delivery.failure is None
    assert (delivery.audio, delivery.charged_usd) == (WAV, 0.5)
    assert script.requests[-1][1].url.query == query_string
    script.on(f"GET {path}", Response(b"", media_type="audio/wav"))
    delivery, _ = await speak(edit=edit)
    assert delivery.failure.message == "the audio of result is empty"


async def test_a_result_whose_id_is_not_known_is_not_requested(speak, script, status):
    """The job has no id that could be sent: its status is polled at a URL."""

    def poll_by_url(document):
        edit_result([JOB_ID])(document)
        del document["paths"]["/speech"]["post"]["responses"]["202"]["links"]

    job_script(script, speak.base, status)
    script.on("POST /speech", JSONResponse({"state": "queued", "poll": f"{speak.base}/jobs/j1"}, 202))
    delivery, _ = await speak(edit=poll_by_url)
    assert (delivery.failure.kind, delivery.failure.message) == ("protocol", "acme result needs path.job_id")
    assert script.routes == ["POST /speech", "GET /jobs/j1"]


@pytest.mark.parametrize(
    ("status_code", "kind", "has_open_job"),
    [(300, "protocol", False), (404, "rejected", False), (401, "rejected", True), (503, "server_error", True)],
)
async def test_a_result_that_is_rejected_says_so(speak, script, status, status_code, kind, has_open_job):
    job_script(script, speak.base, status)
    script.on("GET /results/j1", Response("not now", status_code))
    delivery, _ = await speak(edit=edit_result([JOB_ID]))
    assert delivery.failure.message == f"fetching the result: HTTP {status_code}: not now"
    assert (delivery.failure.kind, delivery.failure.http_status) == (kind, status_code)
    assert (delivery.has_open_job, delivery.audio) == (has_open_job, None)


@pytest.mark.parametrize(
    ("url", "operation"),
    [("/results/a1", "result"), ("/cdn/results/a1", "result"), ("/files/a1.wav", DOWNLOAD_OPERATION)],
)
async def test_a_result_url_outside_the_documented_path_is_a_download(speak, script, status, url, operation):
    def documented_download(document):
        document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["audio"]["download_operation_id"] = "result"

    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("done", audio=f"{speak.base}{url}"))
    script.on(f"GET {url}", Response(WAV, media_type="audio/wav"))
    delivery, _ = await speak(edit=documented_download)
    assert delivery.audio == WAV
    assert delivery.exchanges[-1].operation == operation


async def test_rejected_submits_are_sent_again_as_documented(speak, script, status):
    job_script(script, speak.base, status)
    script.on(
        "POST /speech",
        Response(status_code=429),
        Response(status_code=503, headers={"Retry-After": "7"}),
        JSONResponse({"id": "j1", "state": "queued"}, 202),
    )
    watcher = Watcher()
    delivery, clock = await speak(submit_observer=watcher)
    assert delivery.audio == WAV
    assert delivery.submit_count == 3
    assert delivery.submit_exchange_index == 2
    assert clock.sleeps[0] == pytest.approx(2.1, abs=0.1)
    assert clock.sleeps[1] == 7
    assert delivery.job.observations[0].requested_ms == 0
    assert watcher.events == [
        "submitting",
        (429, "rejected", None),
        "submitting",
        (503, "rejected", None),
        "submitting",
        (202, "accepted", "j1"),
    ]


@pytest.mark.parametrize(
    ("status_code", "kind", "sends"),
    [
        (429, "rate_limited", 3),
        (402, "no_credit", 1),
        (401, "rejected", 1),
        (422, "rejected", 1),
        (500, "server_error", 1),
        (503, "server_error", 3),
        (300, "protocol", 1),
        (302, "protocol", 1),
    ],
)
async def test_a_rejection_is_a_failure_with_its_kind(speak, script, status_code, kind, sends):
    script.on("POST /speech", JSONResponse({"error": f"no {KEY}"}, status_code, headers={"Location": "/elsewhere"}))
    delivery, _ = await speak()
    assert (delivery.failure.kind, delivery.failure.http_status) == (kind, status_code)
    assert delivery.submit_count == len(script.requests) == sends
    assert "no [redacted]" in delivery.failure.message
    assert KEY not in delivery.failure.message


@pytest.mark.parametrize("before", [190, 195, 3_000, 4_075, 4_080, 4_090])
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
        delivery = await client.speak(loaded.find_target_by_name("one"), HELLO)
    assert delivery.failure.kind == "network"
    assert "may have been charged" in delivery.failure.message
    assert len(connections) == delivery.submit_count == 1
    assert (ledger.spent_usd, ledger.reserved_usd) == (0.01, 0)


async def test_a_submit_that_never_left_is_sent_again_and_costs_nothing(contract):
    loaded, ledger, clock = contract(), Ledger(1.0), VirtualClock()
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": "http://127.0.0.1:1"}, clock=clock, ledger=ledger)
        delivery = await client.speak(loaded.find_target_by_name("one"), HELLO)
    assert (delivery.failure.kind, delivery.submit_count, len(clock.sleeps)) == ("network", 3, 2)
    assert (ledger.spent_usd, ledger.reserved_usd) == (0, 0)
