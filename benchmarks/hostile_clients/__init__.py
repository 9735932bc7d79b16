"""Attacks on the listeners of voicegauge: the webhook receiver and the emulator."""
