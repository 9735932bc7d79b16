"""Reading recordings for comparison: values, contexts, pairing."""

from voicegauge.drift.traffic.reading.comparison_context import Bodies, Both, Context, Taken, contexts, take_bodies
from voicegauge.drift.traffic.reading.flatten import ANY, Leaf, Scalar, kind_of, take_apart
from voicegauge.drift.traffic.reading.pairing import Pair, Pairing, pair_off
from voicegauge.drift.traffic.reading.schema_walk import (
    Stated,
    documented_values,
    enumerated,
    extras,
    listed,
    of_media,
    stated,
)
from voicegauge.drift.traffic.reading.stability import Case, Shift, parts, shift, shift_of_lists
from voicegauge.drift.traffic.reading.traffic import Seen, Traffic, named_recordings, read_traffic, states

__all__ = [
    "ANY",
    "Bodies",
    "Both",
    "Case",
    "Context",
    "Leaf",
    "Pair",
    "Pairing",
    "Scalar",
    "Seen",
    "Shift",
    "Stated",
    "Taken",
    "Traffic",
    "contexts",
    "documented_values",
    "enumerated",
    "extras",
    "kind_of",
    "listed",
    "named_recordings",
    "of_media",
    "pair_off",
    "parts",
    "read_traffic",
    "shift",
    "shift_of_lists",
    "stated",
    "states",
    "take_apart",
    "take_bodies",
]
