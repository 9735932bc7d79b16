"""Runs a benchmark plan: accesses the providers, sends and times the requests, and writes the journal and the run."""

from voicegauge.bench.running.access import ProviderAccess, emulated_access, live_access
from voicegauge.bench.running.audio_facts import measure_audio, samples_without_encoding
from voicegauge.bench.running.continuation import (
    RunToContinue,
    begin_run,
    find_run_to_continue,
    find_runs_of_other_plans,
)
from voicegauge.bench.running.journal import read_journal
from voicegauge.bench.running.manifest import make_manifest
from voicegauge.bench.running.purchases import JournalState
from voicegauge.bench.running.runner import RunConfig, RunOutcome, StopSignal, run_plan
from voicegauge.bench.running.store import (
    create_run_folder,
    load_run,
    run_folder,
    save_run,
)

__all__ = [
    "JournalState",
    "ProviderAccess",
    "RunConfig",
    "RunOutcome",
    "RunToContinue",
    "StopSignal",
    "begin_run",
    "create_run_folder",
    "emulated_access",
    "find_run_to_continue",
    "find_runs_of_other_plans",
    "live_access",
    "load_run",
    "make_manifest",
    "measure_audio",
    "read_journal",
    "run_folder",
    "run_plan",
    "samples_without_encoding",
    "save_run",
]
