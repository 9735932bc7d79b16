"""Audio in and out, in memory: bytes to samples, samples to bytes, and what can be measured on them.

Samples are float32 arrays of shape (frames,), mono, full scale at 1.0. A full-scale
sine has an RMS of -3.01 dBFS.

Everything received is hostile input: decoding is bounded in length, channels and rate,
and ends in `UndecodableAudioError` whatever the bytes are.
"""

from __future__ import annotations

import hashlib
import io
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.model import AudioFacts, Record
from voicegauge.speech.audio import ffmpeg
from voicegauge.speech.audio.containers import (
    container_of_media_type,
    declares_length,
    find_wav_data,
    may_be_chance,
    repair_streamed_wav_length,
    sniff_container,
)
from voicegauge.speech.audio.levels import active_s, is_silent, leading_silence_s, rms_dbfs
from voicegauge.speech.audio.ogg import with_serial
from voicegauge.speech.interrupts import defer_keyboard_interrupt

__all__ = [
    "FORMATS",
    "DecodedAudio",
    "RawAudioFormat",
    "UndecodableAudioError",
    "active_s",
    "container_of_media_type",
    "decode",
    "decode_saved",
    "encode",
    "facts",
    "is_silent",
    "leading_silence_s",
    "media_type_of",
    "resample",
    "rms_dbfs",
    "sniff_container",
]

Samples = NDArray[np.float32]

MAX_AUDIO_S = 1800.0
"""Half an hour: no answer to one request for speech is longer, and a bomb stops here."""
MAX_FRAMES = int(MAX_AUDIO_S) * 48_000
"""346 MB of float32 at most, whatever the sample rate."""
MAX_CHANNELS = 8
RATES_HZ = (1_000, 384_000)
"""Sample rates that audio can have; a header that states others is broken."""
_BLOCK_FRAMES = 4096
"""Read at once: what comes before a broken block is kept."""


class UndecodableAudioError(ValueError):
    """Bytes that are no audio that can be decoded."""


class RawAudioFormat(Record, frozen=True, kw_only=True):
    """What must be declared for samples without a header."""

    format: str = "pcm_s16le"
    """"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "mulaw" or "alaw"."""
    sample_rate_hz: int
    channels: int = 1


class DecodedAudio(NamedTuple):
    """Audio as samples."""

    samples: Samples
    """Mono, shape (frames,): the mean of the channels."""
    sample_rate_hz: int
    channels: int
    """As received."""
    container: str
    """"wav", "mp3", "flac", "ogg", "aiff", ..., or "pcm" for samples without a header."""
    codec: str
    """"pcm_16", "mpeg_layer_iii", "vorbis", "opus", ..."""
    audio_s: float
    """What was decoded."""
    declared_s: float | None
    """What the container states; `None` where it states nothing, as a stream does."""

    @property
    def truncated(self) -> bool:
        """Whether more than a twentieth of a second that the container states is missing."""
        return self.declared_s is not None and self.declared_s - self.audio_s > 0.05


class _Raw(NamedTuple):
    subtype: str
    endian: str


_RAW = {
    "pcm_s16le": _Raw("PCM_16", "LITTLE"),
    "pcm_s16be": _Raw("PCM_16", "BIG"),
    "pcm_s24le": _Raw("PCM_24", "LITTLE"),
    "pcm_f32le": _Raw("FLOAT", "LITTLE"),
    "pcm_u8": _Raw("PCM_U8", "FILE"),
    "mulaw": _Raw("ULAW", "FILE"),
    "alaw": _Raw("ALAW", "FILE"),
}


@defer_keyboard_interrupt()
def decode(data: bytes, *, declared: RawAudioFormat | None = None) -> DecodedAudio:
    """The samples of `data`.

    A header always wins; `declared` counts only for bytes that have none, or that begin like a
    frame of MPEG audio by chance, as a few in a thousand quiet recordings of mu-law do. A streamed WAV
    (length 0 or two gigabytes and more) is read to its end. A file cut short gives what is there.

    Raises:
        UndecodableAudioError: no audio, an unsupported container, no samples, more than
            `MAX_AUDIO_S` or `MAX_FRAMES`, or a rate or channels out of range.
    """
    container = sniff_container(data)
    if container is None and declared is not None:
        return _decode_raw(data, declared)
    try:
        return _decode_container(data, container)
    except UndecodableAudioError:
        if declared is None or not may_be_chance(data):
            raise
        return _decode_raw(data, declared)


