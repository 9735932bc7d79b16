"""Webhooks: callbacks that the emulator sends to receivers."""

from voicegauge.emulator.webhooks.notifier import WebhookNotifier

__all__ = [
    "WebhookNotifier",
]
