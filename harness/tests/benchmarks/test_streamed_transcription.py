"""The benchmark of streamed transcription, whose server follows a script."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def test_ends_cuts_and_flips_of_scripts_are_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(BENCHMARKS), *sys.path)))
    from server_process import running_server
    from streamed_transcription.__main__ import list_failures, plan_script, recover_all

    with running_server("streamed_transcription.server") as port:
        found = asyncio.run(recover_all(port, 10, 10))
    assert list_failures(found) == []
    assert {(one.script.is_cut_early, one.script.ends) for one in found} == {
        (True, True),
        (False, True),
        (False, False),
    }
    assert any(one.script.flip_count for one in found)
    for one in found:
        assert [got < 0 for got in one.timing.turn_ends_ms] == [want < 0 for want in one.true_ends_ms]
    assert plan_script(3) == plan_script(3)
