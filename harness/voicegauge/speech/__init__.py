"""Speech as measured: audio in and out, transcripts, and how far they are from the text."""

from voicegauge.speech.stderr_redirect import suppress_decoder_stderr

__all__ = [
    "suppress_decoder_stderr",
]
