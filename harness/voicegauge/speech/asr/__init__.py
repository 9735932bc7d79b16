"""Recognisers: what was said, as text."""

from voicegauge.speech.asr.base import RATE_HZ, Asr
from voicegauge.speech.asr.choosing import EMBEDDED, Choice, Spoken, choose_asr

__all__ = ["EMBEDDED", "RATE_HZ", "Asr", "Choice", "Spoken", "choose_asr"]
