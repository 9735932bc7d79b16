"""Prints how many defects of long speech are found: `PYTHONPATH=benchmarks python -m long_texts`.

Each clip has sixty sentences (four to five minutes), in a voice of the emulator or in one that does not occur in the
training, in one of four formats, a third of them with noise at 25 dB. A sentence is left out or said again, a sentence
that the text does not have is added, or some sentences are quieter, slower, faster, or in another voice. Ends with exit
status 1 if fewer than 95% of a kind are found or located (text within 0.5 s, sound within 6 s), or if a clean clip is
accused.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import Random
from typing import NamedTuple

import numpy as np
from listening.__main__ import UNSEEN_VARIANTS
from listening.clips import EMULATOR_VARIANTS, Voice, add_noise, list_sentences, pass_through_format, speak

from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.listening import ClipJudgement, listen_to_clip

SENTENCES, RATE_HZ = 60, 22_050
FORMATS = ("wav", "mp3", "flac", "ogg")
NOISE_DB = 25.0
TEXT_DEFECTS = ("a sentence left out", "a sentence said again", "a sentence added")
SOUND_DEFECTS = ("8 dB quieter for 8 sentences", "25% faster for 15 sentences", "another voice for 15 sentences")
CLEAN = "clean"
MIN_FOUND, TEXT_TOLERANCE_S, SOUND_TOLERANCE_S = 0.95, 0.5, 6.0
USUAL_PACE, FASTER_PACE = 160, 200


class Trial(NamedTuple):
    """What was found in one clip."""

    is_found: bool
    is_located: bool
    duration_s: float
    spent_s: float
    judgement: ClipJudgement


def run_trial(kind: str, variants: tuple[str, ...], seed: int) -> Trial:
    """Make a clip with a defect of one kind, and listen to it."""
    random = Random(f"{kind} {seed}")  # noqa: S311 - repeatable, and no secret
    *sentences, added = random.sample(list_sentences(), SENTENCES + 1)
    voice = Voice(random.choice(variants), USUAL_PACE, random.randint(40, 60))
    place = random.randint(8, SENTENCES - 20)
    parts = [speak(text, voice, RATE_HZ, index) for index, text in enumerate(sentences)]
    start_s = sum(map(len, parts[:place])) / RATE_HZ
    if kind == "a sentence left out":
        del parts[place]
    elif kind == "a sentence said again":
        parts.insert(place, parts[place - 1])
    elif kind == "a sentence added":
        parts.insert(place, speak(added, voice, RATE_HZ, 0))
    elif kind == SOUND_DEFECTS[0]:
        parts[place : place + 8] = [part * np.float32(10 ** (-8 / 20)) for part in parts[place : place + 8]]
    elif kind in SOUND_DEFECTS:
        is_pace = kind == SOUND_DEFECTS[1]
        other = voice._replace(words_per_minute=FASTER_PACE) if is_pace else voice._replace(pitch=voice.pitch + 25)
        parts[place : place + 15] = [speak(one, other, RATE_HZ, 1) for one in sentences[place : place + 15]]
    samples = np.concatenate(parts)
    if random.random() < 1 / 3:
        samples = add_noise(samples, NOISE_DB, random)
    text = " ".join(sentences)
    clip = pass_through_format(text, voice, samples, RATE_HZ, random.choice(FORMATS))
    began_s = time.process_time()
    judgement = listen_to_clip(encode_losslessly(clip.samples, clip.sample_rate_hz), text, "en")
    spent_s = time.process_time() - began_s
    is_found = judgement.outcome in ("wrong", "doubtful")
    tolerance_s = TEXT_TOLERANCE_S if kind in TEXT_DEFECTS else SOUND_TOLERANCE_S
    is_located = is_found and judgement.start_s is not None and abs(judgement.start_s - start_s) <= tolerance_s
    return Trial(is_found, is_located, len(samples) / RATE_HZ, spent_s, judgement)


def encode_losslessly(samples: object, sample_rate_hz: int) -> EncodedAudio:
    """Return samples as a file that a service delivers."""
    from voicegauge.speech.encoding import encode

    data, media_type = encode(samples, sample_rate_hz, "wav")  # type: ignore[arg-type]  # samples of a clip
    return EncodedAudio(data, media_type=media_type)


def main() -> int:
    """Run the trials, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m long_texts", description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=20, help="clips of each kind and group of voices")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    options = parser.parse_args()
    trials_by_kind: dict[str, list[Trial]] = {}
    with ProcessPoolExecutor(options.jobs) as processes:
        for group, variants in (("the emulator's voices", EMULATOR_VARIANTS), ("unseen voices", UNSEEN_VARIANTS)):
            for kind in (CLEAN, *TEXT_DEFECTS, *SOUND_DEFECTS):
                trials = list(processes.map(partial(run_trial, kind, variants), range(options.clips)))
                trials_by_kind.setdefault(kind, []).extend(trials)
                found, located = sum(one.is_found for one in trials), sum(one.is_located for one in trials)
                print(f"{group}, {kind}: {found} of {len(trials)} found, {located} located", flush=True)
                for one in trials:
                    if one.is_found == (kind == CLEAN):
                        print(f"  {one.judgement.outcome}: {one.judgement.explanation}")
    all_trials = [one for trials in trials_by_kind.values() for one in trials]
    minutes = sum(one.duration_s for one in all_trials) / 60
    print(f"{sum(one.spent_s for one in all_trials) / minutes:.2f} s of CPU time for a minute of audio")
    return 0 if all(is_good(kind, trials) for kind, trials in trials_by_kind.items()) else 1


def is_good(kind: str, trials: Sequence[Trial]) -> bool:
    """Return whether enough clips of a kind, in both groups of voices together, were found and located."""
    found, located = sum(one.is_found for one in trials), sum(one.is_located for one in trials)
    return found == 0 if kind == CLEAN else min(found, located) >= MIN_FOUND * len(trials)


if __name__ == "__main__":
    sys.exit(main())
