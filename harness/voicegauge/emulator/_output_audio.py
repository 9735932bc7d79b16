"""Makes the audio of responses: applies effects to uploads, and encodes speech in the format that a request names."""

from __future__ import annotations

import functools
import itertools
import re
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from voicegauge.contract.extension.speech import RAW_SAMPLE_CODECS
from voicegauge.speech.containers import find_container_of_media_type
from voicegauge.speech.encoding import AUDIO_FORMATS, encode, encode_at_bitrate, find_media_type_of_format, resample

if TYPE_CHECKING:
    from voicegauge.speech.decoding import DecodedAudio, Samples


GENERIC_MEDIA_TYPES = ("application/octet-stream", "binary/octet-stream")
"""Media types that say nothing of the format."""
_WILDCARD_MEDIA_RANGES = ("audio/*", "*/*")
"""Ranges of media types that include all audio."""
_FORMATS_WRITTEN_BY_FFMPEG = ("m4a", "aac", "webm")
"""Formats that only FFmpeg writes, because `speech.encoding.encode` does not support them."""
OUTPUT_FORMATS = frozenset((*AUDIO_FORMATS, *_FORMATS_WRITTEN_BY_FFMPEG))
"""Names of all formats that the emulator writes."""
_FORMAT_BY_ALIAS = {
    "pcm": "pcm_s16le",
    "raw": "pcm_s16le",
    "l16": "pcm_s16le",  # RFC 2586 asks for the other byte order, which no speech API uses under this name
    "s16le": "pcm_s16le",
    "linear16": "pcm_s16le",
    "linear": "pcm_s16le",
    "wave": "wav",
    "riff": "wav",
    "ogg_vorbis": "ogg",
    "vorbis": "ogg",
    "oga": "ogg",
    "ogg_opus": "opus",
    "ulaw": "mulaw",
    "pcmu": "mulaw",
    "pcm_mulaw": "mulaw",
    "basic": "mulaw",
    "pcma": "alaw",
    "pcm_alaw": "alaw",
    "mpeg": "mp3",
    "mp4": "m4a",
    "aif": "aiff",
    "aifc": "aiff",
    "weba": "webm",
    "webm_opus": "webm",
    "adts": "aac",
}
"""The emulator's names of formats, by other names that providers give them."""
_MEDIA_TYPES_BY_FORMAT_IN_SHARED_CONTAINER = {
    "ogg": ("audio/ogg", "audio/vorbis", "application/ogg"),
    "opus": ("audio/opus", "audio/ogg", "application/ogg"),
    "mulaw": ("audio/basic", "audio/pcmu", "audio/mulaw", "audio/x-mulaw", "audio/ulaw", "audio/x-ulaw"),
    "alaw": ("audio/pcma", "audio/alaw", "audio/x-alaw", "audio/x-alaw-basic"),
    "pcm_s16le": ("audio/pcm", "audio/x-pcm", "audio/l16", "audio/raw"),
}
"""Media types of the formats that share a container with other formats, most specific first."""
_ALTERNATIVE_FORMAT_BY_FORMAT = {
    "pcm_s16le": "wav",
    "pcm_s16be": "wav",
    "pcm_s24le": "wav",
    "pcm_f32le": "wav",
    "pcm_u8": "wav",
    "mulaw": "wav",
    "alaw": "wav",
    "aac": "m4a",
    "m4a": "aac",
    "opus": "webm",
    "webm": "opus",
}
"""For each format, another one that has the same samples or the same codec in a different container."""
_AAC_SAMPLE_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sampling frequencies of AAC (ISO/IEC 14496-3, table 1.18)."""


def find_audio_format_name(format_name_or_media_type: str) -> str | None:
    """Return the emulator's name of a format, given a media type or the provider's name of the format.

    Return `None` if the emulator does not know the format.
    """
    short_name = format_name_or_media_type.partition(";")[0].strip().lower().removeprefix("audio/").removeprefix("x-")
    for candidate in (short_name, *re.split(r"[_\-.]", short_name)):  # "mp3_44100_128", "riff-24khz-16bit-mono-pcm"
        candidate = _FORMAT_BY_ALIAS.get(candidate, candidate)
        if candidate in OUTPUT_FORMATS:
            return candidate
    return None


def choose_media_type(format_name: str, documented_media_types: Iterable[str]) -> str | None:
    """Return the documented media type under which audio of this format is sent.

    Args:
        format_name: a format that the emulator writes.
        documented_media_types: the documented media types of the response, in lower case.

    Returns:
        The first of these that exists: a documented media type of the format; the format's usual media type, if a range
        such as "audio/*" is documented; a documented generic media type; a documented audio media type that is not
        known to mean another format. `None` if there is none of these.
    """
    documented_media_types = tuple(documented_media_types)
    usual = find_media_type_of_format(format_name)
    specific = (*_MEDIA_TYPES_BY_FORMAT_IN_SHARED_CONTAINER.get(format_name, ()), usual)
    candidates = itertools.chain(
        (name for name in specific if name in documented_media_types),
        (name for name in documented_media_types if _is_container_of_format(name, format_name)),
        (name for name in documented_media_types if find_audio_format_name(name) == format_name),
        (usual for name in _WILDCARD_MEDIA_RANGES if name in documented_media_types),
        (name for name in documented_media_types if name in GENERIC_MEDIA_TYPES),
        (
            name
            for name in documented_media_types
            if name.startswith("audio/")
            and find_container_of_media_type(name) is None
            and find_audio_format_name(name) is None
        ),
    )
    return next(candidates, None)


def _is_container_of_format(media_type: str, format_name: str) -> bool:
    """Whether `media_type` names the format's container, without naming another format in that container."""
    container = find_container_of_media_type(media_type)
    if container is None or container != find_container_of_media_type(find_media_type_of_format(format_name)):
        return False
    return not any(
        media_type in names
        for other, names in _MEDIA_TYPES_BY_FORMAT_IN_SHARED_CONTAINER.items()
        if other != format_name
    )


