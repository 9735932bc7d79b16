"""Unmodified third-party clients against the emulator over a real socket.

What a client cannot do because it contradicts the provider's document is asserted as
such, and stands as disputed in the contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import tts_ai

import voicegauge
from voicegauge.contract.loading import load_catalogue
from voicegauge.speech.decoding import decode

if TYPE_CHECKING:
    import openai  # takes 1 s to import: imported by the tests that use it

TEXT = "Good morning. This is a short test."


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with voicegauge.emulate("ttsai", time_scale=0.05) as emulator:
        yield emulator.base_url("ttsai")


@pytest.fixture(scope="module")
def client(base_url) -> Iterator[tts_ai.TTSClient]:
    """Client whose two base URLs, of the web host and the GPU host, both point to one emulator."""
    with tts_ai.TTSClient(api_key="sk-tts-test", base_url=base_url, gpu_url=base_url, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def openai_client(base_url) -> Iterator[openai.OpenAI]:
    import openai

    with openai.OpenAI(api_key="sk-tts-test", base_url=f"{base_url}/v1", max_retries=0) as made:
        yield made


def disputes(operation: str) -> str:
    contract = load_catalogue().find_provider("ttsai")
    pointer = contract.find_operation(operation).pointer
    return " ".join(dispute.claim for dispute, _ in contract.iterate_disputes(f"{pointer}/responses/200"))


@pytest.mark.parametrize(("name", "container"), [("wav", "wav"), ("mp3", "mp3"), ("flac", "flac")])
def test_ttsai_generates_synchronously(client, name, container) -> None:
    audio = decode(client.generate(TEXT, model="kokoro", voice="af_bella", output_format=name))
    assert audio.container == container
    assert audio.duration_s > 1


def test_ttsai_generates_as_a_job_and_polls_for_it(client) -> None:
    job = client.generate_async(TEXT, model="piper", voice="en_US-lessac-medium", language="en")
    assert (len(job.uuid), job.status) == (32, "queued")
    assert decode(client.poll_result(job.uuid, timeout=30, interval=0.05)).duration_s > 1


def test_ttsai_lists_voices_and_models(client) -> None:
    voices = client.list_voices(model="kokoro", language="en")
    assert {voice.name for voice in voices} == {"Bella", "Adam"}
    assert {model.name for model in client.list_models()} >= {"Kokoro", "Chatterbox"}


def test_ttsai_transcribes(client) -> None:
    transcript = client.transcribe(client.generate(TEXT, output_format="wav"), language="en")
    assert transcript.language == "en"
    assert transcript.text
    assert " ".join(segment["text"] for segment in transcript.segments).split() == transcript.text.split()


def test_ttsai_generates_a_batch(client) -> None:
    items = [{"text": f"{TEXT} Number {n}.", "model": "kokoro", "voice": "af_bella"} for n in range(3)]
    batch = client.batch_generate(items)
    assert (batch.total, batch.status) == (3, "processing")
    assert client.batch_result(batch.batch_id).batch_id == batch.batch_id
    done = client.batch_generate_and_wait(items, timeout=30, interval=0.1)
    assert (done.status, done.completed, [item.index for item in done.items]) == ("completed", 3, [0, 1, 2])
    assert done.credits_charged == sum(item.credits for item in done.items) > 0
    assert all(decode(client._session.get(item.url, timeout=30).content).duration_s > 1 for item in done.items)


def test_ttsai_raises_errors_by_status(client, base_url) -> None:
    with pytest.raises(tts_ai.TTSError, match="Model or voice not found") as unknown:
        client.generate(TEXT, model="no-such-model")
    assert unknown.value.status_code == 404
    with (
        tts_ai.TTSClient(api_key="invalid-key", base_url=base_url, max_retries=0) as stranger,
        pytest.raises(tts_ai.AuthenticationError, match="Missing or invalid API key"),
    ):
        stranger.generate(TEXT)


def test_undocumented_requests_of_ttsai_are_disputed(client) -> None:
    with pytest.raises(tts_ai.TTSError) as clone:
        client.clone_voice("Narrator", client.generate(TEXT), text=TEXT)
    assert clone.value.status_code == 404
    assert "/api/v1/voice-clone/" in disputes("cloneVoice")
    voices = client.list_voices()
    assert {(voice.voice_id, voice.model_name) for voice in voices} == {("", "")}
    assert "voice_id, model_name" in disputes("listVoices")
    assert {model.credits_per_1k for model in client.list_models()} == {0}
    assert "credits_per_1k" in disputes("listModels")
    job = client.generate_async(TEXT)
    client.poll_result(job.uuid, timeout=30, interval=0.05)  # it looks for cdn_url and url, and falls back on a path
    assert "cdn_url or url" in disputes("getSpeechResult")


@pytest.mark.parametrize("name", ["opus", "aac"])
def test_undocumented_formats_of_ttsai_are_disputed(client, name) -> None:
    with pytest.raises(tts_ai.TTSError) as rejected:
        client.generate(TEXT, output_format=name)
    assert rejected.value.status_code == 400
    contract = load_catalogue().find_provider("ttsai")
    location = "/components/schemas/OpenAiSpeechRequest/properties/response_format"
    assert any("opus" in dispute.claim and "aac" in dispute.claim for dispute, _ in contract.iterate_disputes(location))


@pytest.mark.parametrize("name", ["wav", "mp3", "flac"])
def test_openai_generates_speech(openai_client, name) -> None:
    response = openai_client.audio.speech.create(model="kokoro", voice="am_adam", input=TEXT, response_format=name)
    audio = decode(response.content)
    assert (audio.container, audio.duration_s > 1) == (name, True)


def test_openai_applies_the_speed_and_raises_errors(openai_client) -> None:
    import openai

    def length(speed: float) -> float:
        spoken = openai_client.audio.speech.create(model="kokoro", voice="af_bella", input=TEXT, speed=speed)
        return decode(spoken.content).duration_s

    assert length(2.0) < 0.7 * length(1.0)
    with pytest.raises(openai.NotFoundError):
        openai_client.audio.speech.create(model="tts-9", voice="af_bella", input=TEXT)
    with pytest.raises(openai.BadRequestError):
        openai_client.audio.speech.create(model="kokoro", voice="af_bella", input="")


def test_openai_writes_a_file(openai_client, tmp_path) -> None:
    arguments = {"model": "kokoro", "voice": "af_bella", "input": TEXT, "response_format": "mp3"}
    with openai_client.audio.speech.with_streaming_response.create(**arguments) as response:
        response.stream_to_file(tmp_path / "speech.mp3")
    assert decode((tmp_path / "speech.mp3").read_bytes()).container == "mp3"
