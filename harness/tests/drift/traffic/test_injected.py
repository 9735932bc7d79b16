from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import permutations

import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import Catalogue, load_catalogue
from voicegauge.drift._traffic_vs_traffic import compare_traffic
from voicegauge.model.exchange import Exchange

from .emulator_recordings import all_targets, record, traffic
from .injections import INJECTIONS, Injected, NotApplicableError

pytestmark = pytest.mark.slow
SEEDS = (1, 2, 3)
WANTED = 100

Recorded = dict[str, list[tuple[Exchange, ...]]]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def recorded(catalogue: Catalogue) -> Recorded:
    """Each target three times: other ids, other times, other latencies."""

    async def all_of_them() -> Recorded:
        return {target.id: [await record(target, seed) for seed in SEEDS] for target in all_targets(catalogue)}

    return asyncio.run(all_of_them())


def test_repeated_recordings_have_no_changes(catalogue: Catalogue, recorded: Recorded) -> None:
    alarms: Counter[str] = Counter()
    pairs = 0
    for target in all_targets(catalogue):
        for old, new in permutations(recorded[target.id], 2):
            assert old != new
            pairs += 1
            report = compare_traffic(traffic(target.contract, old), traffic(target.contract, new))
            alarms.update([f"{target.id}: {c.rule} {c.operation} {c.location} {c.message}" for c in report.changes][:1])
    assert pairs >= WANTED
    assert alarms.total() <= pairs // 100, alarms


def test_injected_changes_are_found_with_their_rules(catalogue: Catalogue, recorded: Recorded) -> None:
    rng = random.Random(6)
    tried: Counter[str] = Counter()
    missed: list[str] = []
    for target in all_targets(catalogue) * 6:
        old, injected = _injected(recorded[target.id], target.contract, rng, tried)
        report = compare_traffic(traffic(target.contract, old), traffic(target.contract, injected.exchanges))
        if not any(c.rule == injected.rule and injected.location.lower() in c.location.lower() for c in report.changes):
            found = [f"{c.rule} {c.location}" for c in report.changes]
            missed.append(f"{target.id}: {injected.rule} {injected.location}, found {found}")
    assert tried.total() >= WANTED
    assert tried.keys() == INJECTIONS.keys()
    assert len(missed) <= tried.total() * 0.05, missed


def _injected(
    takes: list[tuple[Exchange, ...]], contract: Contract, rng: random.Random, tried: Counter[str]
) -> tuple[tuple[Exchange, ...], Injected]:
    """One of the injections used least so far that this recording can have."""
    old, new = rng.sample(takes, 2)
    for name in sorted(INJECTIONS, key=lambda name: (tried[name], rng.random())):
        try:
            injected = INJECTIONS[name](contract, new, rng)
        except NotApplicableError:
            continue
        tried[name] += 1
        return old, injected
    raise AssertionError("no injection fits")
