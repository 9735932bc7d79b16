"""A small HTTP server that receives webhook callbacks of providers.

Checks, `voicegauge listen` and tests use the receiver. It responds to every accepted callback with an empty 200.
Because a tunnel can make the receiver public, it accepts callbacks only at URLs that nobody can guess, never reveals
what it has received, and limits sizes, numbers, time and connections.
"""

from voicegauge.receiver.callback_store import MAX_BYTES_PER_URL, MAX_CALLBACKS_PER_URL, MAX_TOTAL_BYTES
from voicegauge.receiver.receiver import MAX_BODY_BYTES, Receiver
from voicegauge.receiver.server import run_receiver

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_BYTES_PER_URL",
    "MAX_CALLBACKS_PER_URL",
    "MAX_TOTAL_BYTES",
    "Receiver",
    "run_receiver",
]
