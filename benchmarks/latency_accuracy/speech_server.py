"""Runs as a script: a speech server on the loopback interface that notes for each response how long it really waited.

`speech_server.py FILE MIN_MS MAX_MS` prints its port, and exits when its standard input is closed. Then it writes FILE:
a JSON object with the delay of each response in milliseconds, from the last byte of the request to the first byte of
the response, by the SHA-256 of its audio. No two responses have the same audio. Delays are spread evenly between two
limits. A wait begins when the operating system receives the request, and ends when it sends the response, however late
this process reads or writes; responses state the waits of earlier ones too. Little is imported, so that little of the
machine is used for the server.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import hashlib
import json
import random
import socket
import struct
import sys
from pathlib import Path

if __name__ == "__main__":  # Python was started without any path but those of its own library
    sys.path.insert(0, str(Path(__file__).parents[2] / "harness"))

from voicegauge.bench.loopback_server import ResponseDelays
from voicegauge.transport.timing import PacketTimingSocket

SAMPLES_PER_S = 8000
MODEL_LIST = b'{"object": "list", "data": [{"id": "voice", "object": "model"}]}'


def build_wav(number: int) -> bytes:
    """Return a quarter of a second of noise that depends on `number`."""
    data = struct.pack("<I", number) + random.Random(number).randbytes(SAMPLES_PER_S // 2 - 4)  # noqa: S311
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    return head + struct.pack("<4sI", b"data", len(data)) + data


class SpeechServer:
    """What the connections share: the numbers of responses, and their delays."""

    def __init__(self, min_delay_s: float, max_delay_s: float) -> None:
        """Begin with the first response."""
        self._bounds_s = min_delay_s, max_delay_s
        self._sent = ResponseDelays()
        self._delays = random.Random(0)  # noqa: S311 - an order, not a secret
        self.waits_ms_by_sha256: dict[str, float] = {}

    def choose_delay_s(self) -> float:
        """Return how long the next response has to wait."""
        return self._delays.uniform(*self._bounds_s)

    def respond(self, transport: asyncio.Transport, connected: PacketTimingSocket, received_s: float) -> None:
        """Send a response with new audio, and note how long the request has waited."""
        number, headers = self._sent.number_response()
        audio = build_wav(number)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n{headers}Content-Length: {len(audio)}\r\n\r\n"
        transport.write(head.encode() + audio)
        wait_ms = (connected.sent_time_s - received_s) * 1000
        self._sent.record_delay(number, wait_ms)
        self.waits_ms_by_sha256[hashlib.sha256(audio).hexdigest()] = wait_ms


class SpeechProtocol(asyncio.Protocol):
    """One connection, whose requests have a Content-Length or no body."""

    def __init__(self, server: SpeechServer, connected: PacketTimingSocket) -> None:
        """Answer requests from `connected` as `server` says."""
        self._server, self._socket, self._received = server, connected, b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport, to which responses are written."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request, speech after its delay."""
        received_s = self._socket.arrival_time_s
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            lengths = [line for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0].partition(b":")[2]) if lengths else 0
            if len(self._received) < end + 4 + length:
                return
            self._received = self._received[end + 4 + length :]
            if head.startswith(b"post"):
                asyncio.get_running_loop().call_later(self._server.choose_delay_s(), self._speak, received_s)
            else:
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(MODEL_LIST)
                    + MODEL_LIST
                )

    def _speak(self, received_s: float) -> None:
        self._server.respond(self._transport, self._socket, received_s)


async def accept_connections(listener: socket.socket, server: SpeechServer) -> None:
    """Serve each connection, until the task is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        connected, _ = await loop.sock_accept(listener)
        timed = PacketTimingSocket.adopt_connection(connected)
        await loop.connect_accepted_socket(functools.partial(SpeechProtocol, server, timed), timed)


async def serve(min_delay_s: float, max_delay_s: float) -> dict[str, float]:
    """Serve until standard input is closed, and return the delays by the digest of the audio."""
    speech = SpeechServer(min_delay_s, max_delay_s)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.setblocking(False)
        accepting = asyncio.create_task(accept_connections(listener, speech))
        print(listener.getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        accepting.cancel()
    return speech.waits_ms_by_sha256


if __name__ == "__main__":
    gc.disable()
    notes_file, *bounds_ms = sys.argv[1:]
    waits_ms = asyncio.run(serve(*(float(bound) / 1000 for bound in bounds_ms)))
    Path(notes_file).write_text(json.dumps(waits_ms))
