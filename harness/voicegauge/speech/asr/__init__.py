"""Recognisers: what was said, as text."""

from voicegauge.speech.asr.base import RATE_HZ, Asr
from voicegauge.speech.asr.embedded import EMBEDDED
from voicegauge.speech.asr.selection import Choice, Spoken, choose_asr

__all__ = ["EMBEDDED", "RATE_HZ", "Asr", "Choice", "Spoken", "choose_asr"]
