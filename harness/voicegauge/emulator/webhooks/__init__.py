"""Sends callbacks to the webhook URLs that requests name."""

from voicegauge.emulator.webhooks.notifier import WebhookNotifier

__all__ = [
    "WebhookNotifier",
]
