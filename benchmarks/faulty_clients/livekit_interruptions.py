"""Interrupts eight answers at their first audio, with LiveKit's plugin for ElevenLabs.

It runs in an environment of its own, without voicegauge: `python livekit_interruptions.py URL`.
"""

import asyncio
import sys

import aiohttp
from livekit.plugins import elevenlabs

TEXT = "The train to the coast leaves from platform nine every morning. It stops in four villages on the way."
INTERRUPTION_COUNT = 8
PAUSE_S = 0.5
"""Time between two interruptions, in which the service can end the context that the client has left."""


async def interrupt(url: str) -> None:
    """Speak at an emulated ElevenLabs."""
    async with aiohttp.ClientSession() as session:
        speech = elevenlabs.TTS(api_key="k", base_url=f"{url}/v1", http_session=session, encoding="pcm_24000")
        for _ in range(INTERRUPTION_COUNT):
            stream = speech.stream()
            stream.push_text(TEXT)
            stream.flush()
            async for _ in stream:
                break
            await stream.aclose()
            await asyncio.sleep(PAUSE_S)
        await speech.aclose()


asyncio.run(interrupt(sys.argv[1]))
