from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.drift.drift_report import DriftLevel

from .generated_clients import GeneratedPair, generate_pair, write_uses

PAIRS = 100
REQUIRED_SHARE = 0.95


def is_reported_as_breaking(pair: GeneratedPair, folder: Path, *, as_recording: bool) -> bool:
    """Whether drift reports that the pair may break the client."""
    folder.mkdir()
    for name in ("old", "new"):
        (folder / f"{name}.json").write_text(json.dumps(getattr(pair, name)))
    uses = write_uses(pair, folder, as_recording=as_recording)
    report = compare_inputs(str(folder / "old.json"), str(folder / "new.json"), client_use_paths=uses)
    return report.has_change_at_least(DriftLevel.POSSIBLY_BREAKING)


@pytest.mark.slow
def test_changes_break_those_clients_that_a_simulation_shows_to_break(tmp_path: Path) -> None:
    random = Random(15)
    pairs = [generate_pair(random) for _ in range(PAIRS)]
    wrong = [
        (index, pair.edit, pair.breaks)
        for index, pair in enumerate(pairs)
        if is_reported_as_breaking(pair, tmp_path / str(index), as_recording=bool(index % 2)) is not pair.breaks
    ]
    assert PAIRS / 4 < sum(pair.breaks for pair in pairs) < PAIRS * 3 / 4
    assert len(wrong) <= PAIRS * (1 - REQUIRED_SHARE), wrong
