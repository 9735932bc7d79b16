"""Faults that can be injected into the emulator."""
