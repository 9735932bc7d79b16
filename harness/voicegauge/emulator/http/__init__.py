"""Requests and responses of the emulator, built from contracts."""
