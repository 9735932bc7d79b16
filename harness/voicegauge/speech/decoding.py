"""Decodes audio within limits of size and duration.

Everything that a provider sends is treated as hostile input. A small compressed file can expand to gigabytes of
samples, and a header can state any rate. Decoding stops at these limits with `UndecodableAudioError`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.model.base import Record
from voicegauge.model.exchange import FileContent
from voicegauge.speech.containers import (
    WavData,
    declares_length,
    defer_keyboard_interrupt,
    discard_decoder_messages,
    find_wav_data,
    is_container_uncertain,
    is_streamed_flac,
    load_av,
    open_audio,
    sniff_container,
)

# Limits the length and the format of audio that is decoded.


Samples = NDArray[np.float32]
"""Audio samples of shape (frames,) or (frames, channels), full scale at 1.0."""

MAX_AUDIO_DURATION_S = 1800.0
"""Maximum duration of decoded audio in seconds: half an hour. It is longer than any response to a speech request, but
stops a decompression bomb."""
MAX_SAMPLES = int(MAX_AUDIO_DURATION_S) * 24_000
"""Maximum number of samples in all channels, which take 173 MB as float32. They last half an hour at 24 kHz, the rate
of most speech models, or 15 minutes at 48 kHz."""
MAX_CHANNELS = 8
"""Maximum number of channels: that of 7.1 surround sound, which is also the maximum in common containers."""
SAMPLE_RATE_RANGE_HZ = (1_000, 384_000)
"""Lowest and highest accepted sample rate. Real audio has 8 kHz (telephony) to 384 kHz (studio), so a header with a
rate outside this range is damaged."""


class UndecodableAudioError(ValueError):
    """Raised for bytes that cannot be decoded as audio."""


def check_sample_rate_and_channels(sample_rate_hz: int, channels: int) -> None:
    """Reject a sample rate or a number of channels that no real audio has.

    Raises:
        UndecodableAudioError: the sample rate or the number of channels is out of range.
    """
    low, high = SAMPLE_RATE_RANGE_HZ
    if not low <= sample_rate_hz <= high or not 1 <= channels <= MAX_CHANNELS:
        raise UndecodableAudioError(f"audio of {channels} channels at {sample_rate_hz} Hz is out of range")


def compute_max_frames(sample_rate_hz: int, channels: int = 1) -> int:
    """Return the number of frames after which decoding stops at `sample_rate_hz`.

    Args:
        sample_rate_hz: sample rate of the decoded samples.
        channels: number of channels of the decoded samples.
    """
    return min(MAX_SAMPLES // channels, int(MAX_AUDIO_DURATION_S * sample_rate_hz))


def check_audio_length(frame_count: int, sample_rate_hz: int, channels: int = 1) -> None:
    """Reject audio that is too long.

    Raises:
        UndecodableAudioError: there are more frames than `compute_max_frames` allows.
    """
    limit = compute_max_frames(sample_rate_hz, channels)
    if frame_count > limit:
        raise UndecodableAudioError(f"audio longer than {limit / sample_rate_hz:.0f} s")


def clip_to_full_scale(samples: Samples) -> Samples:
    """Clip `samples` to the range from -1.0 to 1.0 and replace NaN with 0; return the same array if nothing changes.

    Raises:
        UndecodableAudioError: none of the samples is a finite number, so that no sound is left.
    """
    # A float file may hold any value, and players clip as well. Comparisons with NaN are false, so NaN is replaced.
    if not len(samples) or (samples.min() >= -1.0 and samples.max() <= 1.0):
        return samples
    if not np.isfinite(samples).any():
        raise UndecodableAudioError("samples are not finite numbers")
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32)


# Collects decoded samples in one growing array.


_MIN_RESIZE_FRAMES = 2**16
"""Smallest number of frames by which a buffer grows."""


class SampleBuffer:
    """Collects decoded blocks up to the limits of length and memory.

    A list of blocks would need twice as much memory when its blocks are joined. Instead, one array is resized in place.
    If it is large, its memory pages are moved without copying them.
    """

    def __init__(self, sample_rate_hz: int, channels: int = 1) -> None:
        """Create an empty buffer for samples with this rate and number of channels."""
        self._rate_hz, self._channels = sample_rate_hz, channels
        self._limit = compute_max_frames(sample_rate_hz, channels)
        self._samples: Samples = np.empty((0, channels), np.float32)
        self._frames = 0

    def __len__(self) -> int:
        """Return the number of frames that were added so far."""
        return self._frames

    def add(self, block: Samples) -> None:
        """Append samples of shape (frames, channels), clipped to full scale.

        Raises:
            UndecodableAudioError: the audio is longer than the limits allow.
        """
        end = self._frames + len(block)
        check_audio_length(end, self._rate_hz, self._channels)
        if end > len(self._samples):
            # Only by an eighth, because resizing fills the new part, which takes memory before it is used.
            self._resize(min(end + max(end // 8, _MIN_RESIZE_FRAMES), self._limit))
        self._samples[self._frames : end] = clip_to_full_scale(block)
        self._frames = end

    def get_samples(self) -> Samples:
        """Return all samples, of shape (frames, channels)."""
        self._resize(self._frames)
        return self._samples

    def _resize(self, frame_count: int) -> None:
        self._samples.resize((frame_count, self._samples.shape[1]), refcheck=False)  # no other object refers to it yet


# Decodes audio with FFmpeg through PyAV, where libsndfile does not suffice.


FFMPEG_CONTAINERS = frozenset({"m4a", "aac", "webm"})
"""Containers that libsndfile cannot read, so that FFmpeg is used for them."""
CHANNEL_LAYOUTS = {1: "mono", 2: "stereo"}
"""FFmpeg's names of the arrangements of channels, by the number of channels."""


