"""Applies audible effects to uploaded audio, separates it into stems, and estimates key and tempo of music."""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from voicegauge.speech.decoding import Samples


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
_MAJOR_KEY_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR_KEY_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How strongly each pitch class occurs in a minor key (Krumhansl and Kessler, Psychological Review 89, 1982)."""
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
    """Return mono `samples` with `effect` applied, at the same sample rate."""
    from voicegauge.speech.decoding import apply_filters

    filters = _build_ffmpeg_filters(sample_rate_hz, effect)
    return apply_filters(samples, sample_rate_hz, filters) if filters else samples


def _build_ffmpeg_filters(sample_rate_hz: int, effect: AudioEffect) -> list[tuple[str, str]]:
    if effect.conversion_purpose in ("voice", "style"):
        shift = 2 ** (choose_pitch_shift_semitones(effect.voice_name) / 12)
        return [
            ("asetrate", str(round(sample_rate_hz * shift))),
            ("aresample", str(sample_rate_hz)),
            *_build_tempo_filter(effect.speed_factor / shift),
        ]
    if effect.conversion_purpose == "enhance":
        return [("afftdn", f"nr={6 * effect.effect_strength}"), ("highpass", "f=60")]
    if effect.conversion_purpose == "dereverb":
        return [("agate", f"threshold={0.005 * effect.effect_strength}:ratio={1 + effect.effect_strength}:release=80")]
    return []


def _build_tempo_filter(speed_factor: float) -> list[tuple[str, str]]:
    return [] if abs(speed_factor - 1) < 1e-6 else [("atempo", f"{speed_factor:.6f}")]


def choose_pitch_shift_semitones(voice_name: str | None) -> int:
    """Return the pitch shift that represents `voice_name`; it is never 0, and always the same for the same name."""
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
    """Estimate key, scale and tempo, and return them under their names in `x-conversion.response.fact_locations`."""
    root, scale = _estimate_musical_key(samples, sample_rate_hz)
    number, letter = _build_camelot_wheel_positions()[root, scale]
    other = "A" if letter == "B" else "B"
    neighbours = [(number % 12 + 1, letter), ((number - 2) % 12 + 1, letter), (number, other)]
    return {
        "key": _NOTE_NAMES[root],
        "scale": scale,
        "bpm": _estimate_tempo_bpm(samples, sample_rate_hz),
        "time_signature": "4/4",
        "camelot": f"{number}{letter}",
        "compatible_keys": [f"{_NOTE_NAMES[root]} {scale}", *(_find_musical_key_name(*key) for key in neighbours)],
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

    size = max(1, sample_rate_hz // 100)
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


def _find_musical_key_name(camelot_number: int, camelot_letter: str) -> str:
    root, scale = next(
        key
        for key, position in _build_camelot_wheel_positions().items()
        if position == (camelot_number, camelot_letter)
    )
    return f"{_NOTE_NAMES[root]} {scale}"
