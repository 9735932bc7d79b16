"""The audio of a job is downloaded from the URL in its response, without the key and never from a private network."""

from __future__ import annotations

import pytest
from starlette.responses import RedirectResponse, Response

from voicegauge.transport.http import Transport

from ..builders.scripted_provider import KEY, WAV, audio_at, job_script


async def test_the_key_goes_to_the_provider_and_not_with_the_download(speak, script, status):
    job_script(script, speak.base, status)
    await speak()
    keys = {route: request.headers.get("x-key") for route, request, _ in script.requests}
    assert keys == {"POST /speech": KEY, "GET /jobs/j1": KEY, "GET /files/a.wav": None}
    assert all("x-client" not in r.headers for route, r, _ in script.requests if route.startswith("GET /files"))


async def test_a_described_download_that_needs_the_key_gets_it_from_the_provider_alone(speak, script, status, serve):
    def described(document):
        document["paths"]["/files/{name}"] = {
            "get": {
                "operationId": "file",
                "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {"302": {"description": "elsewhere"}},
            }
        }
        document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["audio"]["download_operation_id"] = "file"

    job_script(script, speak.base, status)
    delivery, _ = await speak(edit=described)
    assert delivery.exchanges[-1].operation == "file"
    assert script.requests[-1][1].headers["x-key"] == KEY

    script.on("GET /files/a.wav", RedirectResponse("http://example.invalid/a.wav"))
    delivery, _ = await speak(edit=described)
    assert delivery.failure.kind == "network"
    assert KEY not in repr(delivery.exchanges[-1].response)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "not a plain http(s) URL"),
        ("http://user:pw@files.test/a", "not a plain http(s) URL"),
        ("http://\x1bc.invalid/a", "not a plain http(s) URL: 'http://\\x1bc.invalid/a'"),
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

    if not url.isprintable():  # servers refuse to send such a header
        return
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
        (None, None, "protocol", "has no audio at body#/audio"),
        ("/files/a.wav", Response(status_code=404), "rejected", "downloading the audio: HTTP 404"),
        ("/files/a.wav", Response(b"", media_type="audio/wav"), "protocol", "is empty"),
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


@pytest.mark.parametrize("code", [408, 500, 502, 503])
async def test_a_download_is_tried_again(speak, script, status, code):
    job_script(script, speak.base, status)
    script.on("GET /files/a.wav", Response(status_code=code), Response(WAV, media_type="audio/wav"))
    delivery, _ = await speak()
    assert delivery.audio == WAV


async def test_where_one_address_leads_nowhere_the_next_is_tried(speak, script, status, monkeypatch):
    async def found(_url):
        return "::1", "127.0.0.1"  # the script listens at the second one only

    monkeypatch.setattr("voicegauge.client.audio_download.resolve_public_addresses", found)
    job_script(script, speak.base, status)
    port = speak.base.rpartition(":")[2]
    script.on("GET /jobs/j1", status("done", audio=f"http://files.invalid:{port}/files/a.wav"))
    delivery, _ = await speak()
    assert delivery.audio == WAV


async def test_a_response_that_is_too_large_is_a_network_failure(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /files/a.wav", Response(b"x" * 10_000, media_type="audio/wav"))
    delivery, _ = await speak(transport=Transport(max_body_bytes=5_000))
    assert delivery.failure.kind == "network"
    assert "larger than 5000 bytes" in delivery.failure.message
