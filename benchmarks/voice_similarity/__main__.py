"""Prints how many swapped voices are found with five clips each, and how many right ones are accused.

    PYTHONPATH=benchmarks python -m voice_similarity WEIGHTS [TRIALS]

WEIGHTS is the file `pretrained.pt` of the package Resemblyzer, or "resemblyzer" if that is installed. In each trial, a
voice of espeak-ng speaks a voice sample (MP3), and the same voice and another one speak five other sentences each, at
other speeds, in other formats, a third with noise. The scale is measured as for a run. Pairs of voices that are too
alike are determined beforehand with other sentences, counted and left out. Fails if less than 95% of the swapped voices
are found, or if a right one is accused.
"""

from __future__ import annotations

import sys
import time
from functools import cache
from random import Random

import numpy as np
from listening.clips import Voice, add_noise, list_sentences, pass_through_format, speak

from voicegauge.bench.voice_quality import ESPEAK_SPEAKERS, TEXTS_PER_OTHER_SPEAKER
from voicegauge.speech.voice_encoder import (
    ANALYSIS_RATE_HZ,
    SAME_VOICE_SIMILARITY,
    FloatArray,
    VoiceComparison,
    VoiceEncoder,
    VoiceScale,
    build_voice_scale,
    encode_voice_sample,
    judge_similarities,
    load_voice_encoder,
)