class AudioTrack(NamedTuple):
    """The decoded first audio track of a file."""

    samples: Samples
    """Samples of shape (frames, channels), full scale at 1.0."""
    sample_rate_hz: int
    source_channels: int
    """Number of channels in the file, before mixing."""
    codec: str
    """FFmpeg's name of the codec, such as "aac"; "unknown" if it has none."""


def decode_track(
    audio_bytes: FileContent, *, sample_rate_hz: int | None = None, channels: int | None = None
) -> AudioTrack:
    """Decode the first audio track of a file. If the file is damaged, the part before the damage is decoded.

    Args:
        audio_bytes: the encoded file.
        sample_rate_hz: sample rate of the result; `None` for the rate of the file.
        channels: number of channels of the result, 1 or 2; `None` for the number of the file, but at most 2.

    Raises:
        UndecodableAudioError: the file has no audio track, nothing in it can be decoded, or the audio exceeds the
            limits.
    """
    av = load_av()
    buffer: SampleBuffer | None = None
    rate, source_channels, codec = sample_rate_hz or 0, 0, "unknown"
    try:
        with av.open(io.BytesIO(audio_bytes), "r") as file:
            stream = _find_first_audio_stream(file)
            source_rate, source_channels = int(stream.rate or 0), int(stream.channels)
            codec = str(stream.codec_context.name)
            check_sample_rate_and_channels(source_rate, source_channels)
            rate, channels = sample_rate_hz or source_rate, channels or min(source_channels, 2)
            buffer = SampleBuffer(rate, channels)
            resampler = av.AudioResampler(format="flt", layout=CHANNEL_LAYOUTS[channels], rate=rate)
            for block in _resample_blocks(file.decode(stream), resampler):
                buffer.add(block)
    except UndecodableAudioError:
        raise
    except (av.error.FFmpegError, AttributeError, OverflowError, ValueError) as error:
        # AttributeError: a stream so broken that FFmpeg knows no codec for it. ValueError: the rate changes midway.
        if not buffer:
            raise UndecodableAudioError(f"cannot be read: {error}") from error
    if not buffer:
        raise UndecodableAudioError("no samples")
    return AudioTrack(buffer.get_samples(), rate, source_channels, codec)


def measure_bitrate_kbps(audio_bytes: bytes) -> float | None:
    """Return the mean bit rate of the first audio track, without headers and tags; `None` if it cannot be read."""
    av = load_av()
    try:
        with av.open(io.BytesIO(audio_bytes), "r") as file:
            stream = _find_first_audio_stream(file)
            sizes_and_durations = [
                (packet.size, packet.duration) for packet in file.demux(stream) if packet.size and packet.duration
            ]
            duration_s = float(sum(duration for _, duration in sizes_and_durations) * stream.time_base)
    except (UndecodableAudioError, av.error.FFmpegError, AttributeError, OverflowError, TypeError, ValueError):
        return None
    return sum(size for size, _ in sizes_and_durations) * 8 / 1000 / duration_s if duration_s else None


def _find_first_audio_stream(media_file: Any) -> Any:
    if not media_file.streams.audio:
        raise UndecodableAudioError("no audio track")
    return media_file.streams.audio[0]


