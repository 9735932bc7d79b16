"""What each kind of operation answers: speech, audio input, resources, batches, chats, streams."""

from voicegauge.emulator.endpoints.descriptions import describe_emulation
from voicegauge.emulator.endpoints.provider import EmulatedProvider

__all__ = [
    "EmulatedProvider",
    "describe_emulation",
]
