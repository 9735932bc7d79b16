"""A WebSocket server that transcribes nothing: it sends the texts of a script at their times, and reports when."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import picows
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

FRAME_NS = 20_000_000
"""Duration of the audio in a message, which was spoken before it arrived."""


class _Connection(WSListener):
    """Follows one script: a list of [time in ms after the first sample, kind, text].

    Before it closes, it sends the times of `time.perf_counter_ns`, which all processes of a machine share: when the
    first sample was spoken, when each message with audio was read, and when each text was written.
    """

    def __init__(self, script: list[tuple[float, str, str]]) -> None:
        super().__init__()
        self._script, self._sent_ns, self._read_ns = script, list[int](), list[int]()
        self._spoken_ns: int | None = None
        self._task: asyncio.Task[None] | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = time.perf_counter_ns()
        if frame.msg_type == WSMsgType.BINARY:
            self._read_ns.append(now_ns)
            if self._spoken_ns is not None:
                return
            self._spoken_ns = now_ns - FRAME_NS
            self._task = asyncio.get_running_loop().create_task(self._follow(transport, self._spoken_ns))
        elif frame.msg_type == WSMsgType.TEXT:
            truth = {"kind": "truth", "truth": "", "read_ns": self._read_ns, "sent_ns": self._sent_ns}
            transport.send(WSMsgType.TEXT, json.dumps(truth).encode())
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    async def _follow(self, transport: WSTransport, spoken_ns: int) -> None:
        for at_ms, kind, text in self._script:
            due_ns = spoken_ns + round(at_ms * 1e6)
            await asyncio.sleep(max((due_ns - time.perf_counter_ns()) / 1e9, 0))
            self._sent_ns.append(time.perf_counter_ns())
            transport.send(WSMsgType.TEXT, json.dumps({"kind": kind, "text": text}).encode())


def _accept(request: WSUpgradeRequest) -> _Connection:
    path: Any = request.path
    query = parse_qs(urlsplit(path.decode() if isinstance(path, bytes) else path).query)
    return _Connection(json.loads(query["script"][0]))


async def _serve() -> None:
    server = await picows.ws_create_server(_accept, "127.0.0.1", 0, use_aiofastnet=False)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
