"""Decides which cases must be sent one after the other, because they share state at the service."""

from __future__ import annotations

from voicegauge.conformance.cases import ConformanceCase
from voicegauge.contract import Contract

_RESOURCE_LANE_NAME = "resources"
"""The only lane: the cases that create, list, change or delete resources."""


class CaseLanes:
    """Assigns cases of one provider to lanes. The cases of one lane are sent one after the other."""

    def __init__(self, contract: Contract) -> None:
        """Find the operations that create, list, change or delete resources of an account."""
        self._resource_operations: set[str] = set()
        for operation in contract.operations.values():
            resource = operation.resource
            if resource is None:
                continue
            self._resource_operations |= {operation.id, *(one.operation_id for one in resource.transitions)}
            self._resource_operations |= {
                one.operation_id for one in (resource.listing, resource.deletion) if one is not None
            }

    def find_lane(self, case: ConformanceCase) -> str | None:
        """Return the lane of a case; `None` if other cases cannot change its result."""
        return _RESOURCE_LANE_NAME if case.operation in self._resource_operations else None
