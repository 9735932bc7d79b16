"""Plants defects: what a service would deliver, and where the defect is."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import numpy as np

from listening.clips import (
    EMULATOR_VARIANTS,
    Clip,
    Samples,
    add_noise,
    choose_voice,
    list_sentences,
    pass_through_format,
    speak,
)
from voicegauge.speech.encoding import resample

FORMATS, RATES_HZ = ("wav", "mp3", "flac", "ogg"), (16_000, 22_050, 24_000, 44_100)


class DefectiveClip(NamedTuple):
    """A clip that does not say its text as it should."""

    clip: Clip
    start_s: float | None
    """Time at which the defect is audible, in seconds; `None` if it has no place."""


def make_defective_clip(kind: str, random: Random, variants: tuple[str, ...] = EMULATOR_VARIANTS) -> DefectiveClip:
    """Return a clip with a defect of a kind in `DEFECTS`."""
    text, other = random.sample(list_sentences(), 2)
    if kind == "one digit changed":
        text = _add_number(text, random)
    voice, rate = choose_voice(random, variants), random.choice(RATES_HZ)
    spoken, change = DEFECTS[kind](text, other, random)
    samples = speak(spoken, voice, rate, random.getrandbits(31))
    changed, start_s = change(samples, rate)
    if random.random() < 1 / 3:
        changed = add_noise(changed, 20.0, random)
    return DefectiveClip(pass_through_format(text, voice, changed, rate, random.choice(FORMATS)), start_s)


SampleChange = Callable[[Samples, int], tuple[Samples, float | None]]
Defect = Callable[[str, str, Random], tuple[str, SampleChange]]
"""Function that returns the text that is spoken in place of the requested one, and a change of its samples."""


def _keep(samples: Samples, _rate: int) -> tuple[Samples, float | None]:
    return samples, None


def _replace_by_noise(samples: Samples, _rate: int) -> tuple[Samples, float | None]:
    return (0.1 * np.random.default_rng(0).standard_normal(len(samples))).astype(np.float32), None


def _cut_end(samples: Samples, rate: int) -> tuple[Samples, float | None]:
    kept = samples[: int(len(samples) * 0.8)]
    return kept, len(kept) / rate


def _cut_start(samples: Samples, _rate: int) -> tuple[Samples, float | None]:
    return samples[int(len(samples) * 0.2) :], 0.0


def _say_twice(samples: Samples, rate: int) -> tuple[Samples, float | None]:
    return np.concatenate([samples, samples]), len(samples) / rate


def _begin_with_silence(samples: Samples, rate: int) -> tuple[Samples, float | None]:
    return np.concatenate([np.zeros(5 * rate, np.float32), samples]), 0.0


def _halve_rate(samples: Samples, rate: int) -> tuple[Samples, float | None]:
    return resample(samples, rate, 2 * rate), None


def _double_rate(samples: Samples, rate: int) -> tuple[Samples, float | None]:
    return resample(samples, 2 * rate, rate), None


def _replace_word(text: str, other: str, random: Random) -> tuple[str, SampleChange]:
    words, spare = text.split(), [word for word in other.strip(".!?").split() if len(word) > 3]
    places = [index for index, word in enumerate(words) if len(word) > 3]
    place = random.choice(places)
    words[place] = random.choice([word for word in spare if word.lower() != words[place].lower()])
    return " ".join(words), _keep


def _drop_word(text: str, _other: str, random: Random) -> tuple[str, SampleChange]:
    words = text.split()
    del words[random.choice([index for index, word in enumerate(words) if len(word) > 3])]
    return " ".join(words), _keep


def _repeat_word(text: str, _other: str, random: Random) -> tuple[str, SampleChange]:
    words = text.split()
    place = random.choice([index for index, word in enumerate(words) if len(word) > 3])
    words.insert(place, words[place].strip(",.!?"))
    return " ".join(words), _keep


def _add_number(text: str, random: Random) -> str:
    words = text.split()
    words.insert(len(words) // 2, str(random.randint(21, 99)))
    return " ".join(words)


def _change_digit(text: str, _other: str, random: Random) -> tuple[str, SampleChange]:
    words = text.split()
    place = next(index for index, word in enumerate(words) if word.isdecimal())
    words[place] = words[place][0] + random.choice([digit for digit in "123456789" if digit != words[place][1]])
    return " ".join(words), _keep


def _change_samples(change: SampleChange) -> Defect:
    return lambda text, _other, _random: (text, change)


DEFECTS: dict[str, Defect] = {
    "not speech": _change_samples(_replace_by_noise),
    "another text": lambda _text, other, _random: (other, _keep),
    "last 20% missing": _change_samples(_cut_end),
    "first 20% missing": _change_samples(_cut_start),
    "said twice": _change_samples(_say_twice),
    "5 s of silence": _change_samples(_begin_with_silence),
    "half of the rate": _change_samples(_halve_rate),
    "double the rate": _change_samples(_double_rate),
    "one word replaced": _replace_word,
    "one word dropped": _drop_word,
    "one word repeated": _repeat_word,
    "one digit changed": _change_digit,
}
