"""Recorded traffic on disk: HAR files with provenance and without secrets, and their replay."""

from voicegauge.recording.credentials import BAD_KEY, MASK, find_secret, mask_credentials
from voicegauge.recording.recording import Recording, load_har, save_har
from voicegauge.recording.redaction import Redactor

__all__ = [
    "BAD_KEY",
    "MASK",
    "Recording",
    "Redactor",
    "find_secret",
    "load_har",
    "mask_credentials",
    "save_har",
]
