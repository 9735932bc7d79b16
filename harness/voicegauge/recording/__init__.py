"""Recorded traffic on disk: HAR files with provenance and without secrets."""

from voicegauge.recording.redaction import MASK, find_secret, mask_credentials

__all__ = ["MASK", "find_secret", "mask_credentials"]
