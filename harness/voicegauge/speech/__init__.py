"""Decodes and encodes audio, recognizes and synthesizes speech, and counts errors in transcripts."""

from voicegauge.speech.stderr_redirect import discard_decoder_messages, suppress_decoder_stderr

__all__ = [
    "discard_decoder_messages",
    "suppress_decoder_stderr",
]
