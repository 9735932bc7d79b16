"""Responds to requests: speech, streams, jobs, batches, chats, audio input and resources."""

from voicegauge.emulator.endpoints.descriptions import describe_emulation
from voicegauge.emulator.endpoints.provider import EmulatedProvider

__all__ = [
    "EmulatedProvider",
    "describe_emulation",
]
