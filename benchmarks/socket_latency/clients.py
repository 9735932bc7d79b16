"""Three clients that speak turns and note times: voicegauge, bare picows, and websockets."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import picows
from picows import WSFrame, WSListener, WSMsgType, WSTransport
from websockets.asyncio.client import connect

from voicegauge.client.client import Client
from voicegauge.client.socket_session import SocketSession, open_session
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.transport.http import Transport


class PlannedTurn(NamedTuple):
    """One turn: the delay until its first audio, and whether it is cancelled at its first audio."""

    delay_ms: float
    is_cancelled: bool = False


class TurnTimes(NamedTuple):
    """What a client and the server know of one turn, in milliseconds."""

    first_audio_ms: float
    """From the text to the first audio, as the client measures it."""
    true_first_audio_ms: float
    """The same between the server's reading and its writing."""
    cancel_to_last_ms: float | None = None
    """From the cancellation to the last audio, as the client measures it; `None` if the turn was not cancelled."""
    true_cancel_to_last_ms: float | None = None


Barrier = Callable[[], Awaitable[None]]
"""A function that waits until every connection has come to this place."""

TurnSpeaker = Callable[[int, Sequence[PlannedTurn], Barrier], Awaitable[list[TurnTimes]]]
"""A function that speaks turns one after the other on one connection to a port of this machine. It waits for the other
connections when it has opened its own, and before it reads what was received, so that nothing else is done between."""


def _build_times(
    sent_ms: float, arrivals_ms: Sequence[float], cancelled_ms: float | None, done: dict[str, Any]
) -> TurnTimes:
    truth_ns = done["sent_ns"]
    first = arrivals_ms[0] - sent_ms, (truth_ns[0] - done["read_ns"]) / 1e6
    if cancelled_ms is None:
        return TurnTimes(*first)
    return TurnTimes(*first, arrivals_ms[-1] - cancelled_ms, (truth_ns[-1] - done["cancelled_ns"]) / 1e6)


@functools.cache
def _load_contract() -> Contract:
    return load_contract(Path(__file__).with_name("contract.yaml"))


async def speak_with_voicegauge(port: int, turns: Sequence[PlannedTurn], wait: Barrier) -> list[TurnTimes]:
    """Speak with the session that a check uses, whose turns are read from its messages."""
    contract = _load_contract()  # once: loading it for each connection makes garbage, whose collection delays all
    async with Transport() as transport:
        client = Client(contract, transport, base_urls={"": f"ws://127.0.0.1:{port}"})
        session = SocketSession(client, contract.socket_targets["beep"])
        async with open_session(session):
            await wait()
            for planned in turns:
                context = session.begin_turn()
                await session.send_text(context, f"delay {planned.delay_ms}")
                turn = session.find_turn(context)
                if planned.is_cancelled:
                    await session.wait_for_first_audio(turn)
                    session.cancel(context)
                await session.wait_for_end(turn)
            await wait()
        done = [json.loads(one.data) for one in session.build_traffic().messages if b"sent_ns" in one.data]
        by_turn = {one["turn"]: one for one in done}
        return [
            _build_times(
                turn.first_text_ms or 0.0, [at for at, _ in turn.audio], turn.cancelled_ms, by_turn[str(turn.context)]
            )
            for turn in session.turns
        ]


class _BareListener(WSListener):
    def __init__(self) -> None:
        super().__init__()
        self.messages: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002 - the interface of picows
        at_ms = time.perf_counter_ns() / 1e6
        if frame.msg_type == WSMsgType.TEXT:
            self.messages.put_nowait((at_ms, frame.get_payload_as_bytes()))


async def _speak(
    turns: Sequence[PlannedTurn],
    send: Callable[[str], Awaitable[None]],
    receive: Callable[[], Awaitable[tuple[float, bytes | str]]],
) -> list[TurnTimes]:
    times = []
    for index, planned in enumerate(turns):
        turn, arrivals, cancelled_ms = f"t{index}", list[float](), None
        sent_ms = time.perf_counter_ns() / 1e6
        await send(json.dumps({"turn": turn, "text": f"delay {planned.delay_ms}"}))
        while True:
            at_ms, data = await receive()
            message = json.loads(data)
            if message["type"] == "done":
                break
            arrivals.append(at_ms)
            if planned.is_cancelled and cancelled_ms is None:
                cancelled_ms = time.perf_counter_ns() / 1e6
                await send(json.dumps({"turn": turn, "cancel": True}))
        times.append(_build_times(sent_ms, arrivals, cancelled_ms, message))
    return times


async def speak_with_picows(port: int, turns: Sequence[PlannedTurn], wait: Barrier) -> list[TurnTimes]:
    """Speak with picows alone."""
    transport, listener = await picows.ws_connect(_BareListener, f"ws://127.0.0.1:{port}/speak", use_aiofastnet=False)
    assert isinstance(listener, _BareListener)

    async def send(text: str) -> None:
        transport.send(WSMsgType.TEXT, text.encode())

    await wait()
    times = await _speak(turns, send, listener.messages.get)
    await wait()
    transport.disconnect()
    return times


async def speak_with_websockets(port: int, turns: Sequence[PlannedTurn], wait: Barrier) -> list[TurnTimes]:
    """Speak with websockets, whose messages are seen when the task of the connection runs."""
    async with connect(f"ws://127.0.0.1:{port}/speak", compression=None) as socket:

        async def receive() -> tuple[float, bytes | str]:
            data = await socket.recv()
            return time.perf_counter_ns() / 1e6, data

        await wait()
        times = await _speak(turns, socket.send, receive)
        await wait()
        return times


SPEAKER_BY_NAME: dict[str, TurnSpeaker] = {
    "voicegauge": speak_with_voicegauge,
    "picows": speak_with_picows,
    "websockets": speak_with_websockets,
}
