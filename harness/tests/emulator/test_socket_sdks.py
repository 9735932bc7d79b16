"""Official Python clients, unmodified, over the emulator's WebSockets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

import voicegauge
from voicegauge.emulator.process import RunningEmulator
from voicegauge.hosts import to_socket_url

PIECES = ("Hello there. ", "How are ", "you?")
KATIE = {"mode": "id", "id": "f786b574-daa5-4673-aa0c-cbe3e8534c02"}
PCM = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}


@pytest.fixture(autouse=True)
def _accuse_no_client(emulator: RunningEmulator) -> Iterator[None]:
    """Fail if the emulator finds a mistake of an official library: the mistake would be the emulator's."""
    known = len(emulator.list_client_findings())
    yield
    assert [one.describe() for one in emulator.list_client_findings()[known:]] == []


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    with voicegauge.emulate(["cartesia", "deepgram", "lmnt", "openai"], time_scale=0.02) as running:
        yield running


def test_cartesia_speaks_pieces_of_a_text_in_two_contexts(emulator: RunningEmulator) -> None:
    from cartesia import Cartesia

    url = emulator.base_url("cartesia")
    with (
        Cartesia(api_key="k", base_url=url, websocket_base_url=to_socket_url(url)) as client,
        client.tts.websocket_connect() as connection,
    ):
        sizes = []
        for _ in range(2):
            context = connection.context(model_id="sonic-3.5", voice=KATIE, output_format=PCM)
            for piece in PIECES:
                context.push(piece)
            context.no_more_inputs()
            answers = list(context.receive())
            assert {answer.type for answer in answers} == {"chunk", "timestamps", "done"}
            assert answers[-1].type == "done"
            sizes.append(sum(len(answer.audio or b"") for answer in answers if answer.type == "chunk"))
    assert sizes[0] == sizes[1] > 24_000


def test_deepgram_speaks_and_clears(emulator: RunningEmulator) -> None:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.speak.v1.types import SpeakV1Text

    url = emulator.base_url("deepgram")
    socket_url = to_socket_url(url)
    environment = DeepgramClientEnvironment(base=url, production=socket_url, agent=socket_url, agent_rest=url)
    client = DeepgramClient(api_key="k", environment=environment)
    with client.speak.v1.connect(model="aura-2-thalia-en", encoding="linear16", sample_rate=24000) as socket:
        for piece in PIECES:
            socket.send_text(SpeakV1Text(text=piece))
        socket.send_flush()
        size, kinds = 0, []
        for message in socket:
            size += len(message) if isinstance(message, bytes) else 0
            kinds += [] if isinstance(message, bytes) else [message.type]
            if kinds[-1:] == ["Flushed"]:
                break
        assert kinds == ["Metadata", "Flushed"]
        assert size > 24_000
        socket.send_text(SpeakV1Text(text=f"{' '.join(PIECES)} And a much longer second sentence."))
        socket.send_clear()
        assert next(message.type for message in socket if not isinstance(message, bytes)) == "Cleared"
        socket.send_close()


def test_deepgram_bounds_the_audio_of_each_turn_of_flux(emulator: RunningEmulator) -> None:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.speak.v2.types import SpeakV2Speak

    url = emulator.base_url("deepgram")
    socket_url = to_socket_url(url)
    environment = DeepgramClientEnvironment(base=url, production=socket_url, agent=socket_url, agent_rest=url)
    client = DeepgramClient(api_key="k", environment=environment)
    with client.speak.v2.connect(model="flux-haley-en", encoding="linear16", sample_rate="24000") as socket:
        ids = []
        for _ in range(2):
            socket.send_speak(SpeakV2Speak(type="Speak", text="".join(PIECES)))
            socket.send_flush()
            kinds = []
            for message in socket:
                kinds.append("audio" if isinstance(message, bytes) else message.type)
                if kinds[-1] == "SpeechMetadata":
                    assert message.input_character_count == len("".join(PIECES))
                    ids.append(message.speech_id)
                    break
            kinds = [kind for kind in kinds if kind != "Connected"]
            assert (kinds[0], set(kinds[1:-1]), kinds[-1]) == ("SpeechStarted", {"audio"}, "SpeechMetadata")
        assert len(set(ids)) == 2
        socket.send_close()


