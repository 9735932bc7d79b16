"""What is asked for, in neutral words that each contract maps to its own."""

from __future__ import annotations

from typing import Any

from voicegauge.model.base import Record


class VoiceSample(Record, frozen=True, kw_only=True):
    """A recording of the voice to clone: a URL the provider fetches, or a file it is sent."""

    url: str | None = None
    data: bytes | None = None
    filename: str = "voice.wav"
    media_type: str = "audio/wav"


class SpeechRequest(Record, frozen=True, kw_only=True):
    """One utterance asked for. `None` leaves a word out, so that the provider's default applies."""

    text: str
    voice: str | None = None
    voice_description: str | None = None
    voice_sample: VoiceSample | None = None
    language: str | None = None
    format: str | None = None
    speed: float | None = None
    seed: int | None = None
    extra: dict[str, Any] = {}
    """More parameters by their own place, such as {"body#/temperature": 0.7}."""
