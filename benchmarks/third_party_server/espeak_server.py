"""Runs pipecat-local-tts-server with espeak-ng in place of its model: `python espeak_server.py FOLDER PORT [FAULT]`.

The folder has the installed library. With the fault "cancel-ignored", speech goes on after a cancellation.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

from voicegauge.speech.espeak import synthesize

RATE_HZ = 24_000
SEGMENT_S = 0.2
SPEED_FACTOR = 8.0
"""Speed of the synthesis, relative to real time."""


def _speak(text: str) -> bytes:
    samples = synthesize(
        text, language="en", voice_variant=None, words_per_minute=165, pitch=50, sample_rate_hz=RATE_HZ, seed=0
    )
    return (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()


class EspeakStream:
    """One response, as the library's protocol `TTSStream` asks for."""

    def __init__(self, event_class: Any, *, ignores_cancel: bool) -> None:
        """Begin without text. `event_class` is the library's `AudioEvent`."""
        self._event_class, self._ignores_cancel = event_class, ignores_cancel
        self._text, self._is_cancelled = "", False

    async def feed(self, text: str) -> None:
        """Add text."""
        self._text += text

    async def end(self) -> None:
        """Take note that the text is complete."""

    async def cancel(self) -> None:
        """Stop the speech."""
        self._is_cancelled = not self._ignores_cancel

    async def events(self) -> AsyncGenerator[Any, None]:
        """Yield the speech in segments."""
        audio = await asyncio.to_thread(_speak, self._text)
        size = round(SEGMENT_S * RATE_HZ) * 2
        for start in range(0, len(audio), size):
            if self._is_cancelled:
                return
            yield self._event_class(kind="delta", pcm=audio[start : start + size])
            await asyncio.sleep(SEGMENT_S / SPEED_FACTOR)
        yield self._event_class(kind="completed", pcm=b"")


def main() -> None:
    """Serve until the process is ended."""
    folder, port, *faults = sys.argv[1:]
    sys.path.insert(0, folder)
    from tts_server.backend import AudioEvent, ToneBackend
    from tts_server.server import TTSServer, serve

    class EspeakBackend(ToneBackend):  # type: ignore[misc]
        """The library's own backend of tones, which speaks instead."""

        backend_name = "espeak"

        async def open_stream(self, **_settings: Any) -> EspeakStream:
            return EspeakStream(AudioEvent, ignores_cancel="cancel-ignored" in faults)

    if "cancel-ignored" in faults:

        async def keep_speaking(_server: Any, _response: Any) -> None:
            pass

        TTSServer._cancel_response = keep_speaking  # noqa: SLF001 - the fault
    asyncio.run(serve(EspeakBackend(), host="127.0.0.1", port=int(port)))


if __name__ == "__main__":
    main()
