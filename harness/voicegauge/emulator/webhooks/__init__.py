"""Webhooks the emulator sends."""

from voicegauge.emulator.webhooks.notifier import WebhookNotifier

__all__ = [
    "WebhookNotifier",
]
