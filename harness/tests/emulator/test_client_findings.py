"""What clients of emulated WebSockets do wrong: each mistake is found, and correct clients are not accused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import voicegauge
from voicegauge.client.client import Client
from voicegauge.client.socket_session import SocketSession, open_session
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.client_findings import CLIENT_RULES, ClientRuleId
from voicegauge.emulator.process import RunningEmulator
from voicegauge.hosts import to_socket_url
from voicegauge.model.base import TextPacing
from voicegauge.recording.masking import INVALID_API_KEY
from voicegauge.transport.http import Transport

CATALOGUE = load_catalogue()
CARTESIA = "/tts/websocket?api_key=k&cartesia_version=2026-03-01"
DEEPGRAM = "/v1/speak?model=aura-2-thalia-en&encoding=linear16&sample_rate=24000"
ELEVENLABS = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream-input?model_id=eleven_flash_v2_5&output_format=pcm_24000"
LMNT = "/v1/ai/speech/stream"
LMNT_SESSION = {"X-API-Key": "k", "type": "init", "voice": "leah"}
MULTI = ELEVENLABS.replace("stream-input", "multi-stream-input")
KEYS = {"Authorization": "Token k", "xi-api-key": "k", "X-API-Key": "k"}
GENERATION = {
    "model_id": "sonic-3.5",
    "voice": {"mode": "id", "id": "f786b574-daa5-4673-aa0c-cbe3e8534c02"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
}


def say(context: str, text: str, *, goes_on: bool, **members: Any) -> dict[str, Any]:
    return {**GENERATION, "context_id": context, "transcript": text, "continue": goes_on, **members}


def send(
    emulator: RunningEmulator, provider: str, path: str, messages: Sequence[dict[str, Any]], *, waits: bool = False
) -> list[str]:
    """Send messages on one connection, end it after a moment, and return the rules that were broken.

    If the client `waits`, it ends the connection only after a rule was broken.
    """

    async def run() -> None:
        url = to_socket_url(emulator.base_url(provider)) + path
        async with connect(url, additional_headers=KEYS, max_queue=None) as socket:
            try:
                for message in messages:
                    await socket.send(json.dumps(message))
                while waits and len(emulator.list_client_findings(timeout_s=0)) == known:  # noqa: ASYNC110 - in a thread
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.2)
            except ConnectionClosed:
                pass

    known = len(emulator.list_client_findings())
    asyncio.run(run())
    return [one.rule for one in emulator.list_client_findings()[known:]]


MISTAKES: list[tuple[str, str, str, list[dict[str, Any]]]] = [
    ("client-message-invalid", "cartesia", CARTESIA, [{"context_id": 7, "transcript": []}]),
    ("client-message-invalid", "lmnt", LMNT, [{"type": "finish"}]),
    ("client-message-invalid", "lmnt", LMNT, [LMNT_SESSION, LMNT_SESSION]),
    ("client-context-unknown", "cartesia", CARTESIA, [{"context_id": "never", "cancel": True}]),
    (
        "client-context-reused",
        "cartesia",
        CARTESIA,
        [say("a", "Hello there. ", goes_on=False), say("a", "More.", goes_on=False)],
    ),
    (
        "client-context-reused",
        "cartesia",
        CARTESIA,
        [say("a", "Hello. ", goes_on=True), {"context_id": "a", "cancel": True}, say("a", "More.", goes_on=False)],
    ),
    ("client-context-open", "cartesia", CARTESIA, [say("a", "Hello there", goes_on=True)]),
    ("client-text-lost", "deepgram", DEEPGRAM, [{"type": "Speak", "text": "Hello there."}]),
    ("client-message-after-close", "deepgram", DEEPGRAM, [{"type": "Close"}, {"type": "Flush"}]),
    (
        "client-too-many-flushes",
        "deepgram",
        DEEPGRAM,
        [message for _ in range(21) for message in ({"type": "Speak", "text": "Yes."}, {"type": "Flush"})],
    ),
    (
        "client-too-many-contexts",
        "elevenlabs",
        MULTI,
        [{"text": "Hello ", "context_id": f"c{number}"} for number in range(6)],
    ),
    (
        "client-context-reused",
        "elevenlabs",
        ELEVENLABS,
        [{"text": " "}, {"text": "Hello there. "}, {"text": ""}, {"text": "More. "}],
    ),
]


@pytest.fixture(scope="module")
def emulator():
    providers = sorted({target.contract.id for target in CATALOGUE.socket_targets.values()})
    with voicegauge.emulate(providers, time_scale=0.02) as running:
        yield running


@pytest.mark.parametrize(("rule", "provider", "path", "messages"), MISTAKES)
def test_a_mistake_is_found(
    emulator: RunningEmulator, rule: str, provider: str, path: str, messages: list[dict[str, Any]]
) -> None:
    assert send(emulator, provider, path, messages) == [rule]


def test_many_open_contexts_are_reported_in_few_findings(emulator: RunningEmulator) -> None:
    known = len(emulator.list_client_findings())
    messages = [say(f"c{number}", "Hello there", goes_on=True) for number in range(60)]
    assert set(send(emulator, "cartesia", CARTESIA, messages)) == {"client-context-open"}
    found = emulator.list_client_findings()[known:]
    assert [one.context for one in found] == ["c0", "c1", "c2", None]
    assert found[-1].message == "the same in 57 more contexts"


def test_each_mistake_in_messages_of_a_connection_is_reported_once(emulator: RunningEmulator) -> None:
    whole = say("a", "Hello.", goes_on=False)
    messages = ['{"a":1}', "[]", b"\0", "hello", "[]"]
    messages += [json.dumps({**whole, name: 7}) for name in ("transcript", "voice", "output_format", "model_id")]

    async def run() -> None:
        url = to_socket_url(emulator.base_url("cartesia")) + CARTESIA
        async with connect(url, additional_headers=KEYS) as socket:
            for message in messages:
                await socket.send(message)
                await socket.recv()

    known = len(emulator.list_client_findings())
    asyncio.run(run())
    found = emulator.list_client_findings()[known:]
    assert {one.rule for one in found} == {"client-message-invalid"}
    lines = [one.message for one in found]
    assert len(lines) == len(set(lines)) == 6
    assert lines[2:4] == ["a binary message", "is not JSON"]
    assert lines[-1].endswith("mistakes in messages")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("Hello there. ", "How are you?"), [("client-text-lost", "a")]),
        (("Hello there. ", "How are you? "), []),
    ],
    ids=["waiting-text", "spoken-text"],
)
def test_text_that_waits_when_its_context_expires_is_found(
    texts: Sequence[str], expected: list[tuple[str, str]], emulator: RunningEmulator
) -> None:
    """The service ends the context itself, so that the client sees a turn that is complete."""

    async def run() -> None:
        url = to_socket_url(emulator.base_url("cartesia")) + CARTESIA
        async with connect(url, additional_headers=KEYS) as socket:
            for text in texts:
                await socket.send(json.dumps(say("a", text, goes_on=True)))
            while json.loads(await socket.recv())["type"] != "done":
                pass

    known = len(emulator.list_client_findings())
    asyncio.run(run())
    assert [(one.rule, one.context) for one in emulator.list_client_findings()[known:]] == expected


def test_a_context_does_not_expire_while_it_speaks() -> None:
    """A context expires 0.3 s after its last audio here. The long sentence needs about 1.5 s."""
    long_sentence = (
        "The old lighthouse keeper counted every ship that passed the rocky coast, " * 5 + "and wrote it down. "
    )

    async def run(url: str) -> int:
        async with connect(url, additional_headers=KEYS) as socket:
            for text in ("Hello there. ", long_sentence):
                await socket.send(json.dumps(say("a", text, goes_on=True)))
            times_count, is_ended = 0, False
            while (message := json.loads(await socket.recv()))["type"] != "done":
                times_count += message["type"] == "timestamps"
                if times_count == 2 and not is_ended:
                    await asyncio.sleep(0.6)
                    is_ended = True
                    await socket.send(json.dumps(say("a", "How are you?", goes_on=False)))
            return times_count

    with voicegauge.emulate("cartesia", time_scale=0.3) as emulator:
        assert asyncio.run(run(to_socket_url(emulator.base_url("cartesia")) + CARTESIA)) == 3
        assert emulator.list_client_findings() == ()


def test_a_client_that_sends_nothing_is_found_idle() -> None:
    with voicegauge.emulate("elevenlabs", time_scale=0.005) as emulator:  # 20 s take 0.1 s
        assert send(emulator, "elevenlabs", MULTI, [{"text": " ", "context_id": "a"}], waits=True) == ["client-idle"]


def test_without_waiting_times_no_client_is_idle() -> None:
    with voicegauge.emulate("elevenlabs", time_scale=0) as emulator:
        messages = [{"text": " "}, {"text": "Hello there. "}, {"text": ""}]
        assert send(emulator, "elevenlabs", ELEVENLABS, messages) == []


def test_every_rule_is_tried() -> None:
    tried = {rule for rule, *_ in MISTAKES} | {"client-idle", "client-handshake-invalid"}
    assert tried == set(CLIENT_RULES) == set(get_args(ClientRuleId))


@pytest.mark.parametrize("target_id", list(CATALOGUE.socket_targets))
def test_a_correct_client_is_not_accused(emulator: RunningEmulator, target_id: str) -> None:
    """Turns whole and in pieces, two at once, and an interruption, as this project's own client has them."""
    target = CATALOGUE.socket_targets[target_id]

    async def run() -> None:
        async with Transport() as transport:
            base_urls = {"": emulator.base_url(target.contract.id)}
            client = Client(target.contract, transport, base_urls=base_urls, key="k")
            for pacing in (None, TextPacing(seed=3)):
                async with open_session(SocketSession(client, target, timeout_s=5.0)) as session:
                    await session.speak("Hello there. How are you?", pacing)
                    if target.spec.turn.is_only_one:
                        continue
                    await session.speak("I am well.", pacing)
                    if target.spec.cancel_effect is not None:
                        context = session.begin_turn()
                        await session.send_text(context, "A long text follows here. It is cut off. Nobody hears it.")
                        session.cancel(context)
                        answer = await session.speak("Of course.")
                        assert answer.finished_ms is not None
                        # The cancelled text would take seven seconds.
                        assert len(answer.audio_bytes) < 3 * (target.default_format.bytes_per_second or 16_000)

    known = len(emulator.list_client_findings())
    asyncio.run(run())
    assert emulator.list_client_findings()[known:] == ()


