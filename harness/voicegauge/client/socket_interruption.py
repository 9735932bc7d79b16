"""Interrupts a turn over a WebSocket, as a voice agent does when its user speaks, and measures the reaction."""

from __future__ import annotations

from voicegauge.client.socket_session import SocketSession
from voicegauge.contract.socket_turns import SocketTurn
from voicegauge.model.socket import Interruption


async def interrupt_turn(session: SocketSession, text: str, *, asks_to_speak: bool = False) -> SocketTurn:
    """Begin a turn, and interrupt it at its first audio, as the contract documents it.

    Without a message to cancel, the client leaves the context. If the document has a confirmation, or a cancelled turn
    is still finished, its end is waited for. A turn that is answered with an error is left as it is.

    Args:
        session: the connection.
        text: the text of the interrupted turn.
        asks_to_speak: whether the text is flushed, or else ended, so that a service that waits for more text speaks.

    Raises:
        TransportError: the connection has ended.
    """
    spec = session.target.spec
    context = session.begin_turn()
    await session.send_text(context, text)
    if spec.turn.ends_with == "flush-end" or (asks_to_speak and "flush" in spec.client_messages):
        session.flush(context)
    elif asks_to_speak or spec.turn.speaks_after_end:
        session.end_turn(context)
    turn = session.find_turn(context)
    await session.wait_for_first_audio(turn)
    if turn.errors:
        return turn
    if spec.cancel_effect is not None:
        session.cancel(context)
    elif turn.end_ms is None:
        session.end_turn(context)
    if spec.cancel_effect != "stops" or spec.has_event("cancel-end"):
        await session.wait_for_end(turn)
    return turn


def measure_interruption(
    turn: SocketTurn, answer: SocketTurn | None, *, bytes_per_second: int | None, connections_apart_ms: float = 0.0
) -> Interruption:
    """Return how a service reacted, once the next turn is over.

    Args:
        turn: the interrupted turn.
        answer: the next turn; `None` if it could not be spoken.
        bytes_per_second: size of a second of audio; `None` for compressed audio.
        connections_apart_ms: time from the opening of the connection of `turn` to that of `answer`, in milliseconds; 0
            on one connection.
    """
    left_ms = turn.cancelled_ms if turn.cancelled_ms is not None else turn.end_ms
    assert left_ms is not None, "the turn was cancelled, or its end was sent"
    late = list(turn.iterate_audio_after(left_ms))
    next_ms = None
    if answer is not None and answer.first_audio_ms is not None:
        next_ms = connections_apart_ms + answer.first_audio_ms - left_ms
    late_bytes = sum(len(piece) for _, piece in late)
    return Interruption(
        last_audio_ms=late[-1][0] - left_ms if late else None,
        late_audio_s=None if bytes_per_second is None else late_bytes / bytes_per_second,
        next_audio_ms=next_ms,
    )
