"""The listeners stay reachable and small under attack; the benchmark attacks for longer than this test."""

from __future__ import annotations

import os
import sys

import pytest
from hostile_clients.__main__ import MAX_MIB, measure
from hostile_clients.attacks import ATTACKS

pytestmark = pytest.mark.slow  # each starts a process that is attacked


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the attacked process import what this process can import."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.mark.parametrize(
    ("listener", "name"),
    [
        ("receiver", "one URL: bodies of 1 MiB"),
        ("emulator", "control route: 1 GiB"),
        ("receiver", "unfinished headers"),
        ("proxy", "endless headers"),
        ("proxy", "pages and hosts of others"),
    ],
)
def test_a_genuine_request_is_answered_during_an_attack(listener: str, name: str) -> None:
    (attack,) = [one for one in ATTACKS if (one.listener, one.name) == (listener, name)]
    measured = measure(attack._replace(count=min(attack.count, 20)))
    assert measured.status == 200
    assert measured.peak_mib < MAX_MIB
