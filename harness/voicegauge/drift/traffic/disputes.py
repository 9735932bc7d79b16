"""Finds out whether a contradiction is disputed: whether another source of the contract agrees with the traffic."""

from __future__ import annotations

from voicegauge.contract import MISSING, Contract
from voicegauge.contract.extension import Dispute
from voicegauge.drift.traffic.preparation import RecordedExchange
from voicegauge.formats import read_pointer, unescape_pointer_token

_CHECK_RULE_IDS_BY_DRIFT_RULE_ID = {
    "observed-status-undocumented": ("status-undocumented", "wrong-error-status"),
    "observed-media-type-undocumented": ("content-type",),
    "observed-header-value-undocumented": ("header-schema",),
    "observed-state-undocumented": ("job-state-unknown",),
    "observed-transition-undocumented": ("job-transition-illegal",),
}
"""Ids of the equivalent check rules for each drift rule, because disputes in contracts name check rules."""
_BODY_CHECK_RULE_IDS = ("response-schema", "error-shape", "job-completed-without-output")
"""Ids of the check rules that are equivalent to all drift rules without a row in `_CHECK_RULE_IDS_BY_DRIFT_RULE_ID`.
These drift rules are about bodies."""


def is_disputed(recorded_exchange: RecordedExchange, rule_id: str, contract_pointer: str) -> bool:
    """Whether the contract has a dispute about what the drift rule `rule_id` reports.

    Args:
        recorded_exchange: the exchange that contradicts the contract.
        rule_id: the id of the drift rule.
        contract_pointer: JSON pointer to the contradicted part of the contract. Disputes about its parents count too.
    """
    check_rules = set(_CHECK_RULE_IDS_BY_DRIFT_RULE_ID.get(rule_id, _BODY_CHECK_RULE_IDS))
    for candidate in _list_disputable_pointers(recorded_exchange, contract_pointer):
        for dispute, location in recorded_exchange.contract.iterate_disputes(candidate):
            if check_rules & set(dispute.rule_ids) and _covers_contradiction(dispute, recorded_exchange, location):
                return True
    return False


def _list_disputable_pointers(recorded_exchange: RecordedExchange, contract_pointer: str) -> list[str]:
    """Return the JSON pointers of the parts of the contract that may state a dispute about a contradiction.

    These are the contradicted part at `contract_pointer`, the documented response and the operation.
    """
    pointers = [contract_pointer]
    if recorded_exchange.response_spec is not None:
        pointers.append(recorded_exchange.response_spec.pointer)
    if recorded_exchange.operation is not None:
        # A dispute next to the `$ref` of a shared response is not among the parents of that response.
        pointers += [
            recorded_exchange.operation.pointer,
            f"{recorded_exchange.operation.pointer}/responses/{recorded_exchange.status}",
        ]
    return [candidate for candidate in pointers if candidate]


def _covers_contradiction(dispute: Dispute, recorded_exchange: RecordedExchange, dispute_pointer: str) -> bool:
    response = recorded_exchange.exchange.response
    if dispute.status is not None and dispute.status != response.status:
        return False
    if dispute.media_type and dispute.media_type.lower() != response.media_type:
        return False
    if dispute.body_schema is None:
        return True
    if recorded_exchange.json_body is MISSING:
        return False
    pointers = _list_schema_pointers(recorded_exchange.contract, dispute, dispute_pointer)
    return any(
        recorded_exchange.contract.schemas.is_valid(pointer, recorded_exchange.json_body) for pointer in pointers
    )


def _list_schema_pointers(contract: Contract, dispute: Dispute, dispute_pointer: str) -> list[str]:
    """Return the JSON pointers at which the contract has the schema of a dispute. References in it start from there."""
    found = []
    pointer_tokens = [unescape_pointer_token(token) for token in dispute_pointer.split("/")[1:]]
    for key in ("x-source", "source"):
        entries = read_pointer(contract.document.data, [*pointer_tokens, key, "disputed"])
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if entry.get("claim") == dispute.claim and entry.get("schema") == dispute.body_schema:
                found.append(f"{dispute_pointer}/{key}/disputed/{index}/schema")
    return found