VARIANTS = (
    "klatt4", "f1", "f2", "f3", "m3", "m7", "m8", "Annie", "max", "steph", "edward", "AnxiousAndy", "Diogo", "Gene2",
    "anika", "gustave", "iven3", "marcelo", "miguel", "mike2", "sandro", "grandma", "john", "Lee", "Mario", "norbert",
    "paul", "quincy", "shelby", "travis",
)  # fmt: skip
"""Voices that are no other speakers of the scale."""
CLIPS_PER_TRIAL = 5
SENTENCES_OF_SAMPLE = 4
SENTENCES_OF_SCALES = 12
CLIPS_FOR_ALIKENESS = 4
FORMATS = ("wav", "mp3", "ogg", "flac")
MIN_FOUND = 0.95
_PITCHES = {variant: 40 + 20 * index // len(VARIANTS) for index, variant in enumerate(VARIANTS)}


class Clips:
    """Makes and encodes clips."""

    def __init__(self, encoder: VoiceEncoder) -> None:
        """Use `encoder` for all clips."""
        self._encoder, self.sentences = encoder, list_sentences()
        self.spent_s, self.count = 0.0, 0

    def encode(self, variant: str, text: str, random: Random) -> FloatArray:
        """Return the vector of a clip in a random speed and format, a third of the clips with noise at 30 dB."""
        speech = speak(
            text, Voice(variant, random.randint(150, 185), _PITCHES[variant]), 22_050, random.getrandbits(31)
        )
        if random.random() < 1 / 3:
            speech = add_noise(speech, 30.0, random)
        clip = pass_through_format(text, Voice(variant, 0, 0), speech, 22_050, random.choice(FORMATS))
        began_s = time.process_time()
        vector = self._encoder.encode(clip.samples, clip.sample_rate_hz)
        self.spent_s, self.count = self.spent_s + time.process_time() - began_s, self.count + 1
        assert vector is not None, "a sentence has enough speech"
        return vector

    @cache  # noqa: B019 - lives as long as the benchmark
    def encode_speakers(self, first_sentence: int) -> dict[str, list[FloatArray]]:
        """Return vectors of the other speakers, who speak sentences from the given one on."""
        texts = [self.sentences[first_sentence + index] for index in range(TEXTS_PER_OTHER_SPEAKER)]
        return {
            variant: [
                vector
                for text in texts
                if (vector := self._encoder.encode(speak(text, Voice(variant, 165, 50), 16_000, 0), ANALYSIS_RATE_HZ))
                is not None
            ]
            for variant in ESPEAK_SPEAKERS
        }

    def make_scale(self, variant: str, random: Random) -> VoiceScale:
        """Return the scale of a voice sample of some random sentences."""
        text = " ".join(random.sample(self.sentences, SENTENCES_OF_SAMPLE))
        speech = speak(text, Voice(variant, 165, _PITCHES[variant]), 32_000, random.getrandbits(31))
        clip = pass_through_format(text, Voice(variant, 0, 0), speech, 32_000, "mp3")
        encoded = encode_voice_sample(self._encoder, clip.samples, clip.sample_rate_hz)
        assert encoded is not None, "four sentences have enough speech"
        return build_voice_scale(*encoded, self.encode_speakers(3 * random.randrange(SENTENCES_OF_SCALES)))


def compare(scale: VoiceScale, vectors: list[FloatArray]) -> VoiceComparison:
    """Return what a run would say about clips with these vectors."""
    return judge_similarities(
        [scale.compute_similarity(float(scale.reference @ vector)) for vector in vectors], scale.explain_why_unusable()
    )


def find_alike_pairs(clips: Clips) -> set[tuple[str, str]]:
    """Return the pairs of a sample and another voice whose clips are above the boundary on the scale of the sample."""
    random = Random("alike")  # noqa: S311 - repeatable, and no secret
    scales = {variant: clips.make_scale(variant, random) for variant in VARIANTS}
    spoken = {
        variant: [clips.encode(variant, random.choice(clips.sentences), random) for _ in range(CLIPS_FOR_ALIKENESS)]
        for variant in VARIANTS
    }
    return {
        (own, other)
        for own, scale in scales.items()
        for other in VARIANTS
        if other != own
        and np.mean([scale.compute_similarity(float(scale.reference @ vector)) for vector in spoken[other]])
        >= SAME_VOICE_SIMILARITY
    }


def print_distribution(name: str, found: list[VoiceComparison]) -> None:
    """Print how many comparisons have which similarity and verdict."""
    values = [one.similarity for one in found if one.similarity is not None]
    counts, edges = np.histogram(np.clip(values, -0.599, 1.399), bins=10, range=(-0.6, 1.4))
    bins = ", ".join(f"{low:.1f}: {count}" for low, count in zip(edges, counts, strict=False))
    verdicts = {one.verdict for one in found}
    stated = ", ".join(f"{sum(one.verdict == verdict for one in found)} {verdict}" for verdict in sorted(verdicts))
    print(f"{name}: {stated}; similarity from each value on: {bins}")


def main() -> int:
    """Measure and print; return the exit status."""
    encoder = load_voice_encoder(sys.argv[1])
    trials = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    clips, random = Clips(encoder), Random("voices")  # noqa: S311 - repeatable, and no secret
    alike = find_alike_pairs(clips)
    print(f"{encoder.method}: {len(alike)} of {len(VARIANTS) * (len(VARIANTS) - 1)} pairs of voices are too alike")
    swapped, right = [], []
    for index in range(trials):
        own = VARIANTS[index % len(VARIANTS)]
        other = random.choice([one for one in VARIANTS if one != own and (own, one) not in alike])
        scale, texts = clips.make_scale(own, random), random.sample(clips.sentences, CLIPS_PER_TRIAL)
        right.append(compare(scale, [clips.encode(own, text, random) for text in texts]))
        swapped.append(compare(scale, [clips.encode(other, text, random) for text in texts]))
    print_distribution("right voices", right)
    print_distribution("swapped voices", swapped)
    found = sum(one.verdict == "another voice" for one in swapped)
    accused = sum(one.verdict == "another voice" for one in right)
    print(f"swapped voices found: {found} of {trials}; right ones accused: {accused} of {trials}")
    print(f"{clips.spent_s / clips.count:.2f} s of CPU time for each of {clips.count} clips")
    return int(found < MIN_FOUND * trials or accused > 0)


if __name__ == "__main__":
    sys.exit(main())
