"""Reading recordings for comparison: values, contexts, pairing."""

from voicegauge.drift.traffic.reading.comparison_context import (
    FlattenedBodies,
    FlattenedBody,
    PairedResponses,
    ResponseContext,
    flatten_bodies,
    group_by_context,
)
from voicegauge.drift.traffic.reading.flatten import ANY, FlattenedValue, JsonScalar, flatten_json, json_type_of
from voicegauge.drift.traffic.reading.pairing import ConversationPair, ConversationPairing, pair_conversations
from voicegauge.drift.traffic.reading.recorded_traffic import (
    ObservedExchange,
    RecordedTraffic,
    job_states,
    load_recordings,
    read_traffic,
)
from voicegauge.drift.traffic.reading.schema_walk import (
    LocatedSchema,
    documented_values,
    enumerated_values,
    listed,
    media_type_schemas,
    stated,
    undocumented_properties,
)
from voicegauge.drift.traffic.reading.stability import (
    CaseKey,
    ValueDifference,
    compare_values,
    compare_word_lists,
    parts,
)

__all__ = [
    "ANY",
    "CaseKey",
    "ConversationPair",
    "ConversationPairing",
    "FlattenedBodies",
    "FlattenedBody",
    "FlattenedValue",
    "JsonScalar",
    "LocatedSchema",
    "ObservedExchange",
    "PairedResponses",
    "RecordedTraffic",
    "ResponseContext",
    "ValueDifference",
    "compare_values",
    "compare_word_lists",
    "documented_values",
    "enumerated_values",
    "flatten_bodies",
    "flatten_json",
    "group_by_context",
    "job_states",
    "json_type_of",
    "listed",
    "load_recordings",
    "media_type_schemas",
    "pair_conversations",
    "parts",
    "read_traffic",
    "stated",
    "undocumented_properties",
]
