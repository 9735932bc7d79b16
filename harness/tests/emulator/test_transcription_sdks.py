"""Official Python clients, unmodified, that stream speech to the emulator's WebSockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import pytest

import voicegauge
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.client.socket_delivery import prepare_recording
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.emulator.process import RunningEmulator
from voicegauge.hosts import to_socket_url

from ..builders.scripted_asr import use_scripted_asr

FRAME_BYTES = 640


@pytest.fixture(scope="module", autouse=True)
def _hear_the_recording() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        use_scripted_asr(patch)
        yield


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    with voicegauge.emulate(["deepgram", "elevenlabs"]) as running:
        yield running
        assert [one.describe() for one in running.list_client_findings()] == []


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """The bundled sentence as samples with 16 kHz, and a second of silence, in frames of 20 ms."""
    audio_format = SocketFormat(codec="pcm_s16le", sample_rate_hz=16_000)
    data = prepare_recording(load_spoken_sentence().file, audio_format, trailing_silence_s=1.0).audio.data
    return [data[start : start + FRAME_BYTES] for start in range(0, len(data), FRAME_BYTES)]


def _create_deepgram(emulator: RunningEmulator):
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    url = emulator.base_url("deepgram")
    socket_url = to_socket_url(url)
    environment = DeepgramClientEnvironment(base=url, production=socket_url, agent=socket_url, agent_rest=url)
    return DeepgramClient(api_key="k", environment=environment)


def test_deepgram_listens_with_nova(emulator: RunningEmulator, frames: list[bytes]) -> None:
    client = _create_deepgram(emulator)
    options = {"model": "nova-3", "encoding": "linear16", "sample_rate": "16000", "interim_results": "true"}
    with client.listen.v1.connect(**options) as socket:
        for frame in frames:
            socket.send_media(frame)
        results = []
        for message in socket:
            if message.type == "Results":
                results.append(message)
                if message.speech_final:
                    break
        socket.send_keep_alive()
        socket.send_finalize()
        socket.send_close_stream()
        kinds = [message.type for message in socket]
    assert kinds == ["Metadata"]
    assert [one.is_final for one in results] == [False] * (len(results) - 1) + [True]
    alternative = results[-1].channel.alternatives[0]
    assert alternative.transcript == load_spoken_sentence().text
    assert " ".join(word.word for word in alternative.words) == alternative.transcript
    assert all(word.start < word.end for word in alternative.words)


def test_deepgram_listens_with_flux(emulator: RunningEmulator, frames: list[bytes]) -> None:
    client = _create_deepgram(emulator)
    options = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": "16000", "eager_eot_threshold": "0.5"}
    with client.listen.v2.connect(**options) as socket:
        for frame in frames:
            socket.send_media(frame)
        messages = []
        for message in socket:
            messages.append(message)
            if getattr(message, "event", "") == "EndOfTurn":
                break
        socket.send_close_stream()
        assert list(socket) == []
    assert [one.sequence_id for one in messages] == list(range(len(messages)))
    events = [one.event for one in messages[1:]]
    assert messages[0].type == "Connected"
    assert (events[0], events[-2:]) == ("StartOfTurn", ["EagerEndOfTurn", "EndOfTurn"])
    assert set(events[1:-2]) == {"Update"}
    assert messages[-1].transcript == messages[-2].transcript == load_spoken_sentence().text


def test_elevenlabs_transcribes_in_real_time(emulator: RunningEmulator, frames: list[bytes]) -> None:
    from elevenlabs.realtime import AudioFormat, CommitStrategy, RealtimeEvents, ScribeRealtime

    scribe = ScribeRealtime(api_key="k", base_url=to_socket_url(emulator.base_url("elevenlabs")))

    async def transcribe(strategy: CommitStrategy, sent: list[bytes]) -> list[tuple[str, str]]:
        options = {
            "model_id": "scribe_v2_realtime",
            "audio_format": AudioFormat.PCM_16000,
            "sample_rate": 16000,
            "commit_strategy": strategy,
        }
        connection = await scribe.connect(options)
        transcribed: list[tuple[str, str]] = []
        has_ended = asyncio.Event()

        def take(data: dict[str, str]) -> None:
            transcribed.append((data["message_type"], data["text"]))
            if data["message_type"] == "committed_transcript":
                has_ended.set()

        for event in (RealtimeEvents.PARTIAL_TRANSCRIPT, RealtimeEvents.COMMITTED_TRANSCRIPT):
            connection.on(event, take)
        for frame in sent:
            await connection.send({"audio_base_64": base64.b64encode(frame).decode()})
        if strategy is CommitStrategy.MANUAL:
            await connection.commit()
        async with asyncio.timeout(30):
            await has_ended.wait()
        await connection.close()
        return transcribed

    by_silence = asyncio.run(transcribe(CommitStrategy.VAD, frames))
    assert by_silence[0][0] == "partial_transcript"
    assert by_silence[-1] == ("committed_transcript", load_spoken_sentence().text)
    committed = asyncio.run(transcribe(CommitStrategy.MANUAL, frames[: len(frames) // 2]))
    assert committed[-1][0] == "committed_transcript"
    assert load_spoken_sentence().text.startswith(committed[-1][1])
