"""Defines the faults that the emulator can inject into its responses."""

from voicegauge.emulator.faults.catalogue import FAULTS
from voicegauge.emulator.faults.fault import Fault
from voicegauge.emulator.faults.injection import FaultInjector, validate_fault_names

__all__ = [
    "FAULTS",
    "Fault",
    "FaultInjector",
    "validate_fault_names",
]
