"""Holds the catalog of drift rules.

A rule that is equivalent to a check of oasdiff (https://github.com/oasdiff/oasdiff) has the same id and an equivalent
level: ERR in oasdiff is breaking here, WARN is possibly breaking, and INFO is compatible.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, NamedTuple

_RULE_ID_PATTERN = re.compile(r"[a-z]+(-[a-z]+)*")

DriftComparison = Literal["contracts", "recording-contract", "recordings"]
"""The kind of comparison: two contracts, recorded traffic with a contract, or two sets of recordings."""


class DriftLevel(StrEnum):
    """The effect of a change on clients that were written before the change, from worst to best."""

    BREAKING = "breaking"
    """A request that worked may be rejected, or a client may no longer understand a response."""
    POSSIBLY_BREAKING = "possibly-breaking"
    """Some clients break, or their requests become more expensive or slower."""
    COMPATIBLE = "compatible"
    """Every client that worked still works."""

    def is_at_least_as_bad_as(self, other_level: DriftLevel) -> bool:
        """Whether this level is as bad for clients as `other_level`, or worse."""
        levels = list(DriftLevel)
        return levels.index(self) <= levels.index(other_level)


class DriftRule(NamedTuple):
    """One kind of change that drift detection reports."""

    id: str
    level: DriftLevel
    description: str
    """One sentence about what the newer input has or lacks, without a period at the end: "A field was removed"."""
    comparison: DriftComparison


DRIFT_RULE_BY_ID: dict[str, DriftRule] = {}
"""All rules by id. When `voicegauge.drift` is imported, its sub-packages register their rules here."""


def register_rules(rules: Iterable[DriftRule]) -> None:
    """Add `rules` to `DRIFT_RULE_BY_ID`."""
    for rule in rules:
        assert _RULE_ID_PATTERN.fullmatch(rule.id), f"{rule.id!r} is not kebab-case"
        assert rule.id not in DRIFT_RULE_BY_ID, f"rule {rule.id!r} is registered twice"
        DRIFT_RULE_BY_ID[rule.id] = rule
