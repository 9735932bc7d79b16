"""Documents changed for a test, and the changes between two of them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from voicegauge.drift import document_comparison
from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.drift.drift_report import DriftChange, DriftReport

Drift = Callable[[Mapping[str, Any], Mapping[str, Any]], DriftReport]


def drift_in(folder: Path) -> Drift:
    """Return a function that writes two documents to files in `folder` and compares them.

    A file is named by its content, so that a document that many tests compare is written and read once.
    """

    def write(document: Mapping[str, Any]) -> str:
        data = msgspec.json.format(json.dumps(document).encode(), indent=1)
        path = folder / f"{hashlib.sha256(data).hexdigest()}.json"
        if not path.exists():
            path.write_bytes(data)
        return str(path)

    read_once = functools.lru_cache(maxsize=200)(document_comparison.read_document_with_sockets)

    def run(old: Mapping[str, Any], new: Mapping[str, Any]) -> DriftReport:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(document_comparison, "read_document_with_sockets", read_once)
            return compare_inputs(write(old), write(new))

    return run


def reported_rules(report: DriftReport) -> list[str]:
    """Return the rules of a report, sorted."""
    return sorted(change.rule for change in report.changes)


def only(report: DriftReport) -> DriftChange:
    """Return the only change of a report."""
    assert len(report.changes) == 1, [
        (change.rule, change.qualified_location, change.message) for change in report.changes
    ]
    return report.changes[0]
