"""HTTP server that behaves as contracts document, over a real socket and with synthesized speech.

The emulator imports neither the client nor the checks. It interprets contracts independently of them, so that a wrong
interpretation shows up as a disagreement.
"""

from __future__ import annotations

from voicegauge.emulator.faults import FAULTS, Fault, validate_fault_names
from voicegauge.emulator.server import RunningEmulator, create_app, running_emulator, starting_emulator
from voicegauge.emulator.settings import (
    CONTROL_PREFIX,
    EMULATED_WEBHOOK_SECRET,
    SCENARIO_HEADER,
    SERVER_HEADER_VALUE,
    EmulatorSettings,
    is_emulated,
)

__all__ = [
    "CONTROL_PREFIX",
    "EMULATED_WEBHOOK_SECRET",
    "FAULTS",
    "SCENARIO_HEADER",
    "SERVER_HEADER_VALUE",
    "EmulatorSettings",
    "Fault",
    "RunningEmulator",
    "create_app",
    "is_emulated",
    "running_emulator",
    "starting_emulator",
    "validate_fault_names",
]
