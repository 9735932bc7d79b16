"""Defines exit statuses of runs that ended early; the others are in `voicegauge.errors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from voicegauge.errors import EXIT_BUDGET_EXCEEDED, EXIT_INTERRUPTED, EXIT_NOTHING_MEASURED

if TYPE_CHECKING:
    from voicegauge.model import StopReason

EXIT_BROKEN_PIPE = 141
"""Exit status that a shell reports for a program whose output is not read to its end, as in `voicegauge ... | head`."""

EXIT_STATUS_BY_STOP_REASON: Mapping[StopReason, int] = {
    "interrupted": EXIT_INTERRUPTED,
    "budget": EXIT_BUDGET_EXCEEDED,
    "unreachable": EXIT_NOTHING_MEASURED,
}
