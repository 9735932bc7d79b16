"""Formats that are objects, and sample rates that a request selects: another rate in the audio is found."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("target", ["cartesia/sonic-3.5", "murf/falcon"])
def test_another_sample_rate_than_the_requested_one_is_found(check, target) -> None:
    cases = [f"{target}: a full delivery"]
    assert check([target], only=lambda case: case.id in cases).findings == ()
    report = check([target], faults=["other-sample-rate"], only=lambda case: case.id in cases)
    assert {finding.rule for finding in report.findings} == {"audio-sample-rate"}
