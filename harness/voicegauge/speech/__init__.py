"""Speech: audio decoding and encoding, speech recognition, speech synthesis and error counts of transcripts."""

from voicegauge.speech.stderr_redirect import silent_decoders, suppress_decoder_stderr

__all__ = [
    "silent_decoders",
    "suppress_decoder_stderr",
]
