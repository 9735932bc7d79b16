"""Runs a benchmark plan: accesses the providers, sends and times the requests, and writes the journal and the run."""

from voicegauge.bench.running.audio_facts import (
    count_samples_with_unknown_encoding,
    describe_unexpected_formats,
    measure_audio,
)
from voicegauge.bench.running.continuation import (
    RunToContinue,
    begin_run,
    find_run_to_continue,
    find_runs_of_other_plans,
)
from voicegauge.bench.running.event_loop_lag import reduce_event_loop_delays
from voicegauge.bench.running.journal import read_journal
from voicegauge.bench.running.manifest import build_manifest, check_region
from voicegauge.bench.running.provider_access import ProviderAccess, build_emulated_access, build_live_access
from voicegauge.bench.running.purchases import JournalState
from voicegauge.bench.running.run_config import RunConfig, RunOutcome, StopSignal, open_transport_with_spaced_requests
from voicegauge.bench.running.run_store import (
    RUN_FILE_NAME,
    create_run_folder,
    find_run_folder,
    load_run,
    save_run,
)
from voicegauge.bench.running.runner import run_plan

__all__ = [
    "RUN_FILE_NAME",
    "JournalState",
    "ProviderAccess",
    "RunConfig",
    "RunOutcome",
    "RunToContinue",
    "StopSignal",
    "begin_run",
    "build_emulated_access",
    "build_live_access",
    "build_manifest",
    "check_region",
    "count_samples_with_unknown_encoding",
    "create_run_folder",
    "describe_unexpected_formats",
    "find_run_folder",
    "find_run_to_continue",
    "find_runs_of_other_plans",
    "load_run",
    "measure_audio",
    "open_transport_with_spaced_requests",
    "read_journal",
    "reduce_event_loop_delays",
    "run_plan",
    "save_run",
]
