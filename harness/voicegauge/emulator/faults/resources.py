"""Faults of resources that an account keeps, such as cloned voices."""

from __future__ import annotations

from collections.abc import Callable

from voicegauge.contract import Target
from voicegauge.contract.extension import ResourceSpec
from voicegauge.emulator.faults.fault import Fault


def _create_has_resource_predicate(condition: Callable[[ResourceSpec], bool]) -> Callable[[Target], bool]:
    """Return a predicate that tells whether the contract of a target has a resource that meets `condition`."""

    def applies_to(target: Target) -> bool:
        resources = (operation.resource for operation in target.contract.operations.values())
        return any(resource is not None and condition(resource) for resource in resources)

    return applies_to


FAULTS = (
    Fault(
        id="uses-deleted",
        description="Deleted resources can still be used.",
        skipped_check="deletion",
        applies_to=_create_has_resource_predicate(lambda resource: resource.deletion is not None),
    ),
    Fault(
        id="lists-deleted",
        description="Deleted resources are still listed.",
        skipped_check="delisting",
        applies_to=_create_has_resource_predicate(
            lambda resource: resource.deletion is not None and resource.listing is not None
        ),
    ),
    Fault(
        id="ignores-state",
        description="Resources can be used in states that do not allow it.",
        skipped_check="state",
        applies_to=_create_has_resource_predicate(lambda resource: any(use.allowed_states for use in resource.uses)),
    ),
    Fault(
        id="shares-accounts",
        description="Resources of other accounts can be used.",
        skipped_check="account",
        applies_to=_create_has_resource_predicate(lambda _: True),
    ),
)
