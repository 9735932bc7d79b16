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
    speak_with_times,
)
from voicegauge.speech.encoding import resample
from voicegauge.speech.espeak import TimedSpeech

Place = tuple[float, float]
"""From when to when a defect is audible, in seconds: a moment, or a word."""
FORMATS, RATES_HZ = ("wav", "mp3", "flac", "ogg"), (16_000, 22_050, 24_000, 44_100)
DROPOUT_S = 0.08
DROPOUT, LOSSY_DROPOUT = "80 ms missing, WAV or FLAC", "80 ms missing, MP3 or Ogg"
FORMATS_BY_DEFECT = {DROPOUT: ("wav", "flac"), LOSSY_DROPOUT: ("mp3", "ogg")}
MIN_LEVEL_OF_DROPOUT_DB = -20.0
"""Level of what is removed, at least, below the root mean square of the clip: nobody misses a part of a pause."""


class DefectiveClip(NamedTuple):
    """A clip that does not say its text as it should."""

    clip: Clip
    place_s: Place | None
    """`None` if the defect has no place."""


def make_defective_clip(kind: str, random: Random, variants: tuple[str, ...] = EMULATOR_VARIANTS) -> DefectiveClip:
    """Return a clip with a defect of a kind in `DEFECTS`."""
    text, other = random.sample(list_sentences(), 2)
    if kind == "one digit changed":
        text = _add_number(text, random)
    voice, rate = choose_voice(random, variants), random.choice(RATES_HZ)
    spoken, change = DEFECTS[kind](text, other, random)
    speech = speak_with_times(spoken, voice, rate, random.getrandbits(31))
    has_noise = random.random() < 1 / 3
    if has_noise and kind in FORMATS_BY_DEFECT:  # what is missing is missing with its noise
        speech = speech._replace(samples=add_noise(speech.samples, 20.0, random))
    changed, place_s = change(speech, rate)
    if has_noise and kind not in FORMATS_BY_DEFECT:
        changed = add_noise(changed, 20.0, random)
    audio_format = random.choice(FORMATS_BY_DEFECT.get(kind, FORMATS))
    return DefectiveClip(pass_through_format(text, voice, changed, rate, audio_format), place_s)


SampleChange = Callable[[TimedSpeech, int], tuple[Samples, Place | None]]
Defect = Callable[[str, str, Random], tuple[str, SampleChange]]
"""Function that returns the text that is spoken in place of the requested one, and a change of its samples."""


def _keep(speech: TimedSpeech, _rate: int) -> tuple[Samples, Place | None]:
    return speech.samples, None


def _keep_changed_word(words: list[str], place: int) -> tuple[str, SampleChange]:
    """Return the text of `words`, and a change that finds when one of them is said; after the last, the end."""
    index = sum(len(word) + 1 for word in words[:place])

    def locate(speech: TimedSpeech, rate: int) -> tuple[Samples, Place | None]:
        end_s = len(speech.samples) / rate
        said = ((word.start_s, word.end_s) for word in speech.words if word.end_index > index)
        return speech.samples, next(said, (end_s, end_s))

    return " ".join(words), locate


def _replace_by_noise(samples: Samples, _rate: int) -> tuple[Samples, Place | None]:
    return (0.1 * np.random.default_rng(0).standard_normal(len(samples))).astype(np.float32), None


def _cut_end(samples: Samples, rate: int) -> tuple[Samples, Place | None]:
    kept = samples[: int(len(samples) * 0.8)]
    return kept, (len(kept) / rate, len(kept) / rate)


def _cut_start(samples: Samples, _rate: int) -> tuple[Samples, Place | None]:
    return samples[int(len(samples) * 0.2) :], (0.0, 0.0)


def _say_twice(samples: Samples, rate: int) -> tuple[Samples, Place | None]:
    return np.concatenate([samples, samples]), (len(samples) / rate, len(samples) / rate)


def _begin_with_silence(samples: Samples, rate: int) -> tuple[Samples, Place | None]:
    return np.concatenate([np.zeros(5 * rate, np.float32), samples]), (0.0, 0.0)


def _halve_rate(samples: Samples, rate: int) -> tuple[Samples, Place | None]:
    return resample(samples, rate, 2 * rate), None


def _double_rate(samples: Samples, rate: int) -> tuple[Samples, Place | None]:
    return resample(samples, 2 * rate, rate), None


def _drop_samples(text: str, _other: str, random: Random) -> tuple[str, SampleChange]:
    def change(speech: TimedSpeech, rate: int) -> tuple[Samples, Place | None]:
        samples, size, part = speech.samples.copy(), round(DROPOUT_S * rate), round(0.02 * rate)
        powers = samples[: len(samples) // part * part].reshape(-1, part).astype(np.float64)
        is_loud = (powers**2).mean(axis=1) >= (samples**2).mean() * 10 ** (MIN_LEVEL_OF_DROPOUT_DB / 10)
        audible = np.lib.stride_tricks.sliding_window_view(is_loud, size // part + 1).all(axis=1)
        start = int(random.choice(np.flatnonzero(audible).tolist())) * part + random.randrange(part)
        samples[start : start + size] = 0
        return samples, (start / rate, (start + size) / rate)

    return text, change


def _replace_word(text: str, other: str, random: Random) -> tuple[str, SampleChange]:
    words, spare = text.split(), [word for word in other.strip(".!?").split() if len(word) > 3]
    places = [index for index, word in enumerate(words) if len(word) > 3]
    place = random.choice(places)
    words[place] = random.choice([word for word in spare if word.lower() != words[place].lower()])
    return _keep_changed_word(words, place)


def _drop_word(text: str, _other: str, random: Random) -> tuple[str, SampleChange]:
    words = text.split()
    place = random.choice([index for index, word in enumerate(words) if len(word) > 3])
    del words[place]
    return _keep_changed_word(words, place)


def _repeat_word(text: str, _other: str, random: Random) -> tuple[str, SampleChange]:
    words = text.split()
    place = random.choice([index for index, word in enumerate(words) if len(word) > 3])
    words.insert(place, words[place].strip(",.!?"))
    return _keep_changed_word(words, place + 1)


def _add_number(text: str, random: Random) -> str:
    words = text.split()
    words.insert(len(words) // 2, str(random.randint(21, 99)))
    return " ".join(words)


def _change_digit(text: str, _other: str, random: Random) -> tuple[str, SampleChange]:
    words = text.split()
    place = next(index for index, word in enumerate(words) if word.isdecimal())
    words[place] = words[place][0] + random.choice([digit for digit in "123456789" if digit != words[place][1]])
    return _keep_changed_word(words, place)


def _change_samples(change: Callable[[Samples, int], tuple[Samples, Place | None]]) -> Defect:
    return lambda text, _other, _random: (text, lambda speech, rate: change(speech.samples, rate))


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
    DROPOUT: _drop_samples,
    LOSSY_DROPOUT: _drop_samples,
}
