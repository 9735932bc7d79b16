"""State the emulator keeps: accounts, jobs, files and the clock."""

from voicegauge.emulator.state.accounts import Account, Accounts
from voicegauge.emulator.state.clock import EPOCH_S, POLL_STEP_S, EmulatedClock
from voicegauge.emulator.state.files import Files, Made
from voicegauge.emulator.state.jobs import EmulatedJob, failures, shortest_path, stays

__all__ = [
    "EPOCH_S",
    "POLL_STEP_S",
    "Account",
    "Accounts",
    "EmulatedClock",
    "EmulatedJob",
    "Files",
    "Made",
    "failures",
    "shortest_path",
    "stays",
]
