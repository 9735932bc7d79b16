"""Holds the mutable state of the emulator: accounts, jobs, audio files and the clock."""

from voicegauge.emulator.state.accounts import AccountRegistry, EmulatedAccount
from voicegauge.emulator.state.audio_files import AudioFileStore, GeneratedAudio
from voicegauge.emulator.state.batches import EmulatedBatch
from voicegauge.emulator.state.clock import CLOCK_ADVANCE_PER_POLL_S, VIRTUAL_START_TIME_S, EmulatedClock
from voicegauge.emulator.state.jobs import (
    EmulatedJob,
    compute_state_durations_s,
    find_failure_states,
    find_shortest_state_sequence,
)

__all__ = [
    "CLOCK_ADVANCE_PER_POLL_S",
    "VIRTUAL_START_TIME_S",
    "AccountRegistry",
    "AudioFileStore",
    "EmulatedAccount",
    "EmulatedBatch",
    "EmulatedClock",
    "EmulatedJob",
    "GeneratedAudio",
    "compute_state_durations_s",
    "find_failure_states",
    "find_shortest_state_sequence",
]
