"""Prints how soon `voicegauge history` finds another voice or pace: `PYTHONPATH=benchmarks python -m voice_history`.

Voices of espeak-ng speak 30 sentences, each several times with another pace and pitch, as far apart as two deliveries
by a neural voice are (4% and 3%), in four formats. What is measured of these clips is drawn for each night of 100, for
four targets; each night has an offset of its own, too (0.5%). At a random night, one of the four has another voice, or
speaks 5% faster or slower. Ends with exit status 1 if fewer than 95% of the changes are found by their second night, or
if more unchanged histories have an alert than 1% of them would have by chance.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import Random
from typing import NamedTuple

import msgspec
from listening.clips import Voice, list_sentences, pass_through_format, speak
from scipy.stats import binomtest

from voicegauge.bench.history_store import VOICE_METRICS, HistoryRun, HistoryTarget, HistoryValue, compute_voice_metrics
from voicegauge.bench.run_history import HistorySettings, LevelChange, build_series, find_level_changes
from voicegauge.bench.target_samples import TargetSamples
from voicegauge.model.base import Provenance
from voicegauge.model.sample import AudioFacts, Sample
from voicegauge.speech.sound_quality import measure_voice

VARIANTS = ("f2", "f4", "m3", "m7", "klatt3", "Andy", "belinda", "rob")
TEXTS, DELIVERIES, NIGHTS, TARGETS = 30, 5, 100, 4
FORMATS = ("wav", "mp3", "ogg", "flac")
WORDS_PER_MINUTE = 165
PACE_DEVIATION, PITCH_DEVIATION, NIGHT_DEVIATION = 0.04, 0.03, 0.005
CHANGED_PACES = (1.05, 1 / 1.05)
FIRST_DAY = dt.date(2026, 1, 1)
MAX_DELAY_NIGHTS, MIN_FOUND, MAX_FAMILY_FALSE_ALARMS = 2, 0.95, 0.01
PITCH_BY_VARIANT = {variant: 35 + 30 * index // len(VARIANTS) for index, variant in enumerate(VARIANTS)}

Pool = dict[tuple[str, float], list[list[Sample]]]
"""The measured deliveries of each text, by voice and factor of its pace."""


class History(NamedTuple):
    """What was found in one simulated history, and when which target changed."""

    changes: Sequence[LevelChange]
    target: str
    first_night: int

    @property
    def false_alarms(self) -> list[LevelChange]:
        """Changes that nobody made."""
        return [one for one in self.changes if one.series_key.target != self.target or self._get_delay(one) < 0]

    @property
    def delay(self) -> int | None:
        """Number of nights after the first changed one until the change was found."""
        found = [self._get_delay(one) for one in self.changes if one.series_key.target == self.target]
        return min((delay for delay in found if delay >= 0), default=None)

    def _get_delay(self, change: LevelChange) -> int:
        return (dt.date.fromisoformat(change.confirmation_night) - FIRST_DAY).days - self.first_night


def measure_deliveries(variant: str, factor: float) -> list[list[Sample]]:
    """Return measured deliveries of each text by one voice, each with its own pace and pitch."""
    random, found = Random(f"{variant} {factor}"), []  # noqa: S311 - repeatable, and no secret
    for text in list_sentences()[:TEXTS]:
        deliveries = []
        for number in range(DELIVERIES):
            pace = round(WORDS_PER_MINUTE * factor * (1 + random.gauss(0, PACE_DEVIATION)))
            pitch = round(PITCH_BY_VARIANT[variant] * (1 + random.gauss(0, PITCH_DEVIATION)))
            speech = speak(text, Voice(variant, pace, pitch), 22_050, number)
            clip = pass_through_format(text, Voice(variant, pace, pitch), speech, 22_050, random.choice(FORMATS))
            deliveries.append(build_sample(text, number, clip.samples, clip.sample_rate_hz))
        found.append(deliveries)
    return found


def build_sample(text: str, number: int, samples: object, sample_rate_hz: int) -> Sample:
    """Return a sample with the measures of a voice, as a benchmark has it."""
    measures = measure_voice(samples, sample_rate_hz)  # type: ignore[arg-type]  # samples of a clip
    facts = AudioFacts(
        sha256=f"{text}/{number}", file_path="", size_bytes=0, media_type=None, container="wav", **measures._asdict()
    )
    return Sample(
        id=f"{text}/{number}", target="", text_id=text, text=text, language="en", category="", session=1,
        repetition=1, is_warmup=False, started_at="", submit_count=1, poll_count=0, audio=facts,
    )  # fmt: skip


def simulate_history(pool: Pool, change: str, seed: int) -> History:
    """Simulate 100 nights, and judge them as `voicegauge history` does.

    Args:
        pool: measured deliveries.
        change: what happens to the first target: "voice", "pace" or "nothing".
        seed: determines voices, deliveries, and the night of the change.
    """
    random = Random(seed)  # noqa: S311 - repeatable, and no secret
    voices = random.sample(VARIANTS, TARGETS + 1)
    first_night = random.randrange(10, NIGHTS - MAX_DELAY_NIGHTS) if change != "nothing" else NIGHTS
    runs = []
    for night in range(NIGHTS):
        chosen = [(voice, 1.0) for voice in voices[:TARGETS]]
        if night >= first_night:
            chosen[0] = (voices[-1], 1.0) if change == "voice" else (voices[0], CHANGED_PACES[seed % 2])
        targets = [
            HistoryTarget(
                target_id=f"acme/{number}", contract_version="1", contract_sha256="", price_text="",
                metrics=measure_night(pool[key], random),
            )
            for number, key in enumerate(chosen)
        ]  # fmt: skip
        runs.append(build_run(night, tuple(targets)))
    return History(find_level_changes(build_series(runs), HistorySettings()), "acme/0", first_night)


def measure_night(deliveries: Sequence[Sequence[Sample]], random: Random) -> tuple[HistoryValue, ...]:
    """Return the metrics of a night: one random delivery of each text, and an offset of the night."""
    chosen = [random.choice(one) for one in deliveries]
    metrics = compute_voice_metrics(TargetSamples(chosen, None))
    return tuple(
        msgspec.structs.replace(one, value=one.value * (1 + random.gauss(0, NIGHT_DEVIATION))) for one in metrics
    )


def build_run(night: int, targets: tuple[HistoryTarget, ...]) -> HistoryRun:
    """Return the run of one night."""
    return HistoryRun(
        run_file_path=f"{night}", run_id=f"{night}", provenance=Provenance.LIVE, region=None, place="", targets=targets,
        created_at=f"{FIRST_DAY + dt.timedelta(days=night)}T02:00:00+00:00", configuration_description="",
        scoring_description="", listening_description="", voice_sample_description="", voice_encoder_description="",
        voicegauge_version="",
    )  # fmt: skip


def main() -> int:
    """Simulate, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m voice_history", description=__doc__.partition("\n")[0])
    parser.add_argument("--unchanged", type=int, default=300, help="histories without a change")
    parser.add_argument("--changed", type=int, default=100, help="histories with each change")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    options = parser.parse_args()
    keys = [(variant, factor) for factor in (1.0, *CHANGED_PACES) for variant in VARIANTS]
    with ProcessPoolExecutor(options.jobs) as processes:
        pool: Pool = dict(zip(keys, processes.map(measure_deliveries, *zip(*keys, strict=True)), strict=True))
        print(f"{len(VARIANTS)} voices, {TEXTS} texts a night, {TARGETS} targets, {TARGETS * 3} series")
        within_bounds = []
        for change in ("voice", "pace"):
            found = list(processes.map(partial(simulate_history, pool, change), range(options.changed), chunksize=5))
            within_bounds.append(print_found(change, found))
        seeds = range(1_000_000, 1_000_000 + options.unchanged)
        unchanged = list(processes.map(partial(simulate_history, pool, "nothing"), seeds, chunksize=5))
    alarmed = sum(bool(one.false_alarms) for one in unchanged)
    print(f"nothing changed: {alarmed} of {len(unchanged)} histories of {NIGHTS} nights have an alert")
    # A share just above the limit may be chance: only a count that 1% would hardly produce counts against it.
    chance = binomtest(alarmed, len(unchanged), MAX_FAMILY_FALSE_ALARMS, alternative="greater").pvalue
    return 0 if all(within_bounds) and chance > 0.01 else 1


def print_found(change: str, histories: Sequence[History]) -> bool:
    """Print how soon one kind of change was found; return whether often enough."""
    delays = [one.delay for one in histories]
    soon = sum(delay is not None and delay < MAX_DELAY_NIGHTS for delay in delays)
    third = sum(delay is not None and delay <= MAX_DELAY_NIGHTS for delay in delays)
    ever = sum(delay is not None for delay in delays)
    title = {"voice": "another voice", "pace": "5% faster or slower"}[change]
    by_metric = ", ".join(
        f"{metric} {sum(any(c.series_key.metric == metric for c in one.changes) for one in histories)}"
        for metric in VOICE_METRICS[:3]
    )
    print(
        f"{title}: {soon} of {len(delays)} found by the second night, {third} by the third, {ever} ever ({by_metric})",
        flush=True,
    )
    return soon >= MIN_FOUND * len(delays)


if __name__ == "__main__":
    sys.exit(main())
