"""Where a comparison is: the operation, the part of it, and how a change there is written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from voicegauge.drift.contracts.node import Part
from voicegauge.drift.contracts.normal_form import Normaliser
from voicegauge.drift.contracts.schema import Applied, Schema
from voicegauge.drift.contracts.schema_rules import Kind
from voicegauge.drift.report import Change, change


@dataclass(frozen=True)
class Scope:
    """A place in both documents at once."""

    operation: str | None = None
    """The operation's id, else its method and path."""
    at: str = ""
    """The part of it: "request body#/text"."""
    callback: bool = False
    """The operation is the client's: it reads the request and sends the answer."""
    old: Normaliser = field(default_factory=Normaliser, repr=False)
    """The schemas of the older document."""
    new: Normaliser = field(default_factory=Normaliser, repr=False)
    unchanged: set[tuple[str, str, str]] = field(default_factory=set, repr=False)
    """What has been compared without finding a change: the kind of place and both pointers."""

    def inside(self, at: str) -> Scope:
        """A part of this place."""
        return replace(self, at=f"{self.at}{at}")

    def change(self, rule: str, old: Part | None, new: Part | None, /, **values: Any) -> Change:
        """A change here.

        Args:
            rule: an id of the catalogue.
            old: the part that changed or went; one that is missing stands for what would hold it.
            new: the part that changed or came.
            values: "old" and "new", where they say more than that a thing came or went.
        """
        return change(
            rule,
            at=self.at.strip() or "operation",
            operation=self.operation,
            old=None if old is None else old.spot,
            new=None if new is None else new.spot,
            values=values,
        )


@dataclass(frozen=True)
class Pair:
    """Two schemas to compare, with what they are schemas of."""

    scope: Scope
    kind: Kind
    old: Applied
    new: Applied
    old_place: Part
    """What stands for the older schema where it says nothing."""
    new_place: Part

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for pairs that would be compared twice."""
        return (self.kind.stem, tuple(p.pointer for p in self.old), tuple(p.pointer for p in self.new))

    def forms(self) -> tuple[Schema, Schema]:
        """Both in their normal form."""
        old = self.scope.old.normal(self.old, self.old_place)
        return old, self.scope.new.normal(self.new, self.new_place)
