"""Audio in memory: containers, decoding, encoding, transcoding and levels."""

from voicegauge.speech.audio.containers import sniff_container
from voicegauge.speech.audio.levels import MIN_SPEECH_S, SILENCE_DBFS
from voicegauge.speech.audio.playable import PlaybackTimeline, playback_timeline
from voicegauge.speech.audio.samples import (
    FORMATS,
    DecodedAudio,
    RawAudioFormat,
    UndecodableAudioError,
    container_of_media_type,
    decode,
    decode_saved,
    encode,
    facts,
    is_silent,
    resample,
    rms_dbfs,
)
from voicegauge.speech.audio.transcoding import (
    TranscodingTarget,
    apply_filters,
    media_type_of,
    read_channels,
    transcode,
    write_audio,
)

__all__ = [
    "FORMATS",
    "MIN_SPEECH_S",
    "SILENCE_DBFS",
    "DecodedAudio",
    "PlaybackTimeline",
    "RawAudioFormat",
    "TranscodingTarget",
    "UndecodableAudioError",
    "apply_filters",
    "container_of_media_type",
    "decode",
    "decode_saved",
    "encode",
    "facts",
    "is_silent",
    "media_type_of",
    "playback_timeline",
    "read_channels",
    "resample",
    "rms_dbfs",
    "sniff_container",
    "transcode",
    "write_audio",
]
