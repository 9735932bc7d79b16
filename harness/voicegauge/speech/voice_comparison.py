"""Compares the voice of clips with that of a voice sample, on a scale that is measured for each sample.

A cosine of two vectors of voices means nothing by itself: it depends on the encoder, the texts, the codec and the
length of the clips. The scale is 1 where the sample is as similar to itself, part by part, and 0 where other speakers
of the same texts are on average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from voicegauge.speech.decoding import Samples
from voicegauge.speech.voice_encoder import FloatArray, VoiceEncoder, normalize

VoiceVerdict = Literal["same voice", "another voice", "not separable"]

MIN_PART_S, MAX_PARTS = 2.5, 8
"""Shortest duration of a part of the voice sample, and the largest number of parts that are compared with the rest."""
MIN_OTHER_SPEAKERS = 3
MIN_CLIPS = 3
MIN_SCALE_COSINE = 0.08
"""Smallest distance of cosines between both ends of the scale: a shorter scale measures chance."""
BOUNDARY = 0.7
"""Place on the scale from which a voice counts as that of the sample. In `benchmarks/voice_similarity`, clips of the
same voice are above 0.9, and four fifths of the pairs of other voices below 0.5."""
STUDENT_QUANTILES = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
"""Quantiles of Student's t for a two-sided interval of 95%, by degrees of freedom."""


class VoiceScale(NamedTuple):
    """The ends of the scale for one voice sample, as cosines."""

    reference: FloatArray
    """Vector of the whole sample."""
    ceiling: tuple[float, ...]
    """Similarity of each part of the sample to the rest of it."""
    floor_by_speaker: dict[str, float]
    """Mean similarity of other speakers to the sample, by their names."""

    @property
    def one(self) -> float:
        """The cosine that is 1 on the scale."""
        return float(np.mean(self.ceiling))

    @property
    def zero(self) -> float:
        """The cosine that is 0 on the scale."""
        return float(np.mean(list(self.floor_by_speaker.values())))

    def explain_uselessness(self) -> str | None:
        """Return why nothing can be measured on this scale; `None` if it is useful."""
        if len(self.ceiling) < 2:
            return f"the voice sample has less than two parts of {MIN_PART_S:g} s of speech"
        if len(self.floor_by_speaker) < MIN_OTHER_SPEAKERS:
            return f"less than {MIN_OTHER_SPEAKERS} other speakers of the same texts"
        if self.one - self.zero < MIN_SCALE_COSINE:
            return "other speakers are as similar to the voice sample as its own parts"
        return None

    def place(self, cosine: float) -> float:
        """Return the place of a cosine on the scale."""
        return (cosine - self.zero) / (self.one - self.zero)


class VoiceComparison(NamedTuple):
    """What is known about the voice of some clips."""

    verdict: VoiceVerdict
    similarity: float | None
    """Mean place of the clips on the scale: 0 for other speakers, 1 for the sample itself; `None` without a scale."""
    low: float | None
    """Lower end of its interval of 95%."""
    high: float | None
    """Upper end of the interval."""
    explanation: str
    """Why the voices are not separable; empty for another verdict."""


def encode_voice_sample(
    encoder: VoiceEncoder, samples: Samples, sample_rate_hz: int
) -> tuple[FloatArray, tuple[float, ...]] | None:
    """Return the vector of a voice sample, and how similar each of its parts is to the rest.

    Returns:
        The vector and the cosines; `None` if the sample has too little speech.
    """
    whole = encoder.encode(samples, sample_rate_hz)
    if whole is None:
        return None
    count = min(MAX_PARTS, int(len(samples) / sample_rate_hz / MIN_PART_S))
    vectors = [encoder.encode(part, sample_rate_hz) for part in np.array_split(samples, max(count, 1))]
    parts = [one for one in vectors if one is not None]
    cosines = [
        float(part @ normalize(np.sum([other for other in parts if other is not part], axis=0)))
        for part in parts
        if len(parts) > 1
    ]
    return whole, tuple(cosines)


def build_voice_scale(
    reference: FloatArray, ceiling: Sequence[float], clips_by_speaker: Mapping[str, Sequence[FloatArray]]
) -> VoiceScale:
    """Return the scale of a voice sample, from vectors of clips of other speakers."""
    floor = {
        name: float(np.mean([reference @ clip for clip in clips])) for name, clips in clips_by_speaker.items() if clips
    }
    return VoiceScale(reference, tuple(ceiling), floor)


def compare_voice(similarities: Sequence[float], useless_reason: str | None = None) -> VoiceComparison:
    """Return whether clips have the voice of the sample.

    The verdict is "another voice" only if the whole interval is nearer to other speakers than `BOUNDARY`, and "same
    voice" only if all of it is nearer to the sample.

    Args:
        similarities: place of each clip on the scale.
        useless_reason: why there is no scale; `None` if there is one.
    """
    if useless_reason is not None:
        return VoiceComparison("not separable", None, None, None, useless_reason)
    places = np.array(similarities)
    if len(places) < MIN_CLIPS:
        mean = float(places.mean()) if len(places) else None
        return VoiceComparison("not separable", mean, None, None, f"less than {MIN_CLIPS} clips with enough speech")
    mean = float(places.mean())
    quantile = STUDENT_QUANTILES.get(len(places) - 1, 2.26)
    margin = quantile * float(places.std(ddof=1)) / math.sqrt(len(places))
    low, high = mean - margin, mean + margin
    if high < BOUNDARY:
        return VoiceComparison("another voice", mean, low, high, "")
    if low > BOUNDARY:
        return VoiceComparison("same voice", mean, low, high, "")
    return VoiceComparison("not separable", mean, low, high, f"its interval contains {BOUNDARY:g}")
