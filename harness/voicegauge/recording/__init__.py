"""Recorded traffic on disk: HAR files with provenance and without secrets, and their replay."""

from voicegauge.recording.credentials import BAD_KEY, MASK, find_secret, mask_credentials
from voicegauge.recording.folders import find_recordings, load_recordings
from voicegauge.recording.homes import Canonical
from voicegauge.recording.playing import ReplayApp
from voicegauge.recording.recording import Recording, groups_of, load_har, save_har
from voicegauge.recording.redaction import Redactor
from voicegauge.recording.replay import Replay

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