async def test_messages_of_murf_are_those_of_its_library() -> None:
    """The library has no connection, but a class for each message."""
    from murf.types import AudioOutput, ClearContext, FinalOutput, SendText, SetVoiceConfigurationOrInitializeContext
    from murf.types import SetVoiceConfigurationOrInitializeContextVoiceConfig as VoiceConfig
    from websockets.asyncio.client import connect

    with voicegauge.emulate("murf", time_scale=0.02) as emulator:
        path = "/v1/speech/stream-input?model=FALCON&format=PCM&sample_rate=24000"
        url = to_socket_url(emulator.base_url("murf")) + path
        async with connect(url, additional_headers={"api_key": "k"}) as socket:
            voice = VoiceConfig(voice_id="en-US-natalie")
            sent = [
                SetVoiceConfigurationOrInitializeContext(voice_config=voice, context_id="cancelled"),
                SendText(text="Nobody hears this", context_id="cancelled"),
                ClearContext(clear=True, context_id="cancelled"),
                SetVoiceConfigurationOrInitializeContext(voice_config=voice, context_id="turn"),
                *(SendText(text=piece, context_id="turn", end=piece == PIECES[-1]) for piece in PIECES),
            ]
            for message in sent:
                await socket.send(message.json(exclude_none=True))
            size = 0
            async for data in socket:
                received = json.loads(data)
                if "final" in received:
                    if FinalOutput(**received).context_id == "turn":
                        break
                else:
                    output = AudioOutput(**received)
                    assert output.context_id == "turn"
                    size += len(base64.b64decode(output.audio))
        assert size > 24_000
        assert emulator.list_client_findings() == ()


async def test_lmnt_speaks_in_a_session(emulator: RunningEmulator) -> None:
    from lmnt import AsyncLmnt

    async with AsyncLmnt(api_key="k", base_url=emulator.base_url("lmnt")) as client:
        session = await client.speech.sessions.create(voice="leah", format="pcm_s16le", sample_rate=24000)
        for piece in PIECES:
            await session.send_text(piece)
        nonce = await session.send_flush()
        size = 0
        async for message in session:
            size += len(message.audio) if message.type == "audio" else 0
            if message.type == "flush_complete":
                assert message.nonce == nonce
                break
        assert size > 24_000
        nonce = await session.send_reset()
        async for message in session:
            if message.type == "reset_complete":
                assert message.nonce == nonce
                break
        await session.send_finish()
        assert [message.type async for message in session] == []


async def test_openai_speaks_and_is_cancelled(emulator: RunningEmulator) -> None:
    from openai import AsyncOpenAI

    url = emulator.base_url("openai")
    voice = {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"}

    def say(text: str) -> dict[str, object]:
        return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}

    async with (
        AsyncOpenAI(api_key="k", base_url=url, websocket_base_url=to_socket_url(url)) as client,
        client.realtime.connect(model="gpt-realtime-1.5") as connection,
    ):
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(
            session={"type": "realtime", "instructions": "Repeat the text.", "audio": {"output": voice}}
        )
        assert (await connection.recv()).type == "session.updated"
        sizes, statuses = [], []
        for text, cancels in (("".join(PIECES), False), (" ".join(PIECES * 10), True), ("".join(PIECES), False)):
            await connection.conversation.item.create(item=say(text))
            await connection.response.create()
            ids, size = set(), 0
            async for event in connection:
                if event.type == "response.created":
                    ids.add(event.response.id)
                elif event.type == "response.output_audio.delta":
                    ids.add(event.response_id)
                    if cancels and not size:
                        await connection.response.cancel()
                    size += len(base64.b64decode(event.delta))
                else:
                    assert event.type == "response.done"
                    ids.add(event.response.id)
                    break
            statuses.append(event.response.status)
            sizes.append(size)
            assert len(ids) == 1
        assert statuses == ["completed", "cancelled", "completed"]
        assert sizes[0] == sizes[2] > 24_000
        await connection.response.cancel()
        assert (await connection.recv()).type == "error"


@pytest.mark.filterwarnings("ignore:ConnectionClosed.code:DeprecationWarning")  # the library reads it
def test_elevenlabs_speaks_over_wss(monkeypatch: pytest.MonkeyPatch) -> None:
    from elevenlabs.client import ElevenLabs

    with voicegauge.emulate("elevenlabs", time_scale=0.02, tls=True) as emulator:
        monkeypatch.setenv("SSL_CERT_FILE", str(emulator.authority_file))
        client = ElevenLabs(api_key="k", base_url=emulator.url)
        audio = client.text_to_speech.convert_realtime(
            voice_id="21m00Tcm4TlvDq8ikWAM",
            text=iter(PIECES),
            model_id="eleven_flash_v2_5",
            output_format="pcm_24000",
        )
        assert sum(map(len, audio)) > 24_000
        assert emulator.list_client_findings() == ()


def test_a_wrong_key_is_rejected_and_reported() -> None:
    """The emulator of this test is its own, because the client makes a mistake on purpose."""
    from cartesia import Cartesia
    from websockets.exceptions import InvalidStatus

    with voicegauge.emulate("cartesia") as running:
        url = running.base_url("cartesia")
        with (
            Cartesia(api_key="invalid", base_url=url, websocket_base_url=to_socket_url(url)) as client,
            pytest.raises(InvalidStatus, match="401"),
            client.tts.websocket_connect(),
        ):
            pass
        (found,) = running.list_client_findings()
        assert (found.rule, found.message) == ("client-handshake-invalid", "the API key is not valid")
