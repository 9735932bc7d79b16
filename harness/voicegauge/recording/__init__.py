"""Recorded traffic on disk: HAR files with provenance and without secrets, and their replay."""

from voicegauge.recording.discovery import find_recordings, load_recordings
from voicegauge.recording.har_file import Recording, groups_of, load_har, save_har
from voicegauge.recording.redaction.credentials import BAD_KEY, MASK, find_secret, mask_credentials
from voicegauge.recording.redaction.redactor import Redactor
from voicegauge.recording.redaction.url_rewriting import Canonical
from voicegauge.recording.replay.replay import Replay
from voicegauge.recording.replay.replay_app import ReplayApp

__all__ = [
    "BAD_KEY",
    "MASK",
    "Canonical",
    "Recording",
    "Redactor",
    "Replay",
    "ReplayApp",
    "find_recordings",
    "find_secret",
    "groups_of",
    "load_har",
    "load_recordings",
    "mask_credentials",
    "save_har",
]
