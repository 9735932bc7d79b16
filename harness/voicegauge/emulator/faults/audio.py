"""Faults of the audio."""

from __future__ import annotations

import msgspec

from voicegauge.emulator.audio import Utterance
from voicegauge.emulator.responses import Reply

_HTML = b"<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"
_KEPT = 0.4
"""How much of truncated audio is left: far outside what a speaking rate explains."""
_FEW_WORDS = 8
_REPEATED = 8


def silent(wanted: Utterance) -> Utterance:
    """Nothing but zeros, as long as the speech would be."""
    return msgspec.structs.replace(wanted, silent=True)


def wrong_format(wanted: Utterance) -> Utterance:
    """Another container."""
    return msgspec.structs.replace(wanted, format="flac" if wanted.format != "flac" else "wav")


def text_ignored(wanted: Utterance) -> Utterance:
    """One word of a long text, or a short text over and over."""
    words = wanted.text.split()
    text = words[0] if len(words) >= _FEW_WORDS else " ".join([wanted.text] * _REPEATED)
    return msgspec.structs.replace(wanted, text=text)


def truncated(reply: Reply) -> None:
    """The beginning of the file only."""
    if carries_audio(reply):
        reply.body = reply.body[: int(len(reply.body) * _KEPT)]


def html(reply: Reply) -> None:
    """A proxy's error page under the media type of audio."""
    if carries_audio(reply) and reply.pacing is not None:
        reply.body = _HTML
    elif carries_audio(reply):
        reply.raw = _HTML


def carries_audio(reply: Reply) -> bool:
    """Whether the body is audio."""
    return reply.kind in ("audio", "speech", "result") and isinstance(reply.body, bytes) and bool(reply.body)
