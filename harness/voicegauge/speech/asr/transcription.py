"""Transcribes encoded audio: decodes it, detects silence, resamples it and recognizes the speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voicegauge.speech.asr.engine_interface import ASR_SAMPLE_RATE_HZ, Asr, Samples
from voicegauge.speech.audio import EncodedAudio, resample
from voicegauge.speech.transcripts import AudioContent

TRANSCRIPTION_VERSION = 1
"""Version of the way that audio is prepared for transcription. It is increased when decoding, silence detection or
resampling change, so that older cached transcripts are not used."""


class Transcription(NamedTuple):
    """The transcript of a piece of audio, or the reason why there is no transcript."""

    audio_content: AudioContent
    """The kind of content in the audio, such as "speech" or "silence"."""
    transcript: str
    """The recognized text. It is empty if `audio_content` is not "speech"."""


def transcribe_audio_batch(asr: Asr, audio_clips: Sequence[EncodedAudio], language: str) -> list[Transcription]:
    """Decode and resample `audio_clips`, and transcribe those that contain speech, all at once.

    Silence is not passed to the engine, because speech recognizers make up words for it. The result has a transcription
    for each of `audio_clips`, in their order.
    """
    transcriptions: list[Transcription] = []
    clips: dict[int, Samples] = {}
    for index, audio in enumerate(audio_clips):
        if audio.decoded_audio is None:
            transcriptions.append(Transcription("undecodable", ""))
        elif audio.is_silent:
            transcriptions.append(Transcription("silence", ""))
        else:
            transcriptions.append(Transcription("speech", ""))
            clips[index] = resample(audio.decoded_audio.samples, audio.decoded_audio.sample_rate_hz, ASR_SAMPLE_RATE_HZ)
    for index, transcript in zip(clips, asr.transcribe_batch(list(clips.values()), language), strict=True):
        transcriptions[index] = Transcription("speech", transcript)
    return transcriptions
