"""Running a benchmark plan: sending requests, the journal, timings and the saved run."""

from voicegauge.bench.running.audio_facts import measure_audio
from voicegauge.bench.running.journal import Past, read_past
from voicegauge.bench.running.manifest import make_manifest
from voicegauge.bench.running.runner import Order, Outcome, Stop, carry_out
from voicegauge.bench.running.store import find_unfinished, load_run, new_folder, run_folder, save_run

__all__ = [
    "Order",
    "Outcome",
    "Past",
    "Stop",
    "carry_out",
    "find_unfinished",
    "load_run",
    "make_manifest",
    "measure_audio",
    "new_folder",
    "read_past",
    "run_folder",
    "save_run",
]
