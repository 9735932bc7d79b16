"""Three hundred secrets in places that no contract documents: none is written by the proxy, or by a recording."""

from __future__ import annotations

import asyncio
import base64
import gzip
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import voicegauge
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.har_files import load_har, save_har
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.recording.secret_search import find_secret_spelling

from ..builders.secret_places import PLACES, Traffic, find_secret_in_number, make_secret

DEEPGRAM = load_catalogue().find_provider("deepgram")
TTSAI = load_catalogue().find_provider("ttsai")
SECRETS_PER_PLACE = 10
NUMBERS = random.Random(300)
SECRETS = [(place, make_secret(NUMBERS)) for _ in range(SECRETS_PER_PLACE) for place in PLACES]


def build_exchange(traffic: Traffic) -> Exchange:
    """What was sent and received, as a recording gets it: bodies are decompressed."""
    headers = (("Content-Type", traffic.content_type), *traffic.headers.items())
    answered = (("Content-Type", traffic.response_type), *traffic.response_headers.items())
    coding = traffic.response_headers.get("Content-Encoding")
    return Exchange(
        provider="deepgram",
        operation="speak",
        request=Request(
            method="POST", url=f"https://api.deepgram.com/v1/speak?{traffic.query}", headers=headers, body=traffic.body
        ),
        response=Response(
            status=traffic.status,
            headers=tuple(pair for pair in answered if pair[0] != "Content-Encoding"),
            body=gzip.decompress(traffic.response_body) if coding else traffic.response_body,
        ),
    )


def assert_not_in(written: dict[str, bytes], secrets: list[tuple[str, str]]) -> None:
    every_secret = [secret for _, secret in secrets]
    for name, content in written.items():
        if find_secret_spelling(content, every_secret) is not None:
            found = [pair for pair in secrets if find_secret_spelling(content, [pair[1]]) is not None]
            pytest.fail(f"{name} contains secrets: {found}")
        for place, secret in secrets:
            assert find_secret_in_number(secret) not in content, f"{place}: a number is in {name}"


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_are_thirty_places_and_three_hundred_secrets() -> None:
    assert len(PLACES) >= 30
    assert len(SECRETS) >= 300


@pytest.mark.parametrize("count", [1, pytest.param(SECRETS_PER_PLACE, marks=pytest.mark.slow)])
def test_no_secret_is_in_a_recording(tmp_path: Path, count: int) -> None:
    secrets = SECRETS[: count * len(PLACES)]
    exchanges = [build_exchange(PLACES[place](secret)) for place, secret in secrets]
    path = tmp_path / "speak.har"
    saved = save_har(path, exchanges, provenance=Provenance.RECORDED, contract=DEEPGRAM)
    assert len(saved.exchanges) == len(secrets)
    assert_not_in(read_files(tmp_path), secrets)
    for one in load_har(path).exchanges:
        # What is documented stays: the text that was spoken, the model, the audio, and the texts of errors.
        if one.request.find_header("content-type") == "application/json" and b"\0" not in one.request.body:
            assert json.loads(one.request.body)["text"] == "Good morning."
        if one.response.status == 200 and one.response.media_type == "audio/mpeg":
            assert one.response.body.startswith(b"ID3")
        if one.response.status == 400 and one.response.body.startswith(b'{"err_code"'):
            assert json.loads(one.response.body)["err_code"] == "Bad Request"