def _decode_container(data: bytes, container: str | None) -> DecodedAudio:
    import soundfile

    if container in ffmpeg.CONTAINERS:
        return _decode_by_ffmpeg(data, container)
    try:
        with soundfile.SoundFile(io.BytesIO(repair_streamed_wav_length(data))) as file:
            return _read(file, data)
    except (soundfile.SoundFileError, TypeError, OSError, OverflowError) as error:
        what = f"{container} that cannot be read" if container else "no audio container that is known"
        raise UndecodableAudioError(f"{len(data)} bytes: {what}") from error


def _decode_by_ffmpeg(data: bytes, container: str) -> DecodedAudio:
    try:
        track = ffmpeg.read_track(data, MAX_AUDIO_S, MAX_FRAMES)
        _check_shape(track.sample_rate_hz, track.channels)
    except ValueError as error:
        raise UndecodableAudioError(f"{len(data)} bytes of {container}: {error}") from error
    if not len(track.samples):
        raise UndecodableAudioError(f"{len(data)} bytes of {container} without a single sample")
    audio_s = len(track.samples) / track.sample_rate_hz
    return DecodedAudio(
        _settled(track.samples), track.sample_rate_hz, track.channels, container, track.codec, audio_s, None
    )


def _decode_raw(data: bytes, declared: RawAudioFormat) -> DecodedAudio:
    import soundfile

    raw = _RAW.get(declared.format)
    if raw is None:
        raise UndecodableAudioError(f"raw audio of the unknown format {declared.format!r}")
    _check_shape(declared.sample_rate_hz, declared.channels)
    try:
        with soundfile.SoundFile(
            io.BytesIO(data),
            samplerate=declared.sample_rate_hz,
            channels=declared.channels,
            format="RAW",
            subtype=raw.subtype,
            endian=raw.endian,
        ) as file:
            return _read(file, data)
    except (soundfile.SoundFileError, TypeError, OSError, OverflowError) as error:
        raise UndecodableAudioError(f"{len(data)} bytes: no samples of {declared.format}") from error


def _read(file: Any, data: bytes) -> DecodedAudio:
    rate, channels = int(file.samplerate), int(file.channels)
    _check_shape(rate, channels)
    samples = _read_samples(file, min(MAX_FRAMES, int(MAX_AUDIO_S * rate)))
    if not len(samples):
        raise UndecodableAudioError(f"{len(data)} bytes of {file.format.lower()} without a single sample")
    container = {"WAVEX": "wav", "RF64": "wav", "RAW": "pcm"}.get(file.format, file.format.lower())
    return DecodedAudio(
        samples=samples,
        sample_rate_hz=rate,
        channels=channels,
        container=container,
        codec=file.subtype.lower(),
        audio_s=len(samples) / rate,
        declared_s=_declared_s(file, data, container, len(samples)),
    )


def _check_shape(rate: int, channels: int) -> None:
    low, high = RATES_HZ
    if not low <= rate <= high or not 1 <= channels <= MAX_CHANNELS:
        raise UndecodableAudioError(f"audio of {channels} channels at {rate} Hz is out of range")


def _read_samples(file: Any, limit: int) -> Samples:
    import soundfile

    blocks: list[Samples] = []
    frames = 0
    while True:
        try:
            block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.SoundFileError:
            break  # broken from here on: what came before is kept
        if not len(block):
            break
        frames += len(block)
        if frames > limit:
            raise UndecodableAudioError(f"audio longer than {limit / file.samplerate:.0f} s")
        blocks.append(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32))
    return _settled(np.concatenate(blocks) if blocks else np.zeros(0, np.float32))


def _settled(samples: Samples) -> Samples:
    # A float file may hold anything; a player clips as well.
    # Of most files nothing is out of range; a comparison with NaN is false.
    if not len(samples) or (samples.min() >= -1.0 and samples.max() <= 1.0):
        return samples
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32)


def _declared_s(file: Any, data: bytes, container: str, frames: int) -> float | None:
    found = find_wav_data(data)
    if found is not None:
        if found.declared is None or not found.present:
            return None
        # Samples of a fixed size: the share of the bytes is the share of the time.
        return float(frames / file.samplerate * max(found.declared / min(found.present, found.declared), 1.0))
    if declares_length(data, container) and file.frames > 0:
        return float(file.frames / file.samplerate)
    return None


class _Format(NamedTuple):
    media_type: str
    container: str
    subtype: str
    rates_hz: tuple[int, ...] = ()
    """Sample rates that the codec knows; empty for any."""


