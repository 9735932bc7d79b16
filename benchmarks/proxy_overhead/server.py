"""A server that responds to each request with one second of WAV after a fixed delay."""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import re
import struct
import wave
from multiprocessing.connection import Connection

DELAY_S = 0.2
SAMPLE_RATE_HZ = 24_000


def make_wav() -> bytes:
    """Return one second of a tone."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        samples = (int(8000 * math.sin(2 * math.pi * 220 * i / SAMPLE_RATE_HZ)) for i in range(SAMPLE_RATE_HZ))
        writer.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def serve(started: Connection) -> None:
    """Run the server, and send its port to `started`."""
    body = make_wav()
    response = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(found[1]) if found else 0)
                await asyncio.sleep(DELAY_S)
                writer.write(response)
                await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        started.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())
