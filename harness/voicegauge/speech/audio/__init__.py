"""Audio in memory: containers, decoding, encoding, transcoding and levels."""

from voicegauge.speech.audio.containers import sniff_container
from voicegauge.speech.audio.levels import MIN_SPEECH_S, SILENCE_DBFS
from voicegauge.speech.audio.playable import Timeline, timeline
from voicegauge.speech.audio.samples import (
    FORMATS,
    Decoded,
    RawAudio,
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
    Wanted,
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
    "Decoded",
    "RawAudio",
    "Timeline",
    "UndecodableAudioError",
    "Wanted",
    "apply_filters",
    "container_of_media_type",
    "decode",
    "decode_saved",
    "encode",
    "facts",
    "is_silent",
    "media_type_of",
    "read_channels",
    "resample",
    "rms_dbfs",
    "sniff_container",
    "timeline",
    "transcode",
    "write_audio",
]
