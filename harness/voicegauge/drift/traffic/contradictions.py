"""Creates the changes that report how recorded traffic contradicts its contract."""

from __future__ import annotations

from typing import Any

from voicegauge.contract import Contract
from voicegauge.drift.report import DriftChange, FilePosition, build_change
from voicegauge.drift.traffic.disputes import is_disputed
from voicegauge.drift.traffic.preparation import RecordedExchange


def find_contract_position(contract: Contract, pointer: str) -> FilePosition:
    """Return the position in the contract file of the value at `pointer`."""
    document = contract.document
    position = document.find_position(pointer)
    return FilePosition(file=str(position.path), line=position.line, pointer=pointer)


def build_contradiction_change(
    recorded_exchange: RecordedExchange,
    rule_id: str,
    location: str,
    *,
    contract_pointer: str,
    exchange_part: str,
    observed_value: Any,
) -> DriftChange:
    """Create a change for traffic that contradicts its contract.

    If another source of the contract agrees with the traffic, the contract says so, and a rule for disputed facts is
    used.

    Args:
        recorded_exchange: the exchange that contradicts the contract.
        rule_id: the id of the rule to use if the contradiction is not disputed.
        location: the part of the operation that is contradicted, as `DriftChange.location`.
        contract_pointer: JSON pointer to the part of the contract that is contradicted.
        exchange_part: the part of the exchange, in the format that `RecordedExchange.find_position` takes.
        observed_value: the observed value.
    """
    return build_change(
        "observed-disputed-reading" if is_disputed(recorded_exchange, rule_id, contract_pointer) else rule_id,
        location=location,
        operation_id=recorded_exchange.operation_id,
        old_position=find_contract_position(recorded_exchange.contract, contract_pointer),
        new_position=recorded_exchange.find_position(exchange_part),
        message_values={"new": observed_value},
    )
