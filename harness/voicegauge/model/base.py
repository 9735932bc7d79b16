"""The base of every record, and the two small vocabularies that all of them share."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

StopReason = Literal["interrupted", "budget", "unreachable"]
"""Why a check, a recording or a benchmark ended before its plan: Ctrl-C, a spent budget, or an unreachable service."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An immutable record; unknown fields are refused when it is decoded.

    Subclasses say `frozen=True, kw_only=True` again: msgspec does not pass on the one,
    and type checkers do not see that it passes on the other.
    """


class Provenance(StrEnum):
    """Where traffic came from; never blurred."""

    DOCUMENTED = "documented"
    """An example printed in a provider's document: nobody sent it."""
    EMULATED = "emulated"
    """Answered by voicegauge's own emulator."""
    RECORDED = "recorded"
    """Answered by a live service."""


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DISPUTED = "disputed"
    """Breaks one reading of the documents and keeps another that the contract records."""
