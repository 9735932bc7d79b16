"""Saves traffic without secrets in HAR files that state its provenance, and replays, imports and exports such files.

The sub-packages depend on each other in one direction only: `har` uses `redaction`; `replay` and `importing` use both.
"""

from voicegauge.recording.comparison import RecordingChanges, compare_recordings
from voicegauge.recording.discovery import (
    find_provider_recordings,
    find_recordings,
    load_recordings,
)
from voicegauge.recording.har import (
    ConversationIndex,
    GrowingHar,
    Recording,
    collect_exchanges_by_conversation_id,
    group_exchanges_by_conversation,
    load_har,
    save_har,
)
from voicegauge.recording.recording_age import compute_age_days
from voicegauge.recording.redaction import (
    INVALID_API_KEY,
    MASK,
    Redactor,
    UrlCanonicalizer,
    find_relative_path,
    find_secret_spelling,
    find_used_credentials,
    get_bare_media_type,
    mask_credentials,
    mask_record,
)
from voicegauge.recording.replay import Replay, ReplayApp
from voicegauge.recording.vcr_export import save_vcr_cassette

__all__ = [
    "INVALID_API_KEY",
    "MASK",
    "ConversationIndex",
    "GrowingHar",
    "Recording",
    "RecordingChanges",
    "Redactor",
    "Replay",
    "ReplayApp",
    "UrlCanonicalizer",
    "collect_exchanges_by_conversation_id",
    "compare_recordings",
    "compute_age_days",
    "find_provider_recordings",
    "find_recordings",
    "find_relative_path",
    "find_secret_spelling",
    "find_used_credentials",
    "get_bare_media_type",
    "group_exchanges_by_conversation",
    "load_har",
    "load_recordings",
    "mask_credentials",
    "mask_record",
    "save_har",
    "save_vcr_cassette",
]