def choose_deliverable_format(format_name: str, documented_media_types: Iterable[str]) -> str:
    """Return the format in which audio is delivered if `format_name` is requested.

    This is the requested format if one of its media types is documented. Otherwise, it is an alternative format whose
    media type is documented: for example, PCM is sent as WAV. If there is no such alternative, the requested format is
    delivered, so that a check reports the missing media type.

    Args:
        format_name: the requested format.
        documented_media_types: the documented media types of the response, in lower case.
    """
    documented_media_types = tuple(documented_media_types)
    if not documented_media_types or choose_media_type(format_name, documented_media_types) is not None:
        return format_name
    other = _ALTERNATIVE_FORMAT_BY_FORMAT.get(format_name)
    return other if other is not None and choose_media_type(other, documented_media_types) is not None else format_name


def encode_output(samples: Samples, sample_rate_hz: int, format_name: str, bitrate_kbps: int | None = None) -> bytes:
    """Encode mono samples in any format that `find_audio_format_name` returns.

    If the codec does not support the sample rate, the next higher supported rate is used. MP3 with a `bitrate_kbps` is
    encoded at any rate of MPEG-1 and MPEG-2; `None` leaves the bit rate to the encoder. Other formats ignore it.
    """
    if format_name == "mp3" and bitrate_kbps is not None:
        return encode_at_bitrate(samples, sample_rate_hz, format_name, bitrate_kbps)
    if format_name not in _FORMATS_WRITTEN_BY_FFMPEG:
        return encode(samples, sample_rate_hz, format_name)[0]
    if format_name != "webm" and sample_rate_hz not in _AAC_SAMPLE_RATES_HZ:
        rate = next((known for known in _AAC_SAMPLE_RATES_HZ if known > sample_rate_hz), _AAC_SAMPLE_RATES_HZ[-1])
        samples, sample_rate_hz = resample(samples, sample_rate_hz, rate), rate
    return encode_at_bitrate(samples, sample_rate_hz, format_name)


MAX_PITCH_SHIFT_SEMITONES = 3
"""Largest pitch shift of a voice effect; with larger shifts words become unintelligible."""
STEM_NAMES_BY_COUNT = {
    2: ("vocals", "instrumental"),
    4: ("vocals", "drums", "bass", "other"),
    5: ("vocals", "drums", "bass", "piano", "other"),
    6: ("vocals", "drums", "bass", "guitar", "piano", "other"),
}
"""For each number of stems (parts of a mix, such as vocals and drums), the names that common separation models use."""
_NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
"""Names of the pitch classes, each a semitone above the one before."""
_MAJOR_KEY_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
"""How strongly each pitch class occurs in a major key, from its root; source: see the minor key."""
_MINOR_KEY_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How strongly each pitch class occurs in a minor key, from its root.

