"""Audio sent by the client: shaped by the contract, followed to what it leads to, paid for once."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voicegauge.client.audio_download import MAX_DOWNLOADED_STEMS, fetch_response_audio
from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.client.speech_request import build_audio_input_request
from voicegauge.contract.contract import AudioInputTarget
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import BudgetError, UsageError
from voicegauge.model.exchange import Delivery, Exchange, UploadedFile
from voicegauge.model.exchange import Request as Asked
from voicegauge.model.exchange import Response as Answered
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

URL = "http://127.0.0.1:9"
FILE = UploadedFile(filename="a.wav", media_type="audio/wav", data=b"RIFF....WAVE")


def intake(name: str) -> AudioInputTarget:
    return load_catalogue().find_provider("ttsai").audio_input_targets[name]


class Provider:
    """Sends scripted responses and records its requests."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str | None]] = []

    async def answer(self, request: Request) -> Response:
        await request.body()
        self.requests.append((request.url.path, request.headers.get("authorization")))
        return self.answers.pop(0)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])


@pytest.fixture
def send() -> Callable[..., object]:
    async def sent(provider: Provider, name: str, ledger: Ledger | None = None, usd: float | None = None) -> Delivery:
        target = intake(name)
        async with Transport(app=provider.app) as transport:
            client = Client(
                target.contract, transport, base_urls={"": URL}, key="sk-1", clock=VirtualClock(), ledger=ledger
            )
            return await client.send_audio(target, FILE, audio_duration_s=60.0, price_usd=usd)

    return sent


def test_constants_and_defaults_go_with_the_audio() -> None:
    wire = build_audio_input_request(intake("voice-knn-vc"), FILE, {"format": "mp3"})
    assert wire.body == {"model": "knn-vc", "target_voice": "af_bella", "format": "mp3", "file": FILE}
    assert build_audio_input_request(intake("convert"), FILE, {"channels": 2}).body == {
        "channels": "stereo",
        "file": FILE,
    }


def test_a_field_without_a_parameter_is_rejected() -> None:
    with pytest.raises(UsageError, match="ttsai/enhance takes no sample rate; it takes audio, strength"):
        build_audio_input_request(intake("enhance"), FILE, {"sample_rate": 8000})


async def test_a_transcript_is_text_with_its_charge(send) -> None:
    provider = Provider(JSONResponse({"text": "hello"}, headers={"X-Credits-Used": "2000"}))
    delivery = await send(provider, "stt-whisper")
    assert (delivery.transcript, delivery.audio, delivery.failure) == ("hello", None, None)
    assert (delivery.audio_exchange_index, delivery.submit_exchange_index, delivery.submit_count) == (0, 0, 1)
    assert delivery.charged_credits == 2000
    assert provider.requests == [("/v1/stt/", "Bearer sk-1")]


async def test_converted_audio_is_the_body(send) -> None:
    delivery = await send(Provider(Response(b"RIFF", media_type="audio/wav")), "voice-openvoice")
    assert (delivery.audio, delivery.media_type, delivery.transcript) == (b"RIFF", "audio/wav", None)


async def test_audio_behind_a_url_is_fetched_without_the_key(send) -> None:
    there = JSONResponse({"audio_url": f"{URL}/v1/results/a.mp3"})
    provider = Provider(there, Response(b"ID3", media_type="audio/mpeg"))
    delivery = await send(provider, "translation")
    assert delivery.audio == b"ID3"
    assert provider.requests == [("/v1/speech-translate/", "Bearer sk-1"), ("/v1/results/a.mp3", None)]


async def test_a_response_with_countless_stems_is_followed_up_to_a_limit() -> None:
    target = intake("stems-demucs")
    body = json.dumps({"stems": [{"name": "vocals", "url": f"{URL}/v1/results/a.mp3"}] * 1_000}).encode()
    provider = Provider(*[Response(b"ID3", media_type="audio/mpeg")] * 1_000)
    async with Transport(app=provider.app) as transport:
        client = Client(target.contract, transport, base_urls={"": URL}, clock=VirtualClock())
        answered = Exchange(
            provider="ttsai",
            operation=target.operation.id,
            request=Asked(method="POST", url=f"{URL}/v1/stems/"),
            response=Answered(status=200, headers=(("Content-Type", "application/json"),), body=body),
        )
        fetched = await fetch_response_audio(client, target, answered)
    assert fetched.failure is None
    assert len(fetched.audio_files) == len(provider.requests) == MAX_DOWNLOADED_STEMS


@pytest.mark.parametrize("body", [b"{}", b'{"text": 7}', b"no json", b"[]", b'{"text": null}'])
async def test_a_response_without_a_transcript_is_a_failure(send, body) -> None:
    delivery = await send(Provider(Response(body, media_type="application/json")), "stt-whisper")
    assert delivery.failure.kind == "protocol"
    assert delivery.failure.message == f"the response has no text at body#/text: HTTP 200: {body.decode()}"


async def test_a_rejected_upload_is_sent_again_only_if_it_is_temporary(send) -> None:
    provider = Provider(Response(status_code=429), JSONResponse({"text": "hello"}))
    assert (await send(provider, "stt-whisper")).submit_count == 2
    provider = Provider(Response(status_code=413))
    delivery = await send(provider, "stt-whisper")
    assert (delivery.submit_count, delivery.failure.http_status) == (1, 413)


async def test_money_is_reserved_before_audio_is_sent(send) -> None:
    with pytest.raises(UsageError, match="no document states the price of ttsai/stt-whisper"):
        await send(Provider(), "stt-whisper", Ledger(1.0))
    with pytest.raises(BudgetError):
        await send(Provider(), "stt-whisper", Ledger(1.0), 2.0)
    ledger = Ledger(1.0)
    await send(Provider(JSONResponse({"text": "hello"})), "stt-whisper", ledger, 0.25)
    assert ledger.spent_usd == 0.25
    await send(Provider(Response(status_code=400)), "stt-whisper", ledger, 0.25)
    assert ledger.spent_usd == 0.25
