"""The life of a thing that a provider keeps, call by call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from voicegauge.checks.subjects.call import OfCall
from voicegauge.contract import Operation
from voicegauge.contract.extension import ResourceSpec


@dataclass(frozen=True, eq=False)
class Life(OfCall):
    """One call in the life of a thing that a provider keeps: it is made, listed, brought into a state or used."""

    maker: Operation
    """The operation that made it."""
    thing: str
    """Its id."""
    step: Literal["make", "list", "set", "use"]
    says: str
    """In words: what was called, and what had become of the thing before."""
    at: str
    """JSON pointer into the contract, at the statement that the call tests."""
    state: str | None = None
    """What it should be in."""
    item: dict[str, Any] | None = None
    """Where it is in a list; `None` where it is not."""
    withheld: bool = False
    """It is in a state in which it may not be used."""
    deleted: bool = False
    foreign: bool = False
    """Another account calls than the one that made it."""

    @property
    def resource(self) -> ResourceSpec:
        """What the contract says of such things."""
        assert self.maker.resource is not None, "a life is of a thing that its maker describes"
        return self.maker.resource

    @property
    def around(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about it may stand at."""
        return (*super().around, f"{self.maker.pointer}/x-resource")
