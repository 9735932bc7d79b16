"""Recorded traffic on disk: HAR files with provenance and without secrets."""

from voicegauge.recording.recording import Recording, load_har, save_har
from voicegauge.recording.redaction import MASK, find_secret, mask_credentials

__all__ = ["MASK", "Recording", "find_secret", "load_har", "mask_credentials", "save_har"]
