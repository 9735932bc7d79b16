"""Recognisers: what was said, as text."""

from voicegauge.speech.asr.base import RATE_HZ, Asr
from voicegauge.speech.asr.choosing import Choice, Spoken, choose_asr
from voicegauge.speech.asr.embedded import EMBEDDED

__all__ = ["EMBEDDED", "RATE_HZ", "Asr", "Choice", "Spoken", "choose_asr"]
