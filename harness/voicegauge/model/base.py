"""The base class of all records, and two enumerations that they share."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

StopReason = Literal["interrupted", "budget", "unreachable"]
"""Why a check, a recording or a benchmark stopped early: Ctrl-C was pressed ("interrupted"), the budget was used up
("budget"), or the service could not be reached ("unreachable")."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An immutable record; decoding fails for unknown fields.

    Subclasses repeat `frozen=True, kw_only=True`: msgspec does not inherit `kw_only`, and type checkers do not see that
    it inherits `frozen`.
    """


class Provenance(StrEnum):
    """Where traffic comes from."""

    DOCUMENTED = "documented"
    """The traffic is an example in a provider's document; it was never sent."""
    EMULATED = "emulated"
    """The responses come from voicegauge's own emulator."""
    RECORDED = "recorded"
    """The responses come from a live service and were read from a recording."""
    LIVE = "live"
    """The responses come from a live service and were received by this command."""


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DISPUTED = "disputed"
    """The traffic violates one document but conforms to another; the contract records the contradiction."""
