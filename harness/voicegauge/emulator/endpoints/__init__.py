"""What each kind of operation answers: speech, audio input, resources, batches, chats, streams."""

from voicegauge.emulator.endpoints.descriptions import how_played
from voicegauge.emulator.endpoints.provider import EmulatedProvider

__all__ = [
    "EmulatedProvider",
    "how_played",
]