_MPEG_1_RATES_HZ = (32000, 44100, 48000)
"""The lower rates are MPEG-2, whose frames libsndfile's encoder overfills: decoders complain and skip."""
_MP3 = {"bitrate_mode": "CONSTANT", "compression_level": 0.8}
"""About 100 kbit/s; its variable rate breaks frames at every sample rate."""
_OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
FORMATS = {
    "wav": _Format("audio/wav", "WAV", "PCM_16"),
    "mp3": _Format("audio/mpeg", "MP3", "MPEG_LAYER_III", _MPEG_1_RATES_HZ),
    "flac": _Format("audio/flac", "FLAC", "PCM_16"),
    "ogg": _Format("audio/ogg", "OGG", "VORBIS"),
    "opus": _Format("audio/ogg", "OGG", "OPUS", _OPUS_RATES_HZ),
    "pcm_s16le": _Format("audio/pcm", "RAW", "PCM_16"),
    "mulaw": _Format("audio/basic", "RAW", "ULAW"),
}
"""What `encode` can make, by name."""
_OGG_SERIAL = 1


def media_type_of(name: str) -> str:
    """The media type of one of `FORMATS`."""
    return FORMATS[name].media_type


@defer_keyboard_interrupt()
def encode(samples: Samples, sample_rate_hz: int, name: str) -> tuple[bytes, str]:
    """`samples` in the format `name` and its media type; 16 bits where the format has bits.

    Equal samples give equal bytes. A rate that the codec does not know is resampled to the next
    higher one it knows.

    Raises:
        ValueError: `name` is not one of `FORMATS`.
    """
    import soundfile

    made = FORMATS.get(name)
    if made is None:
        raise ValueError(f"unknown audio format {name!r}: known: {', '.join(FORMATS)}")
    if made.rates_hz and sample_rate_hz not in made.rates_hz:
        rate = next((known for known in made.rates_hz if known > sample_rate_hz), made.rates_hz[-1])
        samples, sample_rate_hz = resample(samples, sample_rate_hz, rate), rate
    buffer = io.BytesIO()
    endian = "LITTLE" if made.container == "RAW" and made.subtype == "PCM_16" else "FILE"
    soundfile.write(
        buffer,
        samples,
        sample_rate_hz,
        format=made.container,
        subtype=made.subtype,
        endian=endian,
        **(_MP3 if name == "mp3" else {}),
    )
    data = buffer.getvalue()
    return with_serial(data, _OGG_SERIAL) if made.container == "OGG" else data, made.media_type


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """`samples` at another rate (soxr, high quality); the same array where the rates are equal."""
    if from_hz == to_hz:
        return samples
    import soxr

    resampled: Samples = soxr.resample(samples, from_hz, to_hz).astype(np.float32)
    return resampled


def decode_saved(data: bytes, known: AudioFacts) -> DecodedAudio:
    """Decode audio that was measured before, with what was declared of it then.

    Raises:
        UndecodableAudioError: it cannot be decoded.
    """
    declared = None
    if known.raw_format and known.sample_rate_hz:
        declared = RawAudioFormat(
            format=known.raw_format, sample_rate_hz=known.sample_rate_hz, channels=known.channels or 1
        )
    return decode(data, declared=declared)


def facts(
    data: bytes, *, file: str, media_type: str | None, declared: RawAudioFormat | None = None
) -> tuple[AudioFacts, DecodedAudio | None]:
    """What can be measured on audio received, and the samples; `None` where it cannot be decoded.

    Args:
        data: as received.
        file: where it is kept, relative to the run's folder.
        media_type: as the provider declares it.
        declared: for samples without a header.
    """
    digest = hashlib.sha256(data).hexdigest()
    try:
        decoded = decode(data, declared=declared)
    except UndecodableAudioError:
        known = AudioFacts(
            sha256=digest, file=file, bytes=len(data), media_type=media_type, container=sniff_container(data)
        )
        return known, None
    level = rms_dbfs(decoded.samples)
    measured = AudioFacts(
        sha256=digest,
        file=file,
        bytes=len(data),
        media_type=media_type,
        container=decoded.container,
        sample_rate_hz=decoded.sample_rate_hz,
        channels=decoded.channels,
        raw_format=declared.format if declared and decoded.container == "pcm" else None,
        audio_s=decoded.audio_s,
        leading_silence_s=leading_silence_s(decoded.samples, decoded.sample_rate_hz),
        rms_dbfs=level if math.isfinite(level) else None,
    )
    return measured, decoded
