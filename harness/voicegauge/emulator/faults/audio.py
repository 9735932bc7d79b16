"""Faults of the audio."""

from __future__ import annotations

import msgspec

from voicegauge.emulator.audio import SynthesisRequest
from voicegauge.emulator.responses import EmulatedResponse

_HTML = b"<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"
_KEPT = 0.4
"""How much of truncated audio is left: far outside what a speaking rate explains."""
_FEW_WORDS = 8
_REPEATED = 8


def silent(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Nothing but zeros, as long as the speech would be."""
    return msgspec.structs.replace(synthesis, silent=True)


def wrong_format(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Another container."""
    return msgspec.structs.replace(synthesis, format="flac" if synthesis.format != "flac" else "wav")


def text_ignored(synthesis: SynthesisRequest) -> SynthesisRequest:
    """One word of a long text, or a short text over and over."""
    words = synthesis.text.split()
    text = words[0] if len(words) >= _FEW_WORDS else " ".join([synthesis.text] * _REPEATED)
    return msgspec.structs.replace(synthesis, text=text)


def truncated(response: EmulatedResponse) -> None:
    """The beginning of the file only."""
    if carries_audio(response):
        response.body = response.body[: int(len(response.body) * _KEPT)]


def html(response: EmulatedResponse) -> None:
    """A proxy's error page under the media type of audio."""
    if carries_audio(response) and response.pacing is not None:
        response.body = _HTML
    elif carries_audio(response):
        response.raw = _HTML


def carries_audio(response: EmulatedResponse) -> bool:
    """Whether the body is audio."""
    return response.kind in ("audio", "speech", "result") and isinstance(response.body, bytes) and bool(response.body)
