"""The rules of drift: each has an id, a level and a meaning, and belongs to one comparison.

A rule that means the same as one of oasdiff's checks bears its id and its level
(oasdiff's ERR is breaking, WARN possibly breaking, INFO safe).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, NamedTuple

_ID = re.compile(r"[a-z]+(-[a-z]+)*")

Comparison = Literal["contracts", "recording-contract", "recordings"]
"""What is compared: two contracts, traffic with a contract, two recordings of traffic."""


class Level(StrEnum):
    """What a change does to a client that was written before it; the worst one first."""

    BREAKING = "breaking"
    """What worked may be refused, or an answer may no longer be understood."""
    POSSIBLY_BREAKING = "possibly-breaking"
    """Some clients break, or what they do costs more or takes longer."""
    SAFE = "safe"
    """Every client that worked still does."""

    def at_least(self, other: Level) -> bool:
        """Whether this level is as bad as `other` or worse."""
        order = list(Level)
        return order.index(self) <= order.index(other)


class Rule(NamedTuple):
    """One kind of change."""

    id: str
    level: Level
    means: str
    """One sentence: what is different in the newer one where the rule reports."""
    comparison: Comparison


RULES: dict[str, Rule] = {}
"""Every rule by its id; the modules of the comparisons register theirs when `voicegauge.drift` is imported."""


def register(rules: Iterable[Rule]) -> None:
    """Add `rules` to the catalogue."""
    for rule in rules:
        assert _ID.fullmatch(rule.id), f"{rule.id!r} is not kebab-case"
        assert rule.id not in RULES, f"rule {rule.id!r} is registered twice"
        RULES[rule.id] = rule
