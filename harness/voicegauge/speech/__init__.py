"""Decodes and encodes audio, recognizes and synthesizes speech, and counts errors in transcripts."""

from voicegauge.speech.stderr_redirect import silence_decoders, suppress_decoder_stderr

__all__ = [
    "silence_decoders",
    "suppress_decoder_stderr",
]
