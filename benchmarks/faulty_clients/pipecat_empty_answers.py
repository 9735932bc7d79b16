"""Interrupts eight answers before their first text, with Pipecat's service for ElevenLabs, and then speaks one.

It runs in an environment of its own, without voicegauge: `python pipecat_empty_answers.py URL`.
"""

import asyncio
import os
import sys

from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService

INTERRUPTION_COUNT = 8
SPEECH_S = 4.0
"""Time for the last answer."""


async def interrupt(url: str) -> None:
    """Speak at an emulated ElevenLabs."""
    service = ElevenLabsTTSService(
        api_key="k",
        url=url.replace("http", "ws", 1),
        voice_id="JBFqnCBsd6RMkjVDRZzb",
        model="eleven_flash_v2_5",
        sample_rate=24_000,
    )
    task = PipelineTask(Pipeline([service]), params=PipelineParams(), cancel_on_idle_timeout=False)
    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await asyncio.sleep(0.5)
    for _ in range(INTERRUPTION_COUNT):
        await task.queue_frames([LLMFullResponseStartFrame(), InterruptionFrame(), LLMFullResponseEndFrame()])
        await asyncio.sleep(0.1)
    text = LLMTextFrame("Of course, I will wait here.")
    await task.queue_frames([LLMFullResponseStartFrame(), text, LLMFullResponseEndFrame()])
    await asyncio.sleep(SPEECH_S)
    await task.cancel()
    await asyncio.wait([running], timeout=SPEECH_S)


asyncio.run(interrupt(sys.argv[1]))
os._exit(0)  # threads of the library may still wait
