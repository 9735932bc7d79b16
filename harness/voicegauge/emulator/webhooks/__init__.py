"""Webhooks the emulator sends."""

from voicegauge.emulator.webhooks.notifier import Webhooks

__all__ = [
    "Webhooks",
]