@pytest.mark.parametrize(
    ("provider", "path", "reason"),
    [
        ("deepgram", "/v1/speak?encoding=wav", "encoding: "),
        ("deepgram", "/v2/listen?encoding=linear16&sample_rate=16000", "the query parameter model is missing"),
        (
            "cartesia",
            "/tts/websocket",
            "neither the query parameter cartesia_version nor the header parameter Cartesia-Version is sent",
        ),
        ("cartesia", "/tts/websocket?cartesia_version=latest", "cartesia_version: "),
    ],
)
def test_a_handshake_that_is_not_as_documented_is_rejected(
    provider: str, path: str, reason: str, emulator: RunningEmulator
) -> None:
    known = len(emulator.list_client_findings())
    with pytest.raises(InvalidStatus, match="400"):
        send(emulator, provider, path, [])
    (found,) = emulator.list_client_findings()[known:]
    assert found.rule == "client-handshake-invalid"
    assert reason in found.message


@pytest.mark.parametrize(
    ("query", "status"),
    [("access_token=t", None), ("api_key=k", None), ("access_token=invalid-voicegauge-key", 401), ("token=t", 401)],
)
def test_a_browser_sends_its_key_and_the_version_in_the_address(
    query: str, status: int | None, emulator: RunningEmulator
) -> None:
    """A browser cannot set headers of a handshake."""

    async def open_socket() -> None:
        url = to_socket_url(emulator.base_url("cartesia"))
        async with connect(f"{url}/tts/websocket?cartesia_version=2026-03-01&{query}"):
            pass

    known = len(emulator.list_client_findings())
    with contextlib.nullcontext() if status is None else pytest.raises(InvalidStatus, match=str(status)):
        asyncio.run(open_socket())
    found = [(one.rule, one.operation) for one in emulator.list_client_findings()[known:]]
    assert found == ([] if status is None else [("client-handshake-invalid", "speakOverWebSocket")])


