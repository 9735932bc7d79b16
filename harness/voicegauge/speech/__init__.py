"""Speech as measured: audio in and out, transcripts, and how far they are from the text."""

from voicegauge.speech.stderr_redirect import hush_decoders

__all__ = [
    "hush_decoders",
]
