"""One step in the lifecycle of a resource that a provider stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from voicegauge.checks.subjects.call import CallSubject
from voicegauge.contract import Operation
from voicegauge.contract.extension import ResourceSpec

ResourceStepKind = Literal["create", "list", "set", "use"]
"""`create`: the resource is created; `list`: the account's resources are listed; `set`: its state is changed;
`use`: another request refers to it."""


@dataclass(frozen=True, eq=False)
class ResourceStep(CallSubject):
    """One call in the lifecycle of a resource, such as a saved voice, with the state that the resource should have."""

    creator: Operation
    """The operation that created the resource."""
    resource_id: str
    kind: ResourceStepKind
    description: str
    """A phrase that names the operation and what happened to the resource before."""
    contract_pointer: str
    """JSON pointer into the contract, at the statement that the call tests."""
    state: str | None = None
    """The state that was set last."""
    item: dict[str, Any] | None = None
    """The resource as it is listed; `None` if it is not listed."""
    withheld: bool = False
    """The resource is in a state in which the documentation forbids its use."""
    deleted: bool = False
    foreign: bool = False
    """The call was made by another account than the one that created the resource."""

    @property
    def resource(self) -> ResourceSpec:
        """The description of the resource in the contract."""
        assert self.creator.resource is not None, "an operation that creates resources has an x-resource"
        return self.creator.resource

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Those of the call, and the resource."""
        return (*super().dispute_scopes, f"{self.creator.pointer}/x-resource")
