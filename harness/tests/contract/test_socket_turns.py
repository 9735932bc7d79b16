"""Turns are read from the messages of a connection."""

from __future__ import annotations

import itertools

from voicegauge.contract.catalogue import load_catalogue
from voicegauge.contract.socket_turns import TurnReader
from voicegauge.model.exchange import SocketMessage, SocketSide


def test_audio_after_a_turn_with_an_error_belongs_to_the_next_turn() -> None:
    """A busy service rejects a text, and speaks the next one."""
    channel = load_catalogue().select_targets(["lmnt/blizzard-session"])[0].operation.socket
    assert channel is not None
    reader, times = TurnReader(channel), iter(range(10))

    def add(sender: SocketSide, data: str | bytes | None) -> None:
        assert data is not None
        encoded = data.encode() if isinstance(data, str) else data
        is_binary = isinstance(data, bytes)
        reader.add_message(SocketMessage(sender=sender, at_ms=next(times), data=encoded, is_binary=is_binary))

    for text in ("Nobody hears this.", "Of course."):
        add("client", channel.build_client_message("text", text=text))
        add("client", channel.build_client_message("flush", nonce=1))
        if text.startswith("Nobody"):
            add("server", channel.build_server_message("error", reason="busy", id="r1"))
    add("server", b"\0\0")
    add("server", channel.build_server_message("flush-end", nonce=1))
    rejected, spoken = reader.conversation.turns
    assert (rejected.errors, rejected.audio, rejected.finished_ms) == (["busy"], [], None)
    assert (spoken.errors, spoken.audio_bytes, spoken.finished_ms) == ([], b"\0\0", 6)


def test_the_error_of_a_cancellation_that_crosses_with_the_end_of_its_turn_belongs_to_no_turn() -> None:
    channel = load_catalogue().socket_targets["openai/gpt-realtime-1.5"].socket
    reader, times = TurnReader(channel), itertools.count()

    def add(sender: SocketSide, data: str | bytes | None) -> None:
        assert data is not None
        encoded = data.encode() if isinstance(data, str) else data
        reader.add_message(SocketMessage(sender=sender, at_ms=float(next(times)), data=encoded))

    def say(text: str) -> None:
        add("client", channel.build_client_message("text", text=text))
        add("client", channel.build_client_message("end"))

    say("The train leaves.")
    add("client", channel.build_client_message("cancel"))
    add("server", channel.build_server_message("turn-end", id="r1"))  # it was sent before the cancellation arrived
    say("Of course.")
    add("server", channel.build_server_message("error", reason="nothing is spoken"))
    add("server", channel.build_server_message("error", reason="busy"))
    crossed, spoken = reader.conversation.turns
    assert (crossed.finished_ms is None, crossed.errors) == (False, [])
    assert spoken.errors == ["busy"]
