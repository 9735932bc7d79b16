"""Holds the mutable state of the emulator: accounts, jobs, audio files and the clock."""

from voicegauge.emulator.state.accounts import AccountRegistry, EmulatedAccount
from voicegauge.emulator.state.batches import EmulatedBatch
from voicegauge.emulator.state.clock import EPOCH_S, POLL_STEP_S, EmulatedClock
from voicegauge.emulator.state.files import AudioFileStore, GeneratedAudio
from voicegauge.emulator.state.jobs import EmulatedJob, failure_states, shortest_path, state_durations

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
    "failure_states",
    "shortest_path",
    "state_durations",
]
