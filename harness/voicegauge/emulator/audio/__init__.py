"""Produces and analyzes audio for the emulator: synthesis, conversion and transcription."""

from voicegauge.emulator.audio.conversion import AudioEffect, analyze_music, apply_effect, split_into_stems
from voicegauge.emulator.audio.output_formats import choose_media_type, find_format
from voicegauge.emulator.audio.speech import (
    AUTOMATIC_LANGUAGE,
    SpeechSynthesizer,
    SynthesisRequest,
    SynthesizedSpeech,
    check_audio_upload,
    check_emulation_spec,
    get_documented_field_name,
    read_speech_field,
    read_synthesis_request,
)
from voicegauge.emulator.audio.speech_timing import SpeechTiming, build_speech_timings, select_timings
from voicegauge.emulator.audio.transcript_timing import build_transcript_values, split_transcript_into_timed_phrases
from voicegauge.emulator.audio.transcription import EMBEDDED_ASR_LANGUAGE, transcribe_samples, transcribe_upload

__all__ = [
    "AUTOMATIC_LANGUAGE",
    "EMBEDDED_ASR_LANGUAGE",
    "AudioEffect",
    "SpeechSynthesizer",
    "SpeechTiming",
    "SynthesisRequest",
    "SynthesizedSpeech",
    "analyze_music",
    "apply_effect",
    "build_speech_timings",
    "build_transcript_values",
    "check_audio_upload",
    "check_emulation_spec",
    "choose_media_type",
    "find_format",
    "get_documented_field_name",
    "read_speech_field",
    "read_synthesis_request",
    "select_timings",
    "split_into_stems",
    "split_transcript_into_timed_phrases",
    "transcribe_samples",
    "transcribe_upload",
]
