"""What the emulator does to audio: true conversions, and effects that can be heard and say nothing of a provider.

Pitch and speed are changed by FFmpeg's filters, so that the words stay. Stems are bands that
sum to the input. Key and tempo are simple estimates.
"""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

OUTPUT_FORMATS = ("wav", "mp3", "flac", "ogg", "m4a", "aac")
"""Formats that an answer can have."""
MAX_SEMITONES = 3
"""How far a voice lies from the original: further on, words are lost."""
STEMS = {
    2: ("vocals", "instrumental"),
    4: ("vocals", "drums", "bass", "other"),
    5: ("vocals", "drums", "bass", "piano", "other"),
    6: ("vocals", "drums", "bass", "guitar", "piano", "other"),
}
"""Names of the stems, as the models in the field name them."""
_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""Key profiles of Krumhansl and Kessler (Psychological Review 89, 1982)."""
_TEMPO_BPM = (60.0, 180.0)


class AudioEffect(NamedTuple):
    """What shall become of samples."""

    does: str
    """As `x-conversion.does` has it."""
    voice: str | None = None
    speed: float = 1.0
    strength: int = 2
    """1 to 5."""


def apply_effect(samples: Samples, rate: int, change: AudioEffect) -> Samples:
    """Mono `samples` after `change`, at the same rate."""
    from voicegauge.speech.audio import apply_filters

    filters = _filters(rate, change)
    return apply_filters(samples, rate, filters) if filters else samples


def _filters(rate: int, change: AudioEffect) -> list[tuple[str, str]]:
    if change.does in ("voice", "style"):
        shift = 2 ** (pitch_shift_semitones(change.voice) / 12)
        return [("asetrate", str(round(rate * shift))), ("aresample", str(rate)), *_tempo(change.speed / shift)]
    if change.does == "enhance":
        return [("afftdn", f"nr={6 * change.strength}"), ("highpass", "f=60")]
    if change.does == "dereverb":
        return [("agate", f"threshold={0.005 * change.strength}:ratio={1 + change.strength}:release=80")]
    return []


def _tempo(factor: float) -> list[tuple[str, str]]:
    return [] if abs(factor - 1) < 1e-6 else [("atempo", f"{factor:.6f}")]


def pitch_shift_semitones(voice: str | None) -> int:
    """How far a voice is shifted: by its name, never not at all."""
    steps = [step for step in range(-MAX_SEMITONES, MAX_SEMITONES + 1) if step]
    return steps[zlib.crc32((voice or "").encode()) % len(steps)]


def split_stems(samples: Samples, rate: int, count: int) -> dict[str, Samples]:
    """`count` bands by a stem's name, which sum to `samples`: the first one is where speech lies."""
    import numpy as np

    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    voice = (frequencies >= 120) & (frequencies < 4000)
    rest = np.flatnonzero(~voice)
    parts = [np.flatnonzero(voice), *np.array_split(rest, count - 1)]
    names = STEMS.get(count) or tuple(f"stem_{index}" for index in range(count))
    found: dict[str, Any] = {}
    for name, bins in zip(names, parts, strict=True):
        band = np.zeros_like(spectrum)
        band[bins] = spectrum[bins]
        found[name] = np.fft.irfft(band, len(samples)).astype(np.float32)
    return found


def analyze_music(samples: Samples, rate: int) -> dict[str, Any]:
    """Key, scale, tempo and the keys that go with them, by the words of `x-conversion.answer.facts`."""
    root, scale = _key(samples, rate)
    number, letter = _camelot(root, scale)
    other = "A" if letter == "B" else "B"
    beside = [(number % 12 + 1, letter), ((number - 2) % 12 + 1, letter), (number, other)]
    return {
        "key": _NOTES[root],
        "scale": scale,
        "bpm": _bpm(samples, rate),
        "time_signature": "4/4",
        "camelot": f"{number}{letter}",
        "compatible_keys": [f"{_NOTES[root]} {scale}", *(_named(*key) for key in beside)],
    }


def _key(samples: Samples, rate: int) -> tuple[int, str]:
    """The root and scale whose profile fits the energy of the twelve notes best."""
    import numpy as np

    power = np.square(np.abs(np.fft.rfft(samples)))
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    heard = (frequencies > 55) & (frequencies < 2000)
    notes = np.round(12 * np.log2(frequencies[heard] / 440)).astype(int) + 9  # A is nine steps above C
    energy = np.bincount(notes % 12, weights=power[heard], minlength=12)
    fits = {
        (root, scale): float(np.dot(energy, np.roll(np.asarray(profile) - np.mean(profile), root)))
        for scale, profile in (("Major", _MAJOR), ("Minor", _MINOR))
        for root in range(12)
    }
    return max(fits, key=lambda key: fits[key])


def _bpm(samples: Samples, rate: int) -> float:
    """The tempo at which rises of loudness repeat most strongly."""
    import numpy as np

    size = max(1, rate // 100)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    rises = np.maximum(np.diff(np.sqrt(np.mean(np.square(frames), axis=1))), 0) if len(frames) > 2 else np.zeros(1)
    slow, fast = (int(100 * 60 / bpm) for bpm in _TEMPO_BPM)
    scores = {lag: float(np.dot(rises[lag:], rises[:-lag])) for lag in range(fast, slow + 1) if lag < len(rises)}
    best = max(scores, key=lambda lag: scores[lag], default=50)
    return round(6000 / best, 1)


@functools.cache
def _wheel() -> dict[tuple[int, str], tuple[int, str]]:
    """Camelot's wheel: number and letter by root and scale; a fifth up is one number on."""
    found = {}
    for step in range(12):
        found[step * 7 % 12, "Major"] = ((7 + step) % 12 + 1, "B")  # C major is 8B
        found[(9 + step * 7) % 12, "Minor"] = ((7 + step) % 12 + 1, "A")  # A minor is 8A
    return found


def _camelot(root: int, scale: str) -> tuple[int, str]:
    return _wheel()[root, scale]


def _named(number: int, letter: str) -> str:
    root, scale = next(key for key, location in _wheel().items() if location == (number, letter))
    return f"{_NOTES[root]} {scale}"
