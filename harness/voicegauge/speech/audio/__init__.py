"""Decodes, encodes, transcodes and measures audio in memory."""

from voicegauge.speech.audio.av_library import require_av
from voicegauge.speech.audio.containers import find_container_of_media_type, is_container_uncertain, sniff_container
from voicegauge.speech.audio.decoding import DecodedAudio, RawAudioFormat, decode
from voicegauge.speech.audio.encoded_audio import EncodedAudio
from voicegauge.speech.audio.encoding import (
    AUDIO_FORMATS,
    DEFAULT_BITRATE_KBPS,
    MP3_RATES_HZ,
    encode,
    encode_at_bitrate,
    find_codec_of_format,
    find_container_of_format,
    find_media_type_of_format,
)
from voicegauge.speech.audio.ffmpeg import FFMPEG_CONTAINERS, apply_filters, measure_bitrate_kbps
from voicegauge.speech.audio.levels import (
    MIN_SPEECH_S,
    SILENCE_DBFS,
    compute_rms_dbfs,
    is_silent,
    measure_active_duration_s,
    measure_leading_silence_s,
    measure_speech_onset_s,
)
from voicegauge.speech.audio.limits import UndecodableAudioError
from voicegauge.speech.audio.playback_timeline import PlaybackTimeline, build_playback_timeline
from voicegauge.speech.audio.resampling import resample
from voicegauge.speech.audio.similarity import correlate_waveforms, measure_speech_mismatch
from voicegauge.speech.audio.transcoding import TranscodingSettings, decode_without_mixing, transcode

__all__ = [
    "AUDIO_FORMATS",
    "DEFAULT_BITRATE_KBPS",
    "FFMPEG_CONTAINERS",
    "MIN_SPEECH_S",
    "MP3_RATES_HZ",
    "SILENCE_DBFS",
    "DecodedAudio",
    "EncodedAudio",
    "PlaybackTimeline",
    "RawAudioFormat",
    "TranscodingSettings",
    "UndecodableAudioError",
    "apply_filters",
    "build_playback_timeline",
    "compute_rms_dbfs",
    "correlate_waveforms",
    "decode",
    "decode_without_mixing",
    "encode",
    "encode_at_bitrate",
    "find_codec_of_format",
    "find_container_of_format",
    "find_container_of_media_type",
    "find_media_type_of_format",
    "is_container_uncertain",
    "is_silent",
    "measure_active_duration_s",
    "measure_bitrate_kbps",
    "measure_leading_silence_s",
    "measure_speech_mismatch",
    "measure_speech_onset_s",
    "require_av",
    "resample",
    "sniff_container",
    "transcode",
]
