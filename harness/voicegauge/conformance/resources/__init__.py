"""Deletes the resources that a check creates: at its end, after Ctrl-C, and in the next run after a crash."""

from voicegauge.conformance.resources.cleanup import ResourceCleanup, describe_remaining_resource
from voicegauge.conformance.resources.journal import ResourceJournal, compute_account_checksum
from voicegauge.conformance.resources.tracker import ResourceTracker

__all__ = [
    "ResourceCleanup",
    "ResourceJournal",
    "ResourceTracker",
    "compute_account_checksum",
    "describe_remaining_resource",
]