Source: Krumhansl and Kessler, Psychological Review 89, 1982.
"""
_TEMPO_RANGE_BPM = (60.0, 180.0)  # other tempos are reported at half or double speed


class AudioEffect(NamedTuple):
    """An audible effect that stands for what a provider does with audio, such as removing noise."""

    conversion_purpose: str
    """Purpose of the conversion, one of the values of `x-conversion.purpose`."""
    voice_name: str | None = None
    """Name of the requested voice, which determines by how much a voice effect shifts the pitch."""
    speed_factor: float = 1.0
    """Factor by which the audio is made faster: 2.0 halves its duration."""
    effect_strength: int = 2
    """Strength of the effect, from 1 (weak) to 5 (strong)."""


def apply_effect(samples: Samples, sample_rate_hz: int, effect: AudioEffect) -> Samples:
    """Return mono `samples` with `effect` applied, at the same rate; a purpose without an effect changes nothing."""
    from voicegauge.speech.encoding import apply_filters

    filters = _build_ffmpeg_filters(sample_rate_hz, effect)
    return apply_filters(samples, sample_rate_hz, filters) if filters else samples


def _build_ffmpeg_filters(sample_rate_hz: int, effect: AudioEffect) -> list[tuple[str, str]]:
    if effect.conversion_purpose in ("voice", "style"):
        shift = 2 ** (choose_pitch_shift_semitones(effect.voice_name) / 12)
        tempo = effect.speed_factor / shift  # the other filters change it too
        filters = [("asetrate", str(round(sample_rate_hz * shift))), ("aresample", str(sample_rate_hz))]
        return filters if abs(tempo - 1) < 1e-6 else [*filters, ("atempo", f"{tempo:.6f}")]
    if effect.conversion_purpose == "enhance":
        return [("afftdn", f"nr={6 * effect.effect_strength}"), ("highpass", "f=60")]
    if effect.conversion_purpose == "dereverb":
        return [("agate", f"threshold={0.005 * effect.effect_strength}:ratio={1 + effect.effect_strength}:release=80")]
    return []


def choose_pitch_shift_semitones(voice_name: str | None) -> int:
    """Return the pitch shift that represents `voice_name`; never 0, and always the same for a name or `None`."""
    # CRC-32, because Python's own hash of a text differs from process to process.
    steps = [step for step in range(-MAX_PITCH_SHIFT_SEMITONES, MAX_PITCH_SHIFT_SEMITONES + 1) if step]
    return steps[zlib.crc32((voice_name or "").encode()) % len(steps)]


def split_into_stems(samples: Samples, sample_rate_hz: int, stem_count: int) -> dict[str, Samples]:
    """Split audio into `stem_count` frequency bands, and return them with the stem names as keys.

    The sum of the bands is `samples`; the first band contains the speech.
    """
    import numpy as np

    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate_hz)
    voice = (frequencies >= 120) & (frequencies < 4000)
    rest = np.flatnonzero(~voice)
    parts = [np.flatnonzero(voice), *np.array_split(rest, stem_count - 1)]
    names = STEM_NAMES_BY_COUNT.get(stem_count) or tuple(f"stem_{index}" for index in range(stem_count))
    found: dict[str, Any] = {}
    for name, bins in zip(names, parts, strict=True):
        band = np.zeros_like(spectrum)
        band[bins] = spectrum[bins]
        found[name] = np.fft.irfft(band, len(samples)).astype(np.float32)
    return found


def analyze_music(samples: Samples, sample_rate_hz: int) -> dict[str, Any]:
    """Return the estimated key, scale and tempo of music, by name in `x-conversion.response.fact_locations`."""
    root, scale = _estimate_musical_key(samples, sample_rate_hz)
    position_by_key = _build_camelot_wheel_positions()
    key_by_position = {position: key for key, position in position_by_key.items()}
    number, letter = position_by_key[root, scale]
    other = "A" if letter == "B" else "B"
    neighbours = [(number % 12 + 1, letter), ((number - 2) % 12 + 1, letter), (number, other)]
    return {
        "key": _NOTE_NAMES[root],
        "scale": scale,
        "bpm": _estimate_tempo_bpm(samples, sample_rate_hz),
        "time_signature": "4/4",  # not estimated
        "camelot": f"{number}{letter}",
        "compatible_keys": [
            f"{_NOTE_NAMES[other_root]} {other_scale}"
            for other_root, other_scale in ((root, scale), *(key_by_position[position] for position in neighbours))
        ],
    }


def _estimate_musical_key(samples: Samples, sample_rate_hz: int) -> tuple[int, str]:
    """Return the root and scale whose key profile correlates best with the energy of the twelve pitch classes."""
    import numpy as np

    power = np.square(np.abs(np.fft.rfft(samples)))
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate_hz)
    tonal = (frequencies > 55) & (frequencies < 2000)  # hum lies below A1, and above B6 there are mostly overtones
    notes = np.round(12 * np.log2(frequencies[tonal] / 440)).astype(int) + 9  # A is nine semitones above C
    energy = np.bincount(notes % 12, weights=power[tonal], minlength=12)
    fits = {
        (root, scale): float(np.dot(energy, np.roll(np.asarray(profile) - np.mean(profile), root)))
        for scale, profile in (("Major", _MAJOR_KEY_PROFILE), ("Minor", _MINOR_KEY_PROFILE))
        for root in range(12)
    }
    return max(fits, key=lambda key: fits[key])


def _estimate_tempo_bpm(samples: Samples, sample_rate_hz: int) -> float:
    """Return the tempo whose beat interval best matches the rises in loudness (autocorrelation)."""
    import numpy as np

    size = max(1, sample_rate_hz // 100)  # frames of 10 ms, in which the lags below are counted
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    rises = np.maximum(np.diff(np.sqrt(np.mean(np.square(frames), axis=1))), 0) if len(frames) > 2 else np.zeros(1)
    slow, fast = (int(100 * 60 / bpm) for bpm in _TEMPO_RANGE_BPM)
    scores = {lag: float(np.dot(rises[lag:], rises[:-lag])) for lag in range(fast, slow + 1) if lag < len(rises)}
    best = max(scores, key=lambda lag: scores[lag], default=50)
    return round(6000 / best, 1)


@functools.cache
def _build_camelot_wheel_positions() -> dict[tuple[int, str], tuple[int, str]]:
    """Return the position of each musical key, given as (root, scale), on the Camelot wheel, as (number, letter).

    The Camelot wheel is a notation of musical keys for DJs, in which compatible keys are neighbors.
    Each step of a fifth adds one to the number.
    """
    found = {}
    for step in range(12):
        found[step * 7 % 12, "Major"] = ((7 + step) % 12 + 1, "B")  # C major is 8B
        found[(9 + step * 7) % 12, "Minor"] = ((7 + step) % 12 + 1, "A")  # A minor is 8A
    return found


_MAX_SAMPLE_RATE_HZ = 48_000
"""Audio with a higher sample rate is resampled to this one before effects are applied, because not all output formats
support higher rates."""


def convert_upload(
    decoded_audio: DecodedAudio,
    effect: AudioEffect,
    sample_rate_hz: int | None,
    format_name: str,
    bitrate_kbps: int | None,
) -> bytes:
    """Return an upload with an effect applied, encoded as `format_name`.

    Args:
        decoded_audio: the samples of the upload.
        effect: what is changed.
        sample_rate_hz: sample rate of the result; `None` keeps that of the samples.
        format_name: an audio format that `encode_output` or FFmpeg writes.
        bitrate_kbps: bit rate of the result; `None` leaves it to the encoder. Raw samples ignore it.
    """
    samples, rate = _limit_sample_rate(decoded_audio)
    samples = apply_effect(samples, rate, effect)
    if sample_rate_hz is not None:
        samples, rate = resample(samples, rate, sample_rate_hz), sample_rate_hz
    if format_name in RAW_SAMPLE_CODECS:  # which FFmpeg puts into no container
        return encode_output(samples, rate, format_name)
    return encode_at_bitrate(samples, rate, format_name, bitrate_kbps)


def _limit_sample_rate(decoded_audio: DecodedAudio) -> tuple[Any, int]:
    """Return samples at a rate of at most `_MAX_SAMPLE_RATE_HZ`, and this rate."""
    rate = min(decoded_audio.sample_rate_hz, _MAX_SAMPLE_RATE_HZ)
    return resample(decoded_audio.samples, decoded_audio.sample_rate_hz, rate), rate


def encode_stems(decoded_audio: DecodedAudio, stem_count: int, format_name: str) -> dict[str, bytes]:
    """Return the parts into which an upload is separated, each encoded, with the names of stems as keys."""
    samples, rate = _limit_sample_rate(decoded_audio)
    return {
        part: encode_at_bitrate(band, rate, format_name)
        for part, band in split_into_stems(samples, rate, stem_count).items()
    }
