"""A WebSocket server that speaks after known delays, and reports when it did what."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from typing import Any

import picows
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

FRAME_BYTES = 960
"""20 ms of 16-bit samples with 24 kHz."""
FRAME_INTERVAL_S = 0.02
FRAME_COUNT = 10
CANCEL_FRAME_COUNT = 3
"""Number of frames that are still sent after a cancellation."""


class _Connection(WSListener):
    """Speaks the turns of one connection.

    A turn is asked for by {"turn", "delay_ms", "text"}. `done` has the times of `time.perf_counter_ns`, which all
    processes of a machine share: when the request was read, and when each frame was written.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancelled_ns: dict[str, int] = {}

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        read_ns = time.perf_counter_ns()
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        message = json.loads(frame.get_payload_as_bytes())
        if message.get("cancel"):
            self._cancelled_ns[message["turn"]] = read_ns
            return
        task = asyncio.get_running_loop().create_task(self._speak(transport, message, read_ns))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _speak(self, transport: WSTransport, message: dict[str, Any], read_ns: int) -> None:
        turn, sent_ns = message["turn"], list[int]()
        audio = base64.b64encode(bytes(FRAME_BYTES)).decode()
        encoded = json.dumps({"type": "audio", "turn": turn, "audio": audio}).encode()
        due_ns = read_ns + round(float(message["text"].rpartition(" ")[2]) * 1e6)
        left = FRAME_COUNT
        while left:
            await asyncio.sleep(max((due_ns - time.perf_counter_ns()) / 1e9, 0))
            if turn in self._cancelled_ns and left > CANCEL_FRAME_COUNT:
                left = CANCEL_FRAME_COUNT
            sent_ns.append(time.perf_counter_ns())
            transport.send(WSMsgType.TEXT, encoded)
            due_ns += round(FRAME_INTERVAL_S * 1e9)
            left -= 1
        done = {"type": "done", "turn": turn, "read_ns": read_ns, "sent_ns": sent_ns}
        if turn in self._cancelled_ns:
            done["cancelled_ns"] = self._cancelled_ns[turn]
        transport.send(WSMsgType.TEXT, json.dumps(done).encode())


def _accept(_: WSUpgradeRequest) -> _Connection:
    return _Connection()


async def _serve() -> None:
    server = await picows.ws_create_server(_accept, "127.0.0.1", 0, use_aiofastnet=False)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
