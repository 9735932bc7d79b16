"""Decodes and encodes audio, recognizes and synthesizes speech, and counts errors in transcripts."""

from voicegauge.speech.stderr_redirect import silent_decoders, suppress_decoder_stderr

__all__ = [
    "silent_decoders",
    "suppress_decoder_stderr",
]
