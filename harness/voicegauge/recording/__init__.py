"""Saves traffic without secrets in HAR files that state its provenance, and replays, imports and exports such files.

The sub-packages depend on each other in one direction only: `har` uses `redaction`; `replay` and `importing` use both.
"""

from voicegauge.recording.age import age_days
from voicegauge.recording.comparison import RecordingChanges, compare_recordings
from voicegauge.recording.discovery import find_recordings, load_recordings
from voicegauge.recording.har import Recording, exchanges_by_group, group_exchanges, load_har, save_har
from voicegauge.recording.redaction import (
    BAD_KEY,
    MASK,
    Redactor,
    UrlCanonicalizer,
    bare_media_type,
    find_secret,
    mask_credentials,
    mask_record,
)
from voicegauge.recording.replay import Replay, ReplayApp
from voicegauge.recording.vcr_export import save_vcr_cassette

__all__ = [
    "BAD_KEY",
    "MASK",
    "Recording",
    "RecordingChanges",
    "Redactor",
    "Replay",
    "ReplayApp",
    "UrlCanonicalizer",
    "age_days",
    "bare_media_type",
    "compare_recordings",
    "exchanges_by_group",
    "find_recordings",
    "find_secret",
    "group_exchanges",
    "load_har",
    "load_recordings",
    "mask_credentials",
    "mask_record",
    "save_har",
    "save_vcr_cassette",
]
