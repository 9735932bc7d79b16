"""Defines recordings, writes and reads them as HAR 1.2 files, and groups their exchanges."""

from voicegauge.recording.har.grouping import (
    ConversationIndex,
    group_exchanges_by_conversation,
    iterate_with_assigned_conversation_ids,
)
from voicegauge.recording.har.growing_har import GrowingHar
from voicegauge.recording.har.har_reading import load_har
from voicegauge.recording.har.har_writing import save_har
from voicegauge.recording.har.recording import Recording, collect_exchanges_by_conversation_id

__all__ = [
    "ConversationIndex",
    "GrowingHar",
    "Recording",
    "collect_exchanges_by_conversation_id",
    "group_exchanges_by_conversation",
    "iterate_with_assigned_conversation_ids",
    "load_har",
    "save_har",
]
