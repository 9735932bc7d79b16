"""Faults that can be injected into the emulator."""

from voicegauge.emulator.faults.catalogue import FAULTS, Fault
from voicegauge.emulator.faults.injection import Planted

__all__ = [
    "FAULTS",
    "Fault",
    "Planted",
]
