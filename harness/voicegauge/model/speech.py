"""Records of speech requests with provider-independent fields, which each contract maps to the provider's fields."""

from __future__ import annotations

from typing import Any

from voicegauge.model.base import Record


class VoiceSample(Record, frozen=True, kw_only=True):
    """Reference audio for voice cloning: a URL that the provider fetches, or a file to upload."""

    url: str | None = None
    data: bytes | None = None
    filename: str = "voice.wav"
    media_type: str = "audio/wav"


class SpeechRequest(Record, frozen=True, kw_only=True):
    """A request for speech. A field that is `None` is not sent, so that the provider's default applies."""

    text: str
    voice: str | None = None
    voice_description: str | None = None
    voice_sample: VoiceSample | None = None
    language: str | None = None
    format: str | None = None
    leaves_out_format: bool = False
    """Whether a request without `format` names no format at all, so that the provider's default applies. Otherwise the
    target's `default_format` is sent."""
    speed: float | None = None
    seed: int | None = None
    extra: dict[str, Any] = {}
    """Further values to send, by their location in the request: {"body#/temperature": 0.7}."""
