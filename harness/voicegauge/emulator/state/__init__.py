"""State the emulator keeps: accounts, jobs, files and the clock."""

from voicegauge.emulator.state.accounts import Account, AccountRegistry
from voicegauge.emulator.state.clock import EPOCH_S, POLL_STEP_S, EmulatedClock
from voicegauge.emulator.state.files import AudioFileStore, EncodedAudio
from voicegauge.emulator.state.jobs import EmulatedJob, failure_states, shortest_path, state_durations

__all__ = [
    "EPOCH_S",
    "POLL_STEP_S",
    "Account",
    "AccountRegistry",
    "AudioFileStore",
    "EmulatedClock",
    "EmulatedJob",
    "EncodedAudio",
    "failure_states",
    "shortest_path",
    "state_durations",
]
