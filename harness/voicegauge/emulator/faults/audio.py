"""Implements the faults of audio: silence, wrong format, wrong text and truncation."""

from __future__ import annotations

import msgspec

from voicegauge.emulator.audio import SynthesisRequest
from voicegauge.emulator.responses import EmulatedResponse

_HTML = b"<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"
_TRUNCATED_SHARE = 0.4
"""Share of the bytes that remain; it is too small to be explained by a fast speaking rate."""
_FEW_WORDS = 8  # a shorter text is repeated instead, because its first word alone might take as long as the whole text
_REPETITIONS = 8


def silence(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Produce silence that is as long as the speech would be."""
    return msgspec.structs.replace(synthesis, is_silent=True)


def change_format(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Encode the audio in another format than declared."""
    return msgspec.structs.replace(synthesis, format="flac" if synthesis.format != "flac" else "wav")


def change_text(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak one word of a long text, or a short text several times."""
    words = synthesis.text.split()
    text = words[0] if len(words) >= _FEW_WORDS else " ".join([synthesis.text] * _REPETITIONS)
    return msgspec.structs.replace(synthesis, text=text)


def truncate(response: EmulatedResponse) -> None:
    """Keep only the beginning of the audio file."""
    if carries_audio(response):
        response.body = response.body[: int(len(response.body) * _TRUNCATED_SHARE)]


def replace_by_html(response: EmulatedResponse) -> None:
    """Send an HTML error page under the media type of audio."""
    if carries_audio(response) and response.split_body is not None:
        response.body = _HTML
    elif carries_audio(response):
        response.raw_payload = _HTML


def carries_audio(response: EmulatedResponse) -> bool:
    """Whether the body is audio."""
    return response.kind in ("audio", "speech", "result") and isinstance(response.body, bytes) and bool(response.body)
