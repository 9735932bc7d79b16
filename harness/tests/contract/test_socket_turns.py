"""Turns are read from the messages of a connection."""

from __future__ import annotations

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
