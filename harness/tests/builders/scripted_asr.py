"""Replaces the ASR engine of the emulator by one that hears a known sentence, without hearing anything."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.emulator import _transcription


class ScriptedAsr:
    """Knows the bundled recording: of its beginning, it hears as many words as fit its duration."""

    def supports_language(self, language: str) -> bool:
        return language == "en"

    def transcribe(self, samples: Any, language: str) -> str:
        del language
        sentence = load_spoken_sentence()
        words, share = sentence.text.split(), len(samples) / 16_000 / sentence.audio_duration_s
        return " ".join(words[: max(round(len(words) * min(share * 1.15, 1.0)), 1)])


def use_scripted_asr(patch: pytest.MonkeyPatch) -> None:
    """Let the emulator of this process hear with it, and forget what the engine has transcribed."""
    patch.setattr(_transcription, "load_embedded_asr", ScriptedAsr)
    patch.setattr(_transcription, "_transcript_cache", OrderedDict())