def _resample_blocks(frames: Iterator[Any], resampler: Any) -> Iterator[Samples]:
    is_unchanged_so_far = True
    for frame in itertools.chain(frames, [None]):  # None flushes the samples that the resampler still holds back
        if frame is not None and is_unchanged_so_far and _needs_no_resampling(frame, resampler):
            yield frame.to_ndarray().reshape(-1, 1)
            continue
        is_unchanged_so_far = False  # the samples that the resampler holds back come first
        for resampled in resampler.resample(frame):
            yield resampled.to_ndarray().reshape(resampled.samples, -1)


def _needs_no_resampling(frame: Any, resampler: Any) -> bool:
    """Whether `frame` has the channel layout, sample rate and sample format that `resampler` would produce."""
    shape = frame.layout.name, frame.sample_rate, frame.format.packed.name
    return bool(shape == ("mono", resampler.rate, resampler.format.name) and resampler.layout.name == "mono")


# Decodes audio files and raw samples to mono float samples, with limits for hostile input.


_FRAMES_PER_BLOCK = 4096
"""Number of frames that are decoded at a time. If a block is damaged, the blocks before it are returned."""
_FRAMES_PER_LARGE_BLOCK = 65_536
"""Number of frames that are decoded at a time for `_LARGE_BLOCK_CONTAINERS`. After each block of MP3, the decoder
decodes some frames again, so small blocks would take twice the time."""
_LARGE_BLOCK_CONTAINERS = ("MP3", "WAV", "WAVEX", "RF64", "AIFF", "RAW")
"""Containers, as libsndfile names them, that are decoded in large blocks. No block of them fails: the samples are not
compressed, or the decoder conceals damage (MP3)."""
_TRUNCATION_TOLERANCE_S = 0.05
"""Number of seconds by which a complete file may be shorter than it declares. Encoders pad and trim by up to two frames
of 1152 samples, which are 0.048 s at 48 kHz."""
_CONTAINER_BY_SNDFILE_NAME = {"WAVEX": "wav", "RF64": "wav", "RAW": "pcm"}
"""Names that this package gives to containers, by libsndfile's names, where the two differ."""


class RawAudioFormat(Record, frozen=True, kw_only=True):
    """The format of samples without a header, which the contract declares."""

    format: str = "pcm_s16le"
    """Encoding of the samples: "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "mulaw" or "alaw"."""
    sample_rate_hz: int
    channels: int = 1
    """Number of channels, whose samples alternate."""


class DecodedAudio(NamedTuple):
    """Decoded samples, and properties of the file that contained them."""

    samples: Samples
    """Mono samples of shape (frames,), full scale at 1.0. They are the mean of the channels in the file."""
    sample_rate_hz: int
    source_channels: int
    """Number of channels in the file, before they were mixed to mono."""
    container: str
    """Name of the container, such as "wav", "mp3", "flac", "ogg" or "aiff"; "pcm" for samples without a header."""
    codec: str
    """Name of the codec, such as "pcm_16", "mpeg_layer_iii", "vorbis" or "opus"."""
    duration_s: float
    """Duration of the decoded samples, in seconds."""
    declared_duration_s: float | None
    """Duration that the container declares, in seconds; `None` if it declares no duration, as in a stream."""

    @property
    def is_truncated(self) -> bool:
        """Whether the file is shorter than its container declares."""
        return (
            self.declared_duration_s is not None
            and self.declared_duration_s - self.duration_s > _TRUNCATION_TOLERANCE_S
        )


class _SampleEncoding(NamedTuple):
    """Encoding of samples without a header, in the words of libsndfile."""

    subtype: str
    """libsndfile's name of the sample format, such as "PCM_16"."""
    endian: str
    """libsndfile's name of the byte order: "LITTLE", "BIG", or "FILE" for samples of one byte."""


_ENCODING_BY_RAW_FORMAT = {
    "pcm_s16le": _SampleEncoding("PCM_16", "LITTLE"),
    "pcm_s16be": _SampleEncoding("PCM_16", "BIG"),
    "pcm_s24le": _SampleEncoding("PCM_24", "LITTLE"),
    "pcm_f32le": _SampleEncoding("FLOAT", "LITTLE"),
    "pcm_u8": _SampleEncoding("PCM_U8", "FILE"),
    "mulaw": _SampleEncoding("ULAW", "FILE"),
    "alaw": _SampleEncoding("ALAW", "FILE"),
}
"""Encodings of samples without a header, by the names that contracts give them."""


