"""WebSockets in recordings: saved without secrets, judged, imported from browsers, and replayed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

import voicegauge
from voicegauge.cli import cli
from voicegauge.client.client import Client
from voicegauge.client.socket_session import SocketSession, open_session
from voicegauge.conformance.offline_subjects import read_recorded_socket
from voicegauge.contract.contract import SocketTarget
from voicegauge.contract.loading import Catalogue
from voicegauge.emulator.process import RunningEmulator
from voicegauge.errors import DataError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import (
    Exchange,
    SocketClose,
    SocketMessage,
    SocketTraffic,
    build_socket_exchange,
    build_socket_traffic,
)
from voicegauge.recording.foreign_recordings import import_recording
from voicegauge.recording.har_files import load_har, save_har
from voicegauge.recording.recorded_exchanges import UrlCanonicalizer
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.http import Transport

TARGETS = (
    "cartesia/sonic-3.5-socket",
    "deepgram/aura-2-socket",
    "deepgram/flux-tts-socket",
    "elevenlabs/flash-multi-context",
    "lmnt/blizzard-session",
    "murf/falcon-socket",
    "openai/gpt-realtime-1.5",
)
FEW_TARGETS = ("cartesia/sonic-3.5-socket", "deepgram/aura-2-socket", "openai/gpt-realtime-1.5")
"""Contexts, a connection without them, and a conversation."""
SOME_TARGETS = [name if name in FEW_TARGETS else pytest.param(name, marks=pytest.mark.slow) for name in TARGETS]
TEXTS = ("Good morning.", "Nobody saw where the old piano went.")
KEY = "sk_2f9Qx7LmPz81RbTyUw44KdNc"


async def speak(target: SocketTarget, base_url: str, texts: tuple[str, ...] = TEXTS, key: str = KEY) -> SocketTraffic:
    async with Transport() as transport:
        client = Client(target.contract, transport, base_urls={"": base_url}, key=key)
        session = SocketSession(client, target)
        async with open_session(session):
            for text in texts:
                await session.speak(text)
        return session.build_traffic()


@pytest.fixture(scope="module")
def record(
    voicegauge_emulator: RunningEmulator, voicegauge_catalogue: Catalogue
) -> Callable[[str], tuple[SocketTarget, Exchange]]:
    known: dict[str, tuple[SocketTarget, Exchange]] = {}

    def record_target(name: str) -> tuple[SocketTarget, Exchange]:
        if name not in known:
            target = voicegauge_catalogue.select_targets([name])[0]
            assert isinstance(target, SocketTarget)
            base_url = voicegauge_emulator.base_url(target.contract.id)
            exchange = build_socket_exchange(asyncio.run(speak(target, base_url)))
            known[name] = target, UrlCanonicalizer(target.contract, {"": base_url}).rewrite_exchange(exchange)
        return known[name]

    return record_target


def save(path: Path, target: SocketTarget, exchange: Exchange, secrets: tuple[str, ...] = (KEY,)) -> Exchange:
    save_har(
        path,
        [exchange],
        provenance=Provenance.EMULATED,
        contract=target.contract,
        redaction=RedactionSettings(secrets=secrets),
    )
    return load_har(path).exchanges[0]


@pytest.mark.parametrize("name", SOME_TARGETS)
def test_a_recorded_connection_is_read_and_judged_as_it_was(name: str, record, tmp_path: Path) -> None:
    target, exchange = record(name)
    read = save(tmp_path / "one.har", target, exchange)
    before, after = build_socket_traffic(exchange), build_socket_traffic(read)
    assert KEY not in (tmp_path / "one.har").read_text()
    assert after.request.url.startswith(f"{target.operation.server.url.rstrip('/')}/")
    assert [(one.sender, one.data, one.is_binary) for one in after.messages] == [
        (one.sender, one.data.replace(KEY.encode(), b"[redacted]"), one.is_binary) for one in before.messages
    ]
    assert [one.at_ms for one in after.messages] == pytest.approx([one.at_ms for one in before.messages], abs=0.01)
    assert after.close == before.close
    subjects, reason = read_recorded_socket(target.contract, read, {})
    assert reason is None
    assert [type(one).__name__ for one in subjects] == ["SocketConnection", "SpokenTurn", "SpokenTurn"]
    assert {one.target for one in subjects} == {target}
    checker = Checker(Provenance.EMULATED, RULE_BY_ID)
    assert [finding.message for one in subjects for finding in checker.iterate_findings(one)] == []


def test_messages_are_written_as_browsers_write_them(record, tmp_path: Path) -> None:
    target, exchange = record("deepgram/aura-2-socket")
    save(tmp_path / "one.har", target, exchange)
    entry = json.loads((tmp_path / "one.har").read_text())["log"]["entries"][0]
    assert entry["request"]["url"].startswith("wss://api.deepgram.com/v1/speak?")
    assert (entry["_resourceType"], entry["response"]["status"]) == ("websocket", 101)
    sent = [one for one in entry["_webSocketMessages"] if one["type"] == "send"]
    assert json.loads(sent[0]["data"]) == {"type": "Speak", "text": TEXTS[0]}
    assert sent[0]["opcode"] == 1
    assert sent[0]["time"] >= entry["_webSocket"]["openedAt"] > 1_700_000_000
    audio = [one for one in entry["_webSocketMessages"] if one["opcode"] == 2]
    assert len(base64.b64decode(audio[0]["data"], validate=True)) > 100


def change_messages(exchange: Exchange, change: Callable[[SocketMessage], SocketMessage]) -> Exchange:
    assert exchange.socket is not None
    messages = tuple(map(change, exchange.socket.messages))
    return msgspec.structs.replace(exchange, socket=msgspec.structs.replace(exchange.socket, messages=messages))


def add_fields(sender: str, **fields: Any) -> Callable[[SocketMessage], SocketMessage]:
    def change(message: SocketMessage) -> SocketMessage:
        if message.sender != sender or message.is_binary:
            return message
        data = json.dumps({**json.loads(message.data), **fields}).encode()
        return msgspec.structs.replace(message, data=data)

    return change


@pytest.mark.parametrize(
    "fields",
    [
        {"session_token": "a short one"},
        {"note": KEY},
        {"note": base64.b64encode(KEY.encode()).decode()},
        {"account": {"owner": "Jane Doe", "balance": 1729}},
        {"login": "https://jane:doe-password@example.com/"},
    ],
)
def test_no_undocumented_value_of_a_message_is_written(fields: dict[str, Any], record, tmp_path: Path) -> None:
    target, exchange = record("cartesia/sonic-3.5-socket")
    for sender in ("client", "server"):
        exchange = change_messages(exchange, add_fields(sender, **fields))
    read = save(tmp_path / "one.har", target, exchange)
    written = (tmp_path / "one.har").read_text()
    for value in ("a short one", KEY, "Jane Doe", "1729", "doe-password", base64.b64encode(KEY.encode()).decode()):
        assert value not in written
    assert read.socket is not None
    for sender in ("client", "server"):
        changed = json.loads(next(one for one in read.socket.messages if one.sender == sender).data)
        assert next(iter(fields)) in changed  # names stay


def test_messages_without_structure_and_undocumented_binary_ones_are_masked(record, tmp_path: Path) -> None:
    target, exchange = record("cartesia/sonic-3.5-socket")  # its audio is base64, so no binary message is documented
    secret = "the number of the card is 4111"
    for message in (
        SocketMessage(sender="server", at_ms=1.0, data=secret.encode()),
        SocketMessage(sender="server", at_ms=1.0, data=secret.encode(), is_binary=True),
        SocketMessage(sender="client", at_ms=1.0, data=secret.encode(), is_binary=True),
    ):
        changed = msgspec.structs.replace(
            exchange, socket=msgspec.structs.replace(exchange.socket, messages=(message,))
        )
        read = save(tmp_path / "one.har", target, changed)
        assert read.socket is not None
        assert read.socket.messages[0].data == b"[redacted]"


def test_a_key_in_audio_stops_the_recording_and_one_in_the_first_message_does_not(record, tmp_path: Path) -> None:
    target, exchange = record("cartesia/sonic-3.5-socket")
    hidden = base64.b64encode(b"\x00\x01" + KEY.encode()).decode()
    with pytest.raises(DataError, match=r"messages of the server holds a key \(in base64\)"):
        save(tmp_path / "one.har", target, change_messages(exchange, add_fields("server", data=hidden)))
    halves = iter([KEY[:9].encode(), KEY[9:].encode()])  # each in the audio of a message of its own

    def hide_half(message: SocketMessage) -> SocketMessage:
        if message.sender == "client" or json.loads(message.data)["type"] != "chunk":
            return message
        return add_fields("server", data=base64.b64encode(next(halves, b"")).decode())(message)

    with pytest.raises(DataError, match="messages of the server, audio holds a key"):
        save(tmp_path / "one.har", target, change_messages(exchange, hide_half))
    assert not (tmp_path / "one.har").exists()
    lmnt, spoken = record("lmnt/blizzard-session")
    assert any(KEY.encode() in one.data for one in spoken.socket.messages)  # the documented place of the key
    save(tmp_path / "two.har", lmnt, spoken, secrets=())
    assert KEY not in (tmp_path / "two.har").read_text()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda m: None if b'"done":true' in m.data.replace(b" ", b"") else m, "socket-turn-unfinished"),
        (add_fields("server", context_id=17), "socket-message-schema"),
    ],
)
def test_a_wrong_message_is_found_in_a_recording(change, rule: str, record, tmp_path: Path) -> None:
    target, exchange = record("cartesia/sonic-3.5-socket")
    assert exchange.socket is not None
    messages = tuple(one for one in map(change, exchange.socket.messages) if one is not None)
    close = SocketClose(closed_by="client", at_ms=messages[-1].at_ms + 60_000, code=1000)
    socket = msgspec.structs.replace(exchange.socket, messages=messages, close=close)
    folder = tmp_path / "cartesia"
    folder.mkdir()
    save(folder / "one.har", target, msgspec.structs.replace(exchange, socket=socket))
    report = voicegauge.check("cartesia", recordings=[tmp_path])
    assert rule in {finding.rule for finding in report.findings}
    assert all(finding.severity == "error" for finding in report.findings)


def test_what_may_be_the_mistake_of_the_client_is_not_held_against_the_service(record) -> None:
    target, exchange = record("cartesia/sonic-3.5-socket")
    assert exchange.socket is not None
    rejected = msgspec.structs.replace(exchange, response=msgspec.structs.replace(exchange.response, status=402))
    subjects, reason = read_recorded_socket(target.contract, rejected, {})
    assert (subjects, "status 402" in str(reason)) == ((), True)
    invalid = change_messages(exchange, add_fields("client", transcript=17))
    subjects, reason = read_recorded_socket(target.contract, invalid, {})
    assert len(subjects) == 1
    assert "fits no documented one" in str(reason)
    other_model = change_messages(exchange, add_fields("client", model_id="other-1"))
    subjects, reason = read_recorded_socket(target.contract, other_model, {})
    assert (subjects, "of no target" in str(reason)) == ((), True)
    is_early = msgspec.structs.replace(exchange.socket, messages=exchange.socket.messages[:3], close=None)
    subjects, reason = read_recorded_socket(target.contract, msgspec.structs.replace(exchange, socket=is_early), {})
    assert [type(one).__name__ for one in subjects] == ["SocketConnection"]  # nobody waited for the end


def test_every_reason_why_a_recording_is_not_judged_is_named(record, tmp_path: Path) -> None:
    target, exchange = record("cartesia/sonic-3.5-socket")
    exchanges = [
        exchange,
        change_messages(exchange, add_fields("client", transcript=17)),
        change_messages(exchange, add_fields("client", model_id="other-1")),
    ]
    (tmp_path / "cartesia").mkdir()
    save_har(
        tmp_path / "cartesia" / "one.har",
        exchanges,
        provenance=Provenance.EMULATED,
        contract=target.contract,
        redaction=RedactionSettings(secrets=(KEY,)),
    )
    report = voicegauge.check("cartesia", recordings=[tmp_path])
    (reason,) = report.not_judged_reason_by_name.values()
    assert "fits no documented one" in reason
    assert "of no target" in reason
    assert str(report.no_verdict_reason).startswith("not everything was judged: cartesia/one.har: ")


def build_browser_entry(messages: list[dict[str, Any]], **request: Any) -> dict[str, Any]:
    return {
        "startedDateTime": "2026-11-20T10:00:00.000Z",
        "time": 12.5,
        "_resourceType": "websocket",
        "request": {"method": "GET", "url": "wss://api.cartesia.ai/tts/websocket", "headers": [], **request},
        "response": {"status": 101, "headers": [], "content": {"size": 0}},
        "timings": {"blocked": 1, "dns": -1, "connect": 4, "send": 0, "wait": 5, "receive": 2.5},
        "_webSocketMessages": messages,
    }


def test_the_messages_of_a_browser_are_imported_with_their_times(
    voicegauge_catalogue: Catalogue, tmp_path: Path
) -> None:
    started_s = 1795168800.0
    request = {"context_id": "c1", "transcript": "Good morning.", "continue": False, "model_id": "sonic-3.5"}
    done = {"type": "done", "context_id": "c1", "done": True, "status_code": 200}
    messages = [
        {"type": "receive", "time": started_s + 0.25, "opcode": 1, "data": json.dumps(done)},
        {"type": "send", "time": started_s + 0.05, "opcode": 1, "data": json.dumps(request)},
        {"type": "receive", "time": started_s + 0.26, "opcode": 9, "data": ""},
    ]
    entries = [
        build_browser_entry(messages, headers=[{"name": "X-API-Key", "value": KEY}]),
        build_browser_entry([{"type": "send", "opcode": 1, "data": "{}"}]),
        build_browser_entry([{"type": "send", "opcode": 1, "data": "{}", "time": 10**400}]),
        build_browser_entry([], url="wss://api.cartesia.ai/other"),
    ]
    file = tmp_path / "browser.har"
    file.write_text(json.dumps({"log": {"version": "1.2", "creator": {"name": "WebInspector"}, "entries": entries}}))
    imported = import_recording(file, voicegauge_catalogue.find_provider("cartesia"))
    assert [(remark.is_imported, remark.message.split(":")[0]) for remark in imported.remarks] == [
        (True, "how the connection was closed is not in the file, and neither are its control frames"),
        (False, "a WebSocket message has no time"),
        (False, "a WebSocket message has no time"),
        (False, "the contract has no WebSocket at wss"),
    ]
    assert KEY in imported.secrets
    (exchange,) = imported.exchanges
    assert exchange.socket is not None
    assert [one.sender for one in exchange.socket.messages] == ["client", "server"]
    first, second = (one.at_ms for one in exchange.socket.messages)
    assert (first, second - first) == pytest.approx((40.0, 200.0), abs=0.01)
    converted = voicegauge.convert(file, provider="cartesia", out=tmp_path / "out")
    assert converted.exchange_count == 1
    assert KEY not in Path(converted.output_path).read_text()
    cassette = tmp_path / "cassette"
    with pytest.raises(DataError, match="a cassette cannot have WebSockets"):
        voicegauge.convert(file, provider="cartesia", out=cassette, output_format="vcr")


@pytest.mark.parametrize("name", SOME_TARGETS)
def test_a_replayed_connection_answers_as_recorded(name: str, record, tmp_path: Path) -> None:
    target, exchange = record(name)
    save(tmp_path / "one.har", target, exchange)
    with voicegauge.replay(tmp_path / "one.har") as replayed:
        traffic = asyncio.run(speak(target, replayed.base_url(target.contract.id)))
        assert replayed.unmatched_requests == []
        assert replayed.unused_requests == []
    turns = read_recorded_socket(target.contract, build_socket_exchange(traffic), {}).subjects
    assert [type(one).__name__ for one in turns] == ["SocketConnection", "SpokenTurn", "SpokenTurn"]
    before = build_socket_traffic(exchange)
    sizes = [sum(len(one.data) for one in each.messages if one.is_binary) for each in (before, traffic)]
    assert sizes[0] == sizes[1]
    assert len([one for one in traffic.messages if one.sender == "server"]) == len(
        [one for one in before.messages if one.sender == "server"]
    )
    checker = Checker(Provenance.EMULATED, RULE_BY_ID)
    assert [finding.message for one in turns for finding in checker.iterate_findings(one)] == []


def test_a_message_that_was_not_recorded_ends_the_replay_with_the_difference(record, tmp_path: Path) -> None:
    target, exchange = record("cartesia/sonic-3.5-socket")
    save(tmp_path / "one.har", target, exchange)
    described: list[str] = []
    with voicegauge.replay(tmp_path / "one.har", on_unmatched_request=described.append) as replayed:
        traffic = asyncio.run(speak(target, replayed.base_url("cartesia"), (TEXTS[0],)))
        assert traffic.close is not None
        assert traffic.close.closed_by == "client"
        wrong = asyncio.run(speak(target, replayed.base_url("cartesia"), ("Something else.",)))
    assert wrong.close is not None
    assert (wrong.close.closed_by, wrong.close.code) == ("server", 1008)
    (message,) = described
    assert "/transcript is" in message
    assert "Something else." in message
    assert TEXTS[0] in message


def test_a_handshake_that_was_not_recorded_gets_501(record, tmp_path: Path) -> None:
    target, exchange = record("deepgram/aura-2-socket")
    save(tmp_path / "one.har", target, exchange)
    other = record("deepgram/flux-tts-socket")[0]
    with voicegauge.replay(tmp_path / "one.har") as replayed:
        traffic = asyncio.run(speak_if_open(other, replayed.base_url("deepgram")))
        assert traffic.status == 501
        assert len(replayed.unmatched_requests) == 1


async def speak_if_open(target: SocketTarget, base_url: str) -> SocketTraffic:
    async with Transport() as transport:
        client = Client(target.contract, transport, base_urls={"": base_url}, key=KEY)
        session = SocketSession(client, target)
        await session.open()
        await session.close()
        return session.build_traffic()


def test_record_and_check_recordings_on_the_command_line(tmp_path: Path) -> None:
    out, run = str(tmp_path / "recordings"), CliRunner()
    recorded = run.invoke(cli, ["record", "cartesia/sonic-3.5-socket", "--emulated", "--yes", "--out", out])
    assert recorded.exit_code == 0
    assert "sonic-3.5-socket.har" in recorded.output
    checked = run.invoke(cli, ["check", "cartesia", "--recordings", out])
    assert checked.exit_code == 0
    assert "no findings" in checked.output
