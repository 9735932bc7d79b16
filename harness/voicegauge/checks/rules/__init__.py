"""The rules, one module per subject matter."""

from voicegauge.checks.rules.resources import find_item

__all__ = [
    "find_item",
]