@defer_keyboard_interrupt()
def decode(audio_bytes: FileContent, *, declared_format: RawAudioFormat | None = None) -> DecodedAudio:
    """Decode a file, or raw samples of a declared format, to mono samples.

    If `audio_bytes` has a header, the header is used rather than `declared_format`. There is one exception: raw samples
    may begin like an MPEG audio frame by chance, as in a few of a thousand quiet mu-law recordings. If they cannot be
    decoded as such, `declared_format` is used. A streamed WAV file (declared length 0, or two gigabytes and more) is
    read to its end. If a file is damaged, the part before the damage is returned.

    Args:
        audio_bytes: the encoded audio as it was received.
        declared_format: format of the samples if they have no header; `None` if it is not known.

    Raises:
        UndecodableAudioError: `audio_bytes` is not audio, has an unsupported container, contains no samples, or is
            longer than `MAX_AUDIO_DURATION_S` or `MAX_SAMPLES`. Also raised if the sample rate or the number of
            channels is out of range.
    """
    container = sniff_container(audio_bytes)
    if container is None and declared_format is not None:
        return _decode_raw(audio_bytes, declared_format)
    try:
        return _decode_container(audio_bytes, container)
    except UndecodableAudioError:
        if (
            declared_format is None
            or declared_format.format not in _ENCODING_BY_RAW_FORMAT
            or not is_container_uncertain(audio_bytes)
        ):
            raise
        return _decode_raw(audio_bytes, declared_format)


def _decode_container(audio_bytes: FileContent, container: str | None) -> DecodedAudio:
    import soundfile

    wav_data = find_wav_data(audio_bytes)
    if wav_data is not None and wav_data.mono_16_bit_sample_rate_hz is not None:
        return _read_mono_16_bit_wav(audio_bytes, wav_data, wav_data.mono_16_bit_sample_rate_hz)
    # libsndfile loses the last block of a FLAC file if its header does not state the number of samples.
    if container is not None and (container in FFMPEG_CONTAINERS or is_streamed_flac(audio_bytes)):
        return _decode_by_ffmpeg(audio_bytes, container)
    # Only the MP3 decoder, libmpg123, prints messages. libsndfile may also recognize MP3 by later bytes.
    silence = discard_decoder_messages() if container in ("mp3", None) else contextlib.nullcontext()
    try:
        with silence, _build_forward_only_sound_file_class()(open_audio(audio_bytes)) as file:
            return _read_sound_file(file, audio_bytes)
    except (soundfile.SoundFileError, TypeError, OSError, OverflowError) as error:
        reason = f"{container} that cannot be read" if container else "not a known audio container"
        raise UndecodableAudioError(f"{len(audio_bytes)} bytes: {reason}") from error


def _decode_by_ffmpeg(audio_bytes: FileContent, container: str) -> DecodedAudio:
    try:
        track = decode_track(audio_bytes, channels=1)
    except UndecodableAudioError as error:
        raise UndecodableAudioError(f"{len(audio_bytes)} bytes of {container}: {error}") from error
    return DecodedAudio(
        samples=track.samples.reshape(-1),
        sample_rate_hz=track.sample_rate_hz,
        source_channels=track.source_channels,
        container=container,
        codec=track.codec,
        duration_s=len(track.samples) / track.sample_rate_hz,
        declared_duration_s=None,
    )


def _decode_raw(audio_bytes: FileContent, declared_format: RawAudioFormat) -> DecodedAudio:
    import soundfile

    encoding = _ENCODING_BY_RAW_FORMAT.get(declared_format.format)
    if encoding is None:
        raise UndecodableAudioError(f"raw audio of the unknown format {declared_format.format!r}")
    check_sample_rate_and_channels(declared_format.sample_rate_hz, declared_format.channels)
    try:
        with _build_forward_only_sound_file_class()(
            io.BytesIO(audio_bytes),
            samplerate=declared_format.sample_rate_hz,
            channels=declared_format.channels,
            format="RAW",
            subtype=encoding.subtype,
            endian=encoding.endian,
        ) as file:
            return _read_sound_file(file, audio_bytes)
    except (soundfile.SoundFileError, TypeError, OSError, OverflowError) as error:
        raise UndecodableAudioError(f"{len(audio_bytes)} bytes: not samples of {declared_format.format}") from error


