"""Speech: audio decoding and encoding, speech recognition, speech synthesis and error counts of transcripts."""

from voicegauge.speech.stderr_redirect import suppress_decoder_stderr

__all__ = [
    "suppress_decoder_stderr",
]
