"""Runs as a script: a speech server that does so many requests at a time and queues the others.

`server.py CAPACITY SERVICE_MS SEED` prints its port, and exits when its standard input is closed. Then it prints how
long a request was performed on average, in seconds: its timers are a little late. It imports only the standard library,
so that little of the machine is used for it.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import struct
import sys
import time

SPREAD = 0.2
"""Standard deviation of the logarithm of the service times."""
SAMPLES_PER_S = 8000
MODEL_LIST = b'{"object": "list", "data": [{"id": "voice", "object": "model"}]}'


def build_wav() -> bytes:
    """Return half a second of a tone."""
    tone = [round(9000 * math.sin(2 * math.pi * 440 * index / SAMPLES_PER_S)) for index in range(SAMPLES_PER_S // 2)]
    data = struct.pack(f"<{len(tone)}h", *tone)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    return head + struct.pack("<4sI", b"data", len(data)) + data


class QueueingServer:
    """A server that performs `capacity` requests at a time, and queues further ones."""

    def __init__(self, capacity: int, service_s: float, seed: int) -> None:
        """Start without any request."""
        self._workers, self._service_s = asyncio.Semaphore(capacity), service_s
        self._random = random.Random(seed)  # noqa: S311 - a simulation
        self._audio = build_wav()
        self.performed_s: list[float] = []
        """How long each request was performed, in seconds."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, each of which has a Content-Length or no body."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(lengths[0].partition(b":")[2]) if lengths else 0)
                is_speech = head.startswith(b"POST")
                if is_speech:
                    async with self._workers:
                        started_s = time.perf_counter()
                        await asyncio.sleep(self._service_s * self._random.lognormvariate(0, SPREAD))
                        self.performed_s.append(time.perf_counter() - started_s)
                media_type, body = (b"audio/wav", self._audio) if is_speech else (b"application/json", MODEL_LIST)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (media_type, len(body))
                )
                writer.write(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def serve(capacity: int, service_s: float, seed: int) -> None:
    """Serve until standard input is closed."""
    queueing = QueueingServer(capacity, service_s, seed)
    server = await asyncio.start_server(queueing.answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(math.fsum(queueing.performed_s) / max(len(queueing.performed_s), 1), flush=True)


if __name__ == "__main__":
    gc.disable()
    capacity_text, service_ms_text, seed_text = sys.argv[1:]
    asyncio.run(serve(int(capacity_text), float(service_ms_text) / 1000, int(seed_text)))
