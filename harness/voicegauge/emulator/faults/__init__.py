"""Faults that can be injected into the emulator."""

from voicegauge.emulator.faults.catalogue import FAULTS, Fault
from voicegauge.emulator.faults.injection import FaultInjector

__all__ = [
    "FAULTS",
    "Fault",
    "FaultInjector",
]
