"""Creation of the changes by which recorded traffic contradicts its contract."""

from __future__ import annotations

from typing import Any

from voicegauge.contract import Contract
from voicegauge.drift.report import DriftChange, FilePosition, make_change
from voicegauge.drift.traffic.disputes import is_disputed
from voicegauge.drift.traffic.reading import ObservedExchange


def contract_position(contract: Contract, pointer: str) -> FilePosition:
    """Return the position of the part of a contract at `pointer`."""
    document = contract.document
    return FilePosition(file=str(document.path), line=document.line(pointer), pointer=pointer)


def contradiction(
    observed: ObservedExchange, rule: str, location: str, *, pointer: str, part: str, value: Any
) -> DriftChange:
    """Create a change; if the contract records a dispute about it, under the rule for disputed readings.

    Args:
        observed: the exchange that contradicts the contract.
        rule: the id of the rule, unless the contradiction is disputed.
        location: the part of the operation.
        pointer: the part of the contract that is contradicted.
        part: the part of the exchange, as `ObservedExchange.position` takes it.
        value: the observed value.
    """
    return make_change(
        "observed-disputed-reading" if is_disputed(observed, rule, pointer) else rule,
        location=location,
        operation=observed.operation_id,
        old=contract_position(observed.contract, pointer),
        new=observed.position(part),
        values={"new": value},
    )
