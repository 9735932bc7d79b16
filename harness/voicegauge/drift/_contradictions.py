"""Compares recorded bodies with documented schemas, and reports how traffic contradicts its contract."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.sources import Dispute
from voicegauge.contract.schemas import SchemaViolation
from voicegauge.drift._documented_schemas import (
    LocatedSchema,
    find_applicable_schemas,
    find_body_schemas,
    find_undocumented_properties,
    list_enumerated_values,
)
from voicegauge.drift._json_values import ANY_INDEX, get_json_type
from voicegauge.drift._recorded_traffic import RecordedExchange
from voicegauge.drift.report import DriftChange, FilePosition, build_change
from voicegauge.formats.located_yaml import escape_pointer_token, unescape_pointer_token
from voicegauge.formats.locations import MISSING, read_pointer
from voicegauge.recording.credentials import MASK

# Finds out whether a contradiction is disputed: whether another source of the contract agrees with the traffic.


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
        entries = read_pointer(contract.document.data, [*pointer_tokens, key, "disputes"])
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if entry.get("claim") == dispute.claim and entry.get("body_schema") == dispute.body_schema:
                found.append(f"{dispute_pointer}/{key}/disputes/{index}/body_schema")
    return found


# Creates the changes that report how recorded traffic contradicts its contract.


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


# Compares recorded response bodies with their documented schemas.


_MAX_SCHEMA_ERRORS = 20
"""Largest number of schema errors reported per body, because every entry of a long list may have the same error."""
_PROPERTY_KEYWORDS = ("additionalProperties", "unevaluatedProperties", "patternProperties", "false")
"""Keywords under which a schema rejects a field because it is not documented. Such schema errors are not reported,
because each undocumented field is a change of its own."""
_RULE_ID_BY_KEYWORD = {
    "type": "observed-type-undocumented",
    "enum": "observed-value-undocumented",
    "const": "observed-value-undocumented",
    "required": "observed-field-missing",
}
"""By the schema keyword that a value violates: the id of the rule that reports this."""


def compare_body_with_schema(recorded_exchange: RecordedExchange, media_type: MediaType) -> Iterator[DriftChange]:
    """Yield the undocumented fields of a response body, and the parts of the body that its schema rejects."""
    for extra in find_undocumented_properties(
        recorded_exchange.contract.schemas, recorded_exchange.json_body, find_body_schemas(media_type)
    ):
        yield build_contradiction_change(
            recorded_exchange,
            "observed-field-undocumented",
            f"{recorded_exchange.status} body#{extra.path}",
            contract_pointer=extra.parent_pointer,
            exchange_part=f"/response/content/text#{extra.path}",
            observed_value=extra.value,
        )
    for error in islice(media_type.iterate_violations(recorded_exchange.json_body), _MAX_SCHEMA_ERRORS):
        if error.keyword not in _PROPERTY_KEYWORDS:
            yield from _build_schema_error_changes(recorded_exchange, error)


def _build_schema_error_changes(
    recorded_exchange: RecordedExchange, schema_violation: SchemaViolation
) -> Iterator[DriftChange]:
    pointer_tokens = [unescape_pointer_token(token) for token in schema_violation.value_pointer.split("/")[1:]]
    value = read_pointer(recorded_exchange.json_body, pointer_tokens)
    rule = _choose_rule(recorded_exchange, schema_violation, value)
    if isinstance(value, str) and MASK in value and rule != "observed-type-undocumented":
        return  # only the type of a redacted value is known: the value was a string
    yield build_contradiction_change(
        recorded_exchange,
        rule,
        f"{recorded_exchange.status} body#{_generalize_path(recorded_exchange.json_body, pointer_tokens)}",
        contract_pointer=schema_violation.keyword_pointer,
        exchange_part=f"/response/content/text#{schema_violation.value_pointer}",
        observed_value=schema_violation.message if rule == "observed-field-missing" else value,
    )


def _choose_rule(recorded_exchange: RecordedExchange, schema_violation: SchemaViolation, value: Any) -> str:
    """Return the id of the rule that reports a schema error: a wrong type, value or range, or a missing field.

    If `value` matches no branch of an `anyOf` or `oneOf`, the types and the enums of all branches decide.
    """
    if schema_violation.keyword in _RULE_ID_BY_KEYWORD:
        return _RULE_ID_BY_KEYWORD[schema_violation.keyword]
    if schema_violation.keyword not in ("anyOf", "oneOf"):
        return "observed-value-out-of-bounds"
    schemas = _find_schemas_at(recorded_exchange, schema_violation.keyword_pointer.rpartition("/")[0])
    types = {name for located in schemas for name in _list_type_names(located.schema)}
    if types and not _has_type(value, types):
        return "observed-type-undocumented"
    return "observed-value-undocumented" if list_enumerated_values(schemas) else "observed-value-out-of-bounds"


def _find_schemas_at(recorded_exchange: RecordedExchange, schema_pointer: str) -> list[LocatedSchema]:
    pointer_tokens = [unescape_pointer_token(token) for token in schema_pointer.split("/")[1:]]
    schema = read_pointer(recorded_exchange.contract.document.data, pointer_tokens)
    return (
        [] if schema is MISSING else find_applicable_schemas(recorded_exchange.contract.schemas, schema, schema_pointer)
    )


def _list_type_names(schema: dict[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _has_type(value: Any, type_names: set[str]) -> bool:
    name = get_json_type(value)
    return name in type_names or (name == "number" and "integer" in type_names)


def _generalize_path(body: Any, pointer_tokens: list[str]) -> str:
    """Return the path of a value with `*` in place of list indices, so that equal errors in items are one change."""
    path = ""
    for index, token in enumerate(pointer_tokens):
        parent = read_pointer(body, pointer_tokens[:index])
        path += f"/{ANY_INDEX}" if isinstance(parent, list) else f"/{escape_pointer_token(token)}"
    return path