def _read_mono_16_bit_wav(audio_bytes: FileContent, wav_data: WavData, sample_rate_hz: int) -> DecodedAudio:
    """Read the samples of a WAV file without libsndfile: the result is the same, in a tenth of the time."""
    check_sample_rate_and_channels(sample_rate_hz, 1)
    frames = min(wav_data.declared_size_bytes or wav_data.actual_size_bytes, wav_data.actual_size_bytes) // 2
    check_audio_length(frames, sample_rate_hz)
    if not frames:
        raise UndecodableAudioError(f"{len(audio_bytes)} bytes of wav without a single sample")
    # Scaled as libsndfile does it, so that digests of samples do not depend on the way of decoding.
    samples = np.frombuffer(audio_bytes, "<i2", frames, wav_data.size_field_offset + 4)
    return DecodedAudio(
        samples=np.multiply(samples, np.float32(2**-15), dtype=np.float32),
        sample_rate_hz=sample_rate_hz,
        source_channels=1,
        container="wav",
        codec="pcm_16",
        duration_s=frames / sample_rate_hz,
        declared_duration_s=_compute_declared_duration_s(wav_data, frames, sample_rate_hz),
    )


@functools.cache
def _build_forward_only_sound_file_class() -> Any:
    import soundfile

    class ForwardSoundFile(soundfile.SoundFile):  # type: ignore[misc] # soundfile has no types
        """A `soundfile.SoundFile` that never seeks.

        soundfile seeks after each block of a seekable file, and decoders then decode some frames again. That changes
        the last bit of some samples of MP3. The samples must not change, because recorded requests are found by the
        digests of their uploads, which may be made from decoded MP3.
        """

        def seekable(self) -> bool:
            """Return whether soundfile may seek."""
            return bool(self.format == "MP3" and super().seekable())

    return ForwardSoundFile


def _read_sound_file(sound_file: Any, audio_bytes: FileContent) -> DecodedAudio:
    rate, channels = int(sound_file.samplerate), int(sound_file.channels)
    check_sample_rate_and_channels(rate, channels)
    samples = _read_samples(sound_file)
    if not len(samples):
        raise UndecodableAudioError(f"{len(audio_bytes)} bytes of {sound_file.format.lower()} without a single sample")
    container = _CONTAINER_BY_SNDFILE_NAME.get(sound_file.format, sound_file.format.lower())
    return DecodedAudio(
        samples=samples,
        sample_rate_hz=rate,
        source_channels=channels,
        container=container,
        codec=sound_file.subtype.lower(),
        duration_s=len(samples) / rate,
        declared_duration_s=_read_declared_duration_s(sound_file, audio_bytes, container, len(samples)),
    )


def _read_samples(sound_file: Any) -> Samples:
    import soundfile

    buffer, channels = SampleBuffer(sound_file.samplerate), sound_file.channels
    frames_at_a_time = _FRAMES_PER_LARGE_BLOCK if sound_file.format in _LARGE_BLOCK_CONTAINERS else _FRAMES_PER_BLOCK
    # Small blocks are collected in a large one, because each addition to the buffer takes as long as decoding a block.
    block = np.empty((_FRAMES_PER_LARGE_BLOCK, channels), np.float32)
    is_at_end = False
    while not is_at_end:
        filled = 0
        while filled < len(block) and not is_at_end:
            try:
                read = sound_file.buffer_read_into(block[filled : filled + frames_at_a_time], "float32")
            except soundfile.SoundFileError:
                read = 0  # damaged from here on, so only the blocks before are returned
            filled, is_at_end = filled + read, not read
        if filled:
            samples = block[:filled]
            if channels > 1:  # clipped first, because infinity and minus infinity have no mean
                samples = clip_to_full_scale(samples).mean(axis=1, dtype=np.float32, keepdims=True)
            buffer.add(samples)
    return buffer.get_samples()[:, 0]


def _read_declared_duration_s(
    sound_file: Any, audio_bytes: FileContent, container: str, frame_count: int
) -> float | None:
    wav_data = find_wav_data(audio_bytes)
    if wav_data is not None:
        return _compute_declared_duration_s(wav_data, frame_count, sound_file.samplerate)
    if declares_length(audio_bytes, container) and sound_file.frames > 0:
        return float(sound_file.frames / sound_file.samplerate)
    return None


def _compute_declared_duration_s(wav_data: WavData, frame_count: int, sample_rate_hz: int) -> float | None:
    if wav_data.declared_size_bytes is None or not wav_data.actual_size_bytes:
        return None
    # Only `frames` are present. All have one size, so bytes are proportional to seconds.
    declared_to_present = max(
        wav_data.declared_size_bytes / min(wav_data.actual_size_bytes, wav_data.declared_size_bytes), 1.0
    )
    return float(frame_count / sample_rate_hz * declared_to_present)
