"""Prepares recordings for comparison: matches requests, flattens bodies, and recognizes values that always differ."""

from voicegauge.drift.traffic.preparation.conversation_pairing import (
    ConversationPair,
    ConversationPairing,
    pair_conversations,
)
from voicegauge.drift.traffic.preparation.documented_schemas import (
    LocatedSchema,
    UndocumentedProperty,
    find_applicable_schemas,
    find_body_schemas,
    find_documented_values,
    find_undocumented_properties,
    iterate_documented_properties,
    list_enumerated_values,
)
from voicegauge.drift.traffic.preparation.json_flattening import (
    ANY_INDEX,
    FlattenedValue,
    JsonScalar,
    flatten_json,
    get_json_type,
)
from voicegauge.drift.traffic.preparation.recorded_traffic import (
    RecordedExchange,
    RecordedTraffic,
    interpret_recordings,
    iterate_job_states,
    load_recordings,
)
from voicegauge.drift.traffic.preparation.response_grouping import (
    FlattenedBody,
    PairedBodies,
    PairedResponses,
    ResponseGroupKey,
    flatten_bodies,
    group_responses,
)
from voicegauge.drift.traffic.preparation.value_stability import (
    MatchKey,
    ValueDifference,
    compare_scalar_lists,
    compare_values,
    split_url_into_parts,
)

__all__ = [
    "ANY_INDEX",
    "ConversationPair",
    "ConversationPairing",
    "FlattenedBody",
    "FlattenedValue",
    "JsonScalar",
    "LocatedSchema",
    "MatchKey",
    "PairedBodies",
    "PairedResponses",
    "RecordedExchange",
    "RecordedTraffic",
    "ResponseGroupKey",
    "UndocumentedProperty",
    "ValueDifference",
    "compare_scalar_lists",
    "compare_values",
    "find_applicable_schemas",
    "find_body_schemas",
    "find_documented_values",
    "find_undocumented_properties",
    "flatten_bodies",
    "flatten_json",
    "get_json_type",
    "group_responses",
    "interpret_recordings",
    "iterate_documented_properties",
    "iterate_job_states",
    "list_enumerated_values",
    "load_recordings",
    "pair_conversations",
    "split_url_into_parts",
]