@pytest.mark.parametrize(
    ("provider", "path", "reason"),
    [
        ("cartesia", "/tts/websocket?cartesia_version=2026-03-01", "no API key was sent"),
        ("cartesia", f"/tts/websocket?api_key={INVALID_API_KEY}", "the API key is not valid"),
        ("cartesia", "/tts/sockets?api_key=k", "no such path; paths of WebSockets: /tts/websocket"),
        ("../cartesian", "/tts/websocket?api_key=k", "no such provider; here are: /cartesia, /deepgram"),
    ],
)
def test_a_rejected_handshake_says_why_without_the_key(
    provider: str, path: str, reason: str, emulator: RunningEmulator
) -> None:
    async def open_socket() -> None:
        url = to_socket_url(emulator.base_url("cartesia")).replace("/cartesia", f"/{provider}")
        async with connect(f"{url}{path}"):
            pass

    known = len(emulator.list_client_findings())
    with pytest.raises(InvalidStatus):
        asyncio.run(open_socket())
    (found,) = emulator.list_client_findings()[known:]
    assert found.rule == "client-handshake-invalid"
    assert found.message.startswith(reason)
    assert "api_key=" not in found.describe()


def test_a_wrong_key_in_a_message_is_reported(emulator: RunningEmulator) -> None:
    session = {**LMNT_SESSION, "X-API-Key": INVALID_API_KEY}
    assert send(emulator, "lmnt", LMNT, [session]) == ["client-message-invalid"]


