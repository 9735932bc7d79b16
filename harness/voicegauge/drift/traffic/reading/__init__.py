"""Prepares recordings for comparison: matches requests, flattens bodies, and tells stable values from others."""

from voicegauge.drift.traffic.reading.comparison_context import (
    FlattenedBody,
    FlattenedCase,
    PairedResponses,
    ResponseContext,
    flatten_bodies,
    group_by_context,
)
from voicegauge.drift.traffic.reading.documented_schemas import (
    LocatedSchema,
    UndocumentedProperty,
    applicable_schemas,
    body_schemas,
    documented_properties,
    documented_values,
    enumerated_values,
    undocumented_properties,
)
from voicegauge.drift.traffic.reading.flatten import (
    ANY_INDEX,
    FlattenedValue,
    JsonScalar,
    flatten_json,
    json_type_of,
)
from voicegauge.drift.traffic.reading.pairing import ConversationPair, ConversationPairing, pair_conversations
from voicegauge.drift.traffic.reading.recorded_traffic import (
    RecordedExchange,
    RecordedTraffic,
    job_states,
    load_recordings,
    read_traffic,
)
from voicegauge.drift.traffic.reading.stability import (
    CaseKey,
    ValueDifference,
    compare_values,
    compare_word_lists,
    split_value,
)

__all__ = [
    "ANY_INDEX",
    "CaseKey",
    "ConversationPair",
    "ConversationPairing",
    "FlattenedBody",
    "FlattenedCase",
    "FlattenedValue",
    "JsonScalar",
    "LocatedSchema",
    "PairedResponses",
    "RecordedExchange",
    "RecordedTraffic",
    "ResponseContext",
    "UndocumentedProperty",
    "ValueDifference",
    "applicable_schemas",
    "body_schemas",
    "compare_values",
    "compare_word_lists",
    "documented_properties",
    "documented_values",
    "enumerated_values",
    "flatten_bodies",
    "flatten_json",
    "group_by_context",
    "job_states",
    "json_type_of",
    "load_recordings",
    "pair_conversations",
    "read_traffic",
    "split_value",
    "undocumented_properties",
]
