"""Defines `EncodedAudio`, a piece of encoded audio that is decoded at most once."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property

from voicegauge.model import AudioFacts
from voicegauge.speech.audio.containers import sniff_container
from voicegauge.speech.audio.decoding import DecodedAudio, RawAudioFormat, decode
from voicegauge.speech.audio.levels import (
    MIN_SPEECH_S,
    compute_rms_dbfs,
    measure_active_duration_s,
    measure_leading_silence_s,
    measure_speech_onset_s,
)
from voicegauge.speech.audio.limits import UndecodableAudioError
from voicegauge.speech.audio.playback_timeline import PlaybackTimeline, build_playback_timeline


class EncodedAudio:
    """Encoded audio as it was received. Samples, digest and measurements are computed on first use and then cached."""

    def __init__(
        self, audio_bytes: bytes, *, media_type: str | None = None, raw_format: RawAudioFormat | None = None
    ) -> None:
        """Wrap `audio_bytes` without decoding it.

        Args:
            audio_bytes: the encoded audio as it was received.
            media_type: media type that the provider declares for the audio.
            raw_format: format of the samples if they have no header.
        """
        self.data, self.media_type, self.raw_format = audio_bytes, media_type, raw_format

    @classmethod
    def from_facts(cls, audio_bytes: bytes, facts: AudioFacts) -> EncodedAudio:
        """Wrap the audio of a sample in a saved run. The media type and the raw format are those in `facts`."""
        raw = None
        if facts.raw_format and facts.sample_rate_hz:
            raw = RawAudioFormat(
                format=facts.raw_format, sample_rate_hz=facts.sample_rate_hz, channels=facts.channels or 1
            )
        return cls(audio_bytes, media_type=facts.media_type, raw_format=raw)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the encoded bytes, in hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def _decoding_result(self) -> DecodedAudio | UndecodableAudioError:
        try:
            return decode(self.data, declared_format=self.raw_format)
        except UndecodableAudioError as error:
            return error

    @property
    def decoded_audio(self) -> DecodedAudio | None:
        """The decoded samples; `None` if the audio cannot be decoded."""
        return None if isinstance(self._decoding_result, UndecodableAudioError) else self._decoding_result

    @property
    def decode_error(self) -> str | None:
        """The reason why the audio cannot be decoded; `None` if it can be decoded."""
        return str(self._decoding_result) if isinstance(self._decoding_result, UndecodableAudioError) else None

    @cached_property
    def active_duration_s(self) -> float | None:
        """Total duration of the frames that are not silent, in seconds; `None` if the audio cannot be decoded."""
        decoded = self.decoded_audio
        return None if decoded is None else measure_active_duration_s(decoded.samples, decoded.sample_rate_hz)

    @property
    def is_silent(self) -> bool:
        """Whether the audio can be decoded and is silent."""
        return self.active_duration_s is not None and self.active_duration_s < MIN_SPEECH_S

    @cached_property
    def playback_timeline(self) -> PlaybackTimeline | None:
        """Seconds of playable audio by number of received bytes; `None` if the audio cannot be decoded."""
        return None if self.decoded_audio is None else build_playback_timeline(self.data, self.decoded_audio)

    def measure_facts(self, relative_path: str) -> AudioFacts:
        """Return facts about the audio: if it cannot be decoded, only its digest, size, media type and container.

        Args:
            relative_path: path of the saved audio, relative to the folder of the run.
        """
        decoded = self.decoded_audio
        if decoded is None:
            return AudioFacts(
                sha256=self.sha256,
                file_path=relative_path,
                size_bytes=len(self.data),
                media_type=self.media_type,
                container=sniff_container(self.data),
            )
        level_dbfs = compute_rms_dbfs(decoded.samples)
        return AudioFacts(
            sha256=self.sha256,
            file_path=relative_path,
            size_bytes=len(self.data),
            media_type=self.media_type,
            container=decoded.container,
            sample_rate_hz=decoded.sample_rate_hz,
            channels=decoded.source_channels,
            raw_format=self.raw_format.format if self.raw_format and decoded.container == "pcm" else None,
            audio_duration_s=decoded.duration_s,
            leading_silence_s=measure_leading_silence_s(decoded.samples, decoded.sample_rate_hz),
            speech_onset_s=measure_speech_onset_s(decoded.samples, decoded.sample_rate_hz),
            rms_dbfs=level_dbfs if math.isfinite(level_dbfs) else None,  # JSON has no -Infinity
        )
