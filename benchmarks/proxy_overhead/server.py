"""A server that responds to each request with the same speech as WAV after a fixed delay."""

from __future__ import annotations

import asyncio
import contextlib
import re
from multiprocessing.connection import Connection

from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize

TEXT = "Good morning."
"""The text of each request."""
DELAY_S = 0.2
SAMPLE_RATE_HZ = 24_000


def make_wav() -> bytes:
    """Return the spoken text as WAV: a tone in its place would be a finding of the proxy."""
    speech = synthesize(
        TEXT, language="en", voice_variant=None, words_per_minute=150, pitch=50, sample_rate_hz=SAMPLE_RATE_HZ, seed=0
    )
    return encode(speech, SAMPLE_RATE_HZ, "wav")[0]


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
