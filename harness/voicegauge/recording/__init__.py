"""Recorded traffic on disk: HAR files with provenance and without secrets, and their replay."""

from voicegauge.recording.age import age_days
from voicegauge.recording.bodies import base_type
from voicegauge.recording.difference import RecordingChanges, changes
from voicegauge.recording.discovery import find_recordings, load_recordings
from voicegauge.recording.grouping import group_exchanges
from voicegauge.recording.har_file import Recording, exchanges_by_group, load_har, save_har
from voicegauge.recording.redaction import BAD_KEY, MASK, Redactor, UrlCanonicalizer, find_secret, mask_credentials
from voicegauge.recording.replay import Replay, ReplayApp
from voicegauge.recording.vcr_export import save_cassette

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
    "base_type",
    "changes",
    "exchanges_by_group",
    "find_recordings",
    "find_secret",
    "group_exchanges",
    "load_har",
    "load_recordings",
    "mask_credentials",
    "save_cassette",
    "save_har",
]
