"""Turns are read from the messages of a connection."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.contract.socket_messages import SocketChannel
from voicegauge.contract.socket_turns import SocketTurn, TurnReader, recognize_target
from voicegauge.files import find_bundled_folder
from voicegauge.model.exchange import Request, SocketMessage, SocketSide, SocketTraffic


class _Conversation:
    """Reads the turns of messages that arrive one millisecond apart."""

    def __init__(self, channel: SocketChannel) -> None:
        self._channel, self._reader, self._times = channel, TurnReader(channel), itertools.count()

    @property
    def turns(self) -> list[SocketTurn]:
        return self._reader.conversation.turns

    def add(self, sender: SocketSide, kind: Any, **values: Any) -> None:
        build = self._channel.build_client_message if sender == "client" else self._channel.build_server_message
        data = build(kind, **values)
        assert data is not None
        self.add_data(sender, data)

    def add_data(self, sender: SocketSide, data: str | bytes) -> None:
        encoded, is_binary = data.encode() if isinstance(data, str) else data, isinstance(data, bytes)
        at_ms = float(next(self._times))
        self._reader.add_message(SocketMessage(sender=sender, at_ms=at_ms, data=encoded, is_binary=is_binary))


def test_audio_after_a_turn_with_an_error_belongs_to_the_next_turn() -> None:
    """A busy service rejects a text, and speaks the next one."""
    channel = load_catalogue().select_targets(["lmnt/blizzard-session"])[0].operation.socket
    assert channel is not None
    conversation = _Conversation(channel)

    for text in ("Nobody hears this.", "Of course."):
        conversation.add("client", "text", text=text)
        conversation.add("client", "flush", nonce=1)
        if text.startswith("Nobody"):
            conversation.add("server", "error", reason="busy", id="r1")
    conversation.add_data("server", b"\0\0")
    conversation.add("server", "flush-end", nonce=1)
    rejected, spoken = conversation.turns
    assert (rejected.errors, rejected.audio, rejected.finished_ms) == (["busy"], [], None)
    assert (spoken.errors, spoken.audio_bytes, spoken.finished_ms) == ([], b"\0\0", 6)


def test_a_time_that_no_float_can_hold_is_left_out() -> None:
    channel = load_catalogue().select_targets(["cartesia/sonic-3-socket"])[0].operation.socket
    assert channel is not None
    times = {"words": ["a", "b"], "start": [0.5, 10**400], "end": [1.0, True]}
    message = {"type": "timestamps", "context_id": "c-1", "done": False, "status_code": 206, "word_timestamps": times}
    (event,) = channel.read_server_message(json.dumps(message).encode(), is_binary=False)
    assert (event.starts_s, event.ends_s) == ((0.5,), (1.0,))


@pytest.mark.parametrize("reports_crossing", [True, False])
def test_the_error_of_a_cancellation_that_crosses_with_the_end_of_its_turn_belongs_to_no_turn(
    reports_crossing: bool,
) -> None:
    channel = load_catalogue().socket_targets["openai/gpt-realtime-1.5"].socket
    conversation = _Conversation(channel)

    def say(text: str) -> None:
        conversation.add("client", "text", text=text)
        conversation.add("client", "end")

    say("The train leaves.")
    conversation.add("client", "cancel")
    conversation.add("server", "turn-end", id="r1")  # it was sent before the cancellation arrived
    say("Of course.")
    if reports_crossing:
        conversation.add("server", "error", reason="nothing is spoken")
    conversation.add("server", "turn-start", id="r2")
    conversation.add("server", "error", reason="busy")
    crossed, spoken = conversation.turns
    assert (crossed.finished_ms is None, crossed.errors) == (False, [])
    assert spoken.errors == ["busy"]


def test_a_constant_in_the_path_of_a_websocket_is_decoded_once(tmp_path) -> None:
    folder = find_bundled_folder("contracts") / "elevenlabs"
    for name in ("openapi.yaml", "asyncapi.yaml"):
        text = (folder / name).read_text(encoding="utf-8")
        constants = 'request_constants: {query.model_id: eleven_flash_v2_5, path.voice_id: "a%41"}'
        text = text.replace("request_constants: {query.model_id: eleven_flash_v2_5}", constants)
        (tmp_path / name).write_text(text, encoding="utf-8")
    target = load_contract(tmp_path / "openapi.yaml").socket_targets["flash-stream-input"]
    url = f"wss://api.elevenlabs.io{target.operation.path}?model_id=eleven_flash_v2_5"
    request = Request(method="GET", url=url.replace("{voice_id}", "a%2541"))
    traffic = SocketTraffic(provider="elevenlabs", operation=target.operation.id, request=request, status=101)
    recognized = recognize_target(target.operation, traffic)
    assert recognized is not None
    assert recognized.target is target


def test_a_turn_that_is_cancelled_before_its_speech_is_asked_for_leaves_the_audio_to_the_next_turn() -> None:
    channel = load_catalogue().socket_targets["openai/gpt-realtime-1.5"].socket
    conversation = _Conversation(channel)

    conversation.add("client", "text", text="Nobody asks for this.")
    conversation.add("client", "cancel")
    conversation.add("client", "text", text="Of course.")
    conversation.add("client", "end")
    conversation.add("server", "error", reason="there is no active response")
    conversation.add("server", "turn-start", id="r1")
    conversation.add("server", "audio", audio=b"\0\0", id="r1")
    conversation.add("server", "turn-end", id="r1")
    withdrawn, spoken = conversation.turns
    assert (withdrawn.errors, withdrawn.audio, withdrawn.finished_ms) == ([], [], 1.0)
    assert (spoken.errors, spoken.audio_bytes, spoken.finished_ms) == ([], b"\0\0", 7.0)
