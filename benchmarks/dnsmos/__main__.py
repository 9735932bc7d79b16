"""Prints how far DNSMOS with our own features is from the reference implementation, and the ratings of noisy speech.

    PYTHONPATH=benchmarks python -m dnsmos [CLIPS]

The reference is the code of the package speechmos, which needs librosa. It runs in a virtual environment of its own
under `~/.cache/voicegauge`, which is made the first time. Fails if a rating differs by more than 0.01, or if the mean
ratings of the background and of P.808 do not fall with the noise.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from random import Random

import numpy as np
from listening.__main__ import UNSEEN_VARIANTS
from listening.clips import EMULATOR_VARIANTS, add_noise, choose_voice, list_sentences, speak

from voicegauge.speech.decoding import Samples
from voicegauge.speech.sound_quality import (
    RATED_SAMPLE_RATE_HZ,
    PredictedQuality,
    get_quality_method,
    predict_quality_at_analysis_rate,
)

MAX_DIFFERENCE = 0.01
NOISE_LEVELS_DB = (40, 30, 20, 10, 0)
REFERENCE_NAMES = ("sig_mos", "bak_mos", "ovrl_mos", "p808_mos")
REFERENCE_CODE = """
import json, sys, numpy
from speechmos import dnsmos
clips = numpy.load(sys.argv[1])
print(json.dumps([{k: float(v) for k, v in dnsmos.run(clips[n].astype(float), 16000).items()} for n in clips.files]))
"""


def make_clips(count: int) -> list[Samples]:
    """Return speech in the emulator's voices and in others, each with another level of noise, in turn."""
    random, clips = Random("dnsmos"), []  # noqa: S311 - not for security
    for index in range(count):
        voice = choose_voice(random, EMULATOR_VARIANTS + UNSEEN_VARIANTS)
        speech = speak(random.choice(list_sentences()), voice, RATED_SAMPLE_RATE_HZ, index)
        noisy = add_noise(speech, NOISE_LEVELS_DB[index % len(NOISE_LEVELS_DB)], random)
        clips.append(np.clip(noisy, -1.0, 1.0).astype(np.float32))
    return clips


def rate_by_reference(clips: list[Samples]) -> list[PredictedQuality]:
    """Return the ratings of the reference implementation."""
    folder = Path("~/.cache/voicegauge/speechmos").expanduser()
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        packages = ["speechmos", "librosa", "onnxruntime", "requests", "tqdm"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "clips.npz"
        np.savez(path, *clips)
        output = subprocess.run([python, "-c", REFERENCE_CODE, path], check=True, capture_output=True).stdout
    return [PredictedQuality(*(one[name] for name in REFERENCE_NAMES)) for one in json.loads(output)]


def main() -> int:
    """Measure and print; return the exit status."""
    clips = make_clips(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    began_s = time.process_time()
    ours = [predict_quality_at_analysis_rate(clip) for clip in clips]
    spent_s = time.process_time() - began_s
    print(f"{get_quality_method()}: {spent_s / len(clips):.2f} s of CPU time for each of {len(clips)} clips")
    reference = rate_by_reference(clips)
    difference = np.abs(np.array(ours) - np.array(reference)).max(axis=0)
    print("largest difference:", dict(zip(PredictedQuality._fields, map(float, difference), strict=True)))
    means = []
    for index, level_db in enumerate(NOISE_LEVELS_DB):
        mean = PredictedQuality(*np.mean(ours[index :: len(NOISE_LEVELS_DB)], axis=0).tolist())
        means.append(mean)
        print(f"noise at {level_db} dB:", {name: round(value, 2) for name, value in mean._asdict().items()})
    falls = all(
        after.background < before.background and after.p808 < before.p808 for before, after in itertools.pairwise(means)
    )
    return int(difference.max() > MAX_DIFFERENCE or not falls)


if __name__ == "__main__":
    sys.exit(main())
