"""Compares recorded response bodies with their documented schemas."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from voicegauge.contract import MISSING, MediaType, SchemaViolation
from voicegauge.drift.report import DriftChange
from voicegauge.drift.traffic.contradictions import build_contradiction_change
from voicegauge.drift.traffic.preparation import (
    ANY_INDEX,
    LocatedSchema,
    RecordedExchange,
    find_applicable_schemas,
    find_body_schemas,
    find_undocumented_properties,
    get_json_type,
    list_enumerated_values,
)
from voicegauge.formats import escape_pointer_token, read_pointer, unescape_pointer_token
from voicegauge.recording import MASK

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
