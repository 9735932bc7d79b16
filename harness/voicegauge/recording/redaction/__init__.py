"""Keeping secrets and machine-specific URLs out of recordings."""

from voicegauge.recording.redaction.credentials import BAD_KEY, MASK, find_secret, mask_credentials
from voicegauge.recording.redaction.redactor import Redactor
from voicegauge.recording.redaction.url_rewriting import ELSEWHERE, Canonical, Move, moved_answer, mover, relative_path

__all__ = [
    "BAD_KEY",
    "ELSEWHERE",
    "MASK",
    "Canonical",
    "Move",
    "Redactor",
    "find_secret",
    "mask_credentials",
    "moved_answer",
    "mover",
    "relative_path",
]