def test_a_close_frame_quotes_no_more_than_it_can_have(emulator: RunningEmulator) -> None:
    """A hundred Japanese characters are three hundred bytes; a close frame has 123 for its reason."""

    async def send_wrong_text() -> tuple[int | None, str | None]:
        url = to_socket_url(emulator.base_url("deepgram")) + DEEPGRAM
        async with connect(url, additional_headers=KEYS) as socket:
            await socket.send(json.dumps({"type": "Speak", "text": ["語" * 200]}, ensure_ascii=False))
            await socket.wait_closed()
        return socket.close_code, socket.close_reason

    code, reason = asyncio.run(send_wrong_text())
    assert code == 1008, "without a close frame, it would be 1006"
    assert reason is not None
    assert reason.endswith("語語")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_that_is_stopped_keeps_its_findings(stop: signal.Signals) -> None:
    """A supervisor stops a server with SIGTERM, and must see what the client did wrong."""
    command = [sys.executable, "-u", "-m", "voicegauge", "serve", "cartesia", "--port", "0"]

    async def leave_a_context_open(url: str) -> None:
        async with connect(f"{to_socket_url(url)}/cartesia{CARTESIA}", additional_headers=KEYS) as socket:
            await socket.send(json.dumps(say("a", "Hello there", goes_on=True)))

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
            asyncio.run(leave_a_context_open(url))
            found = process.stderr.readline()
            process.send_signal(stop)
            process.wait(timeout=60)
            rest = process.stderr.read()
        finally:
            process.kill()
    assert (process.returncode, rest) == (1, "")
    assert found.startswith("client-context-open: cartesia")
