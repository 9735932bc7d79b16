"""Runs a published server with OpenAI's speech API, with espeak-ng in place of its model; the HTTP layer is untouched.

Arguments: the name of the server ("supertonic-server" or "local-tts-studio") and a port.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import soundfile
import uvicorn

from voicegauge.speech.espeak import synthesize

RATE_HZ = 24_000


def _speak(text: str, voice: str, speed: float) -> Any:
    pitch = 20 + sum(map(ord, voice)) * 7 % 70  # another one for most voices
    return synthesize(
        text,
        language="en",
        voice_variant=None,
        words_per_minute=int(170 * speed),
        pitch=pitch,
        sample_rate_hz=RATE_HZ,
        seed=0,
    )


def _build_supertonic_server() -> Any:
    from supertonic_server.config import Settings
    from supertonic_server.engine import SupertonicEngine
    from supertonic_server.server import build_app
    from supertonic_server.voices import SUPERTONIC_VOICES

    def load(engine: Any) -> None:
        engine.sample_rate, engine.voice_names, engine.lang_codes = RATE_HZ, list(SUPERTONIC_VOICES), ["en"]

    SupertonicEngine.load = load
    SupertonicEngine._chunk = lambda _engine, text, _lang: [text]
    SupertonicEngine._synthesize_chunk = lambda _engine, text, voice, _lang, speed, _steps: _speak(text, voice, speed)
    return build_app(Settings(warmup=False, serve_ui=False))


def _build_local_tts_studio() -> Any:
    from local_tts.server.app import app
    from local_tts.server.config import settings
    from local_tts.server.piper import runtime

    def synthesize_wav_bytes(key: str, text: str, controls: Any, speaker_id: int | None = None) -> dict[str, Any]:
        samples, file = _speak(text, key, controls.speed), io.BytesIO()
        soundfile.write(file, samples, RATE_HZ, format="WAV", subtype="PCM_16")
        facts = {"sample_rate": RATE_HZ, "sample_width": 2, "channels": 1, "frames": len(samples), "device": "cpu"}
        return {**facts, "wav_bytes": file.getvalue(), "duration_seconds": len(samples) / RATE_HZ, "elapsed_ms": 1}

    runtime.synthesize_wav_bytes = synthesize_wav_bytes
    settings.api_default_voice = "en_US-amy-medium"
    return app


if __name__ == "__main__":
    build = {"supertonic-server": _build_supertonic_server, "local-tts-studio": _build_local_tts_studio}[sys.argv[1]]
    uvicorn.run(build(), host="127.0.0.1", port=int(sys.argv[2]), log_level="critical")
