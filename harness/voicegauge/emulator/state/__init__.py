"""Holds the mutable state of the emulator: accounts, jobs, audio files and the clock."""

from voicegauge.emulator.state.accounts import AccountRegistry, EmulatedAccount
from voicegauge.emulator.state.batches import EmulatedBatch
from voicegauge.emulator.state.clock import EPOCH_S, POLL_STEP_S, EmulatedClock
from voicegauge.emulator.state.files import AudioFileStore, GeneratedAudio
from voicegauge.emulator.state.jobs import (
    EmulatedJob,
    compute_state_durations_s,
    find_failure_states,
    find_shortest_path,
)

__all__ = [
    "EPOCH_S",
    "POLL_STEP_S",
    "AccountRegistry",
    "AudioFileStore",
    "EmulatedAccount",
    "EmulatedBatch",
    "EmulatedClock",
    "EmulatedJob",
    "GeneratedAudio",
    "compute_state_durations_s",
    "find_failure_states",
    "find_shortest_path",
]
