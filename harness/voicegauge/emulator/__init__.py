"""A server that answers as the contracts say, over a real socket, with real speech.

It reads contracts on its own: neither the client nor the checks are used, so that two
independent readings of one document meet.
"""

from __future__ import annotations

from voicegauge.emulator.faults import FAULTS, Fault
from voicegauge.emulator.server import RunningEmulator, create_app, running_emulator
from voicegauge.emulator.settings import CONTROL_PREFIX, SCENARIO_HEADER, SERVER_NAME, EmulatorSettings, is_emulated

__all__ = [
    "CONTROL_PREFIX",
    "FAULTS",
    "SCENARIO_HEADER",
    "SERVER_NAME",
    "EmulatorSettings",
    "Fault",
    "RunningEmulator",
    "create_app",
    "is_emulated",
    "running_emulator",
]
