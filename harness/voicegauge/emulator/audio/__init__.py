"""Audio the emulator makes: synthesis, conversion, transcription."""

from voicegauge.emulator.audio.conversion import WRITABLE, Change, analysis, changed, stems
from voicegauge.emulator.audio.speech import (
    Utterance,
    Voice,
    check_emulation,
    check_upload,
    default_at,
    field_of,
    read_word,
    utterance,
)
from voicegauge.emulator.audio.transcript_timing import phrases, transcript_values
from voicegauge.emulator.audio.transcription import LANGUAGE, hear, transcribe

__all__ = [
    "LANGUAGE",
    "WRITABLE",
    "Change",
    "Utterance",
    "Voice",
    "analysis",
    "changed",
    "check_emulation",
    "check_upload",
    "default_at",
    "field_of",
    "hear",
    "phrases",
    "read_word",
    "stems",
    "transcribe",
    "transcript_values",
    "utterance",
]
