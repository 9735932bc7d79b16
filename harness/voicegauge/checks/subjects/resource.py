"""The life of a thing that a provider keeps, call by call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from voicegauge.checks.subjects.call import CallSubject
from voicegauge.contract import Operation
from voicegauge.contract.extension import ResourceSpec


@dataclass(frozen=True, eq=False)
class ResourceStep(CallSubject):
    """One call in the life of a thing that a provider keeps: it is made, listed, brought into a state or used."""

    creator: Operation
    """The operation that made it."""
    resource_id: str
    """Its id."""
    step: Literal["make", "list", "set", "use"]
    description: str
    """In words: what was called, and what had become of the thing before."""
    contract_pointer: str
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
        assert self.creator.resource is not None, "a life is of a thing that its maker describes"
        return self.creator.resource

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about it may stand at."""
        return (*super().dispute_scopes, f"{self.creator.pointer}/x-resource")
