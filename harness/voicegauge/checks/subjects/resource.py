"""One step in the lifecycle of a resource that a provider stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from voicegauge.checks.subjects.call import CallSubject
from voicegauge.contract import Operation
from voicegauge.contract.extension import ResourceSpec

ResourceStepKind = Literal["create", "list", "set", "use"]
"""What a call does. `create`: it creates the resource; `list`: it lists the account's resources; `set`: it changes the
state of the resource; `use`: it refers to the resource, such as a speech request with a saved voice."""


@dataclass(frozen=True, eq=False)
class ResourceStep(CallSubject):
    """One call in the lifecycle of a resource, such as a saved voice, with the state that the resource should have."""

    creating_operation: Operation
    """The operation that created the resource."""
    resource_id: str
    step_kind: ResourceStepKind
    description: str
    """A phrase that names the operation of the call and what was done to the resource before the call."""
    contract_pointer: str
    """JSON pointer to the part of the contract that the call tests."""
    expected_state: str | None = None
    """The state that was set last; `None` if the resource has no documented states."""
    listed_item: dict[str, Any] | None = None
    """The JSON object of the resource in the response of a `list` step; `None` if it is not listed, or for other
    steps."""
    is_use_forbidden: bool = False
    """Whether the resource is in a state in which the documents forbid using it."""
    is_deleted: bool = False
    is_by_other_account: bool = False
    """Whether the call was made by another account than the one that created the resource."""

    @property
    def resource_spec(self) -> ResourceSpec:
        """The description of the resource in the contract."""
        assert self.creating_operation.resource is not None, "an operation that creates resources has an x-resource"
        return self.creating_operation.resource

    @property
    def possible_dispute_pointers(self) -> tuple[str, ...]:
        """The dispute pointers of the call, and the pointer to the `x-resource`."""
        return (*super().possible_dispute_pointers, f"{self.creating_operation.pointer}/x-resource")
