"""Recorded traffic on disk: HAR files with provenance and without secrets, and their replay."""

from voicegauge.recording.age import age_days
from voicegauge.recording.bodies import bare_media_type
from voicegauge.recording.difference import RecordingChanges, compare_recordings
from voicegauge.recording.discovery import find_recordings, load_recordings
from voicegauge.recording.grouping import group_exchanges
from voicegauge.recording.har_file import Recording, exchanges_by_group, load_har, save_har
from voicegauge.recording.redaction import BAD_KEY, MASK, Redactor, UrlCanonicalizer, find_secret, mask_credentials
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
    "save_har",
    "save_vcr_cassette",
]
