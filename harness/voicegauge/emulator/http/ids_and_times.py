"""Generates ids, and formats timestamps like the contract's examples."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from typing import Any

_HEX_PLACEHOLDER = re.compile(r"\{hex(\d+)\}")
_ISO_TIMESTAMP_PATTERN = re.compile(r"^\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?$")
DEFAULT_ID_TEMPLATE = "{hex8}-{hex4}-4{hex3}-8{hex3}-{hex12}"
"""Template of a version 4 UUID, which is used if the contract states no id format."""
_MIN_MILLISECOND_TIMESTAMP = 1e11
"""Smallest number that is taken for a Unix time in milliseconds. As seconds, it would be after the year 5138."""


def create_seeded_random(*seed_parts: object) -> random.Random:
    """Return a random generator whose sequence depends only on `seed_parts`."""
    return random.Random(":".join(map(str, seed_parts)))  # noqa: S311 - reproducible ids, not secrets


def fill_random_hex(template: str, rng: random.Random) -> str:
    """Return `template` with every "{hexN}" replaced by N random hexadecimal digits."""
    return _HEX_PLACEHOLDER.sub(lambda found: f"{rng.getrandbits(4 * int(found[1])):0{int(found[1])}x}", template)


def format_time_like_example(unix_time_s: float, example: Any) -> Any:
    """Format the Unix time `unix_time_s` like the example `example`: as a number, or as an ISO 8601 string in UTC.

    Args:
        unix_time_s: seconds since 1970.
        example: the documented example. If it shows no time format, milliseconds and "Z" are used.
    """
    if isinstance(example, int | float) and not isinstance(example, bool):
        value = unix_time_s * 1000 if example > _MIN_MILLISECOND_TIMESTAMP else unix_time_s
        return int(value) if isinstance(example, int) else value
    found = _ISO_TIMESTAMP_PATTERN.match(example) if isinstance(example, str) else None
    separator, fraction, zone = (found[1], found[2], found[3]) if found else ("T", "000", "Z")
    moment = datetime.fromtimestamp(unix_time_s, UTC)
    text = moment.strftime(f"%Y-%m-%d{separator}%H:%M:%S")
    if fraction:
        text += f".{moment.microsecond:06d}"[: len(fraction) + 1].ljust(len(fraction) + 1, "0")
    return text + {None: "", "Z": "Z"}.get(zone, "+00:00" if zone and ":" in zone else "+0000")
