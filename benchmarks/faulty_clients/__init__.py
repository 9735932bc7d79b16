"""Runs published versions of clients, with a known fault and without, against the emulator, which must find it."""