@pytest.mark.parametrize("count", [1, pytest.param(SECRETS_PER_PLACE, marks=pytest.mark.slow)])
async def test_no_secret_that_passes_through_the_proxy_is_written(
    serve: Any, tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = SECRETS[: count * len(PLACES)]
    traffic = [PLACES[place](secret) for place, secret in secrets]
    waiting = iter(traffic)

    async def respond(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        one = next(waiting)
        headers = {"content-type": one.response_type, **one.response_headers}
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": one.status, "headers": pairs})
        await send({"type": "http.response.body", "body": one.response_body})

    recording = tmp_path / "deepgram.har"
    running = voicegauge.proxy("deepgram", upstream=await serve(respond), recording_path=recording)
    async with running as proxied, httpx.AsyncClient(trust_env=False) as client:
        for one in traffic:
            sent = {"Content-Type": one.content_type, **one.headers}
            response = await client.post(f"{proxied.url}/v1/speak?{one.query}", headers=sent, content=one.body)
            assert response.status_code == one.status
    report = proxied.report
    assert report.unjudged_count_by_reason == {}
    assert report.unrecorded_count_by_reason == {}
    assert report.recorded_count == len(traffic)
    printed = "".join(capsys.readouterr()).encode()
    assert_not_in({**read_files(tmp_path), "the report": msgspec.json.encode(report), "the output": printed}, secrets)


def _is_response_only(traffic: Traffic) -> bool:
    """Whether the secret is in undocumented places of the response, for which no request is needed that has it."""
    return traffic._replace(**{name: getattr(Traffic(), name) for name in Traffic._fields if "response" in name}) in (
        Traffic(),
        Traffic(status=traffic.status),
    )


RESPONSE_PLACES = [
    place for place in PLACES if _is_response_only(PLACES[place]("0")) and PLACES[place]("0") != Traffic()
]
KEY_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.swapcase,
    lambda key: key.encode().hex(),
    lambda key: key.encode().hex().upper(),
    lambda key: base64.b64encode(key.encode()).decode(),
    lambda key: base64.urlsafe_b64encode(f"key={key}".encode()).decode(),
    lambda key: "".join(f"%{ord(sign):02X}" for sign in key),
    lambda key: "".join(f"\\u{ord(sign):04x}" for sign in key),
    lambda key: "".join(f"&#{ord(sign)};" for sign in key),
    "-".join,
)
"""The key as a service may repeat it."""
SECRET_HEADERS: dict[str, Callable[[str], str]] = {
    "x-session": str,
    "x-trace": lambda secret: base64.b64encode(secret.encode()).decode(),
    "set-cookie": lambda secret: f"sid={secret}; HttpOnly",
    "link": lambda secret: f'<https://files.test/next?token={secret}>; rel="next"',
}
"""Headers of every response to `record`, each with a secret of its own."""


@pytest.mark.parametrize(
    ("targets", "least"), [(["deepgram/aura-2"], 50), pytest.param(["deepgram"], 300, marks=pytest.mark.slow)]
)
async def test_no_secret_of_a_service_is_recorded(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, targets: list[str], least: int, capfd: Any
) -> None:
    numbers, secrets, key = random.Random(301), list[tuple[str, str]](), make_secret(random.Random(302))
    places, spellings = itertools.cycle(RESPONSE_PLACES), itertools.cycle(KEY_SPELLINGS)
    monkeypatch.setenv("DEEPGRAM_API_KEY", key)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path / "state"))

    async def respond(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        place = next(places)
        secrets.append((place, make_secret(numbers)))
        one = PLACES[place](secrets[-1][1])
        spelling = next(spellings)(key)
        headers = {"content-type": one.response_type, "x-note": spelling, **one.response_headers}
        for name, spell in SECRET_HEADERS.items():
            secrets.append((name, make_secret(numbers)))
            headers[name] = spell(secrets[-1][1])
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": one.status, "headers": pairs})
        await send({"type": "http.response.body", "body": one.response_body})

    live = voicegauge.LiveOptions(base_urls={"": await serve(respond)}, max_cost_usd=10.0)
    out = tmp_path / "recordings"
    result = await asyncio.to_thread(voicegauge.record, targets, live=live, record_every_rejection=True, out=out)
    assert result.files
    assert all(one.is_written for one in result.files)
    assert len(secrets) >= least
    assert sum(one.exchange_count for one in result.files) >= least / 10
    printed = "".join(capfd.readouterr()).encode()
    written = {**read_files(tmp_path), "the result": msgspec.json.encode(result), "the output": printed}
    assert_not_in(written, [*secrets, ("the key", key)])


def test_documented_charges_and_counts_stay_readable(tmp_path: Path) -> None:
    operation = next(one for one in TTSAI.operations.values() if one.speech is not None)
    answer = {"uuid": "77b71db532874ce98e84a69a2d740d4c", "status": "queued", "credits_used": 3, "tokens": 12}
    exchange = Exchange(
        provider="ttsai",
        operation=operation.id,
        request=Request(
            method="POST",
            url=f"{operation.server.url}{operation.path}",
            headers=(("Content-Type", "application/json"),),
            body=b'{"text": "hi", "model": "kokoro", "voice": "af_bella", "nonce": 99}',
        ),
        response=Response(
            status=200,
            headers=(("Content-Type", "application/json"), ("X-Credits-Used", "3"), ("X-Left", "17")),
            body=json.dumps(answer).encode(),
        ),
    )
    path = tmp_path / "a.har"
    (saved,) = save_har(path, [exchange], provenance=Provenance.RECORDED, contract=TTSAI).exchanges
    assert dict(saved.response.headers)["X-Credits-Used"] == "3"
    assert dict(saved.response.headers)["X-Left"] == "[redacted]"
    assert json.loads(saved.response.body) == {**answer, "tokens": 0}
    assert json.loads(saved.request.body) == {"text": "hi", "model": "kokoro", "voice": "af_bella", "nonce": 0}
    path.unlink()
    kept = save_har(
        path,
        [exchange],
        provenance=Provenance.RECORDED,
        contract=TTSAI,
        redaction=RedactionSettings(names_to_keep=["x-left", "tokens"]),
    ).exchanges[0]
    assert dict(kept.response.headers)["X-Left"] == "17"
    assert json.loads(kept.response.body) == answer
