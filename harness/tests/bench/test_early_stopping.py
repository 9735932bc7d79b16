"""Sampling that ends when the targets are known to differ, however often they are looked at."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from voicegauge.bench.benchmark_plan import BenchPlanSettings, PlannedSample
from voicegauge.bench.run_config import ConfidenceSequence, StopRule
from voicegauge.bench.run_store import save_run
from voicegauge.bench.runner import run_plan
from voicegauge.bench.suites import Suite
from voicegauge.cli import run as voicegauge
from voicegauge.contract.contract import Target
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.model.ramp import EarlyStop
from voicegauge.model.sample import Sample

from ..builders.rounds import build_rounds
from ..builders.runs import FAILED, build_manifest, build_run, build_sample
from ..builders.servers import serving
from ..builders.virtual_time import in_virtual_time
from .test_runner import order

OLD, NEW = "acme/old", "acme/new"


def sampled(planned: PlannedSample, ms: float, **more: object) -> Sample:
    return build_sample(planned.text.id, target=planned.target, total_latency_ms=ms, **more)  # type: ignore[arg-type]


def watch(ratio: float, *, count: int = 400, seed: int = 0, margin: float = 0.1) -> EarlyStop:
    """Show samples of both targets to a rule until it has decided."""
    rounds, rng = build_rounds(count, OLD, NEW), np.random.default_rng(seed)
    rule, sent = StopRule(rounds, OLD, equivalence_margin=margin), 0
    for old, new in rounds:
        sent += 2
        rule.add_samples([sampled(old, 300 * rng.lognormal(0, 0.2)), sampled(new, 300 * ratio * rng.lognormal(0, 0.2))])
        if rule.is_decided:
            break
    return rule.build_early_stop(sent)


def test_the_interval_hardly_ever_excludes_the_mean_although_it_is_looked_at_after_every_observation() -> None:
    missed = 0
    for seed in range(100):
        sequence, misses = ConfidenceSequence(0.05, tightest_observation_count=100), False
        for observation in np.random.default_rng(seed).normal(1.0, 3.0, 200):
            sequence.add_observation(float(observation))
            interval = sequence.compute_interval()
            misses = misses or (interval is not None and not interval[0] <= 1.0 <= interval[1])
        missed += misses
    assert missed <= 10, "5 of 100 are expected at most; more than 10 would be a chance of one in a hundred"


@pytest.mark.parametrize(("ratio", "decision"), [(1.3, "slower"), (0.7, "faster"), (1.0, "equal")])
def test_sampling_ends_early_with_the_right_decision(ratio: float, decision: str) -> None:
    found = watch(ratio)
    assert found.has_stopped_early
    assert found.sent_request_count < 0.7 * found.planned_request_count
    (target,) = found.targets
    assert (target.target, target.decision, 2 * target.pair_count) == (NEW, decision, found.sent_request_count)
    assert target.change_lower_bound is not None
    assert target.change_upper_bound is not None
    assert target.change_lower_bound < ratio - 1 < target.change_upper_bound


def test_what_the_plan_does_not_decide_is_said() -> None:
    found = watch(1.0, count=30, margin=0.01)
    assert (found.has_stopped_early, found.targets[0].decision) == (False, None)
    assert found.describe() == (
        "sampling did not stop early (after 60 of 60 requests): acme/new is not decided "
        "(looked at after every request, 1% error)"
    )


def test_pairs_count_in_the_order_of_the_plan_and_without_failures() -> None:
    """Fast pairs that overtake a slow one must not be looked at before it."""
    rounds = build_rounds(40, OLD, NEW, price_usd=0.01)
    rule = StopRule(rounds, OLD)
    slow, failed, *fast = rounds
    rule.add_samples([sampled(failed[0], 100.0), sampled(failed[1], 100.0, failure=FAILED)])
    rule.add_samples(sampled(one, ms) for row in fast for one, ms in zip(row, (100.0, 200.0), strict=True))
    assert rule.build_early_stop(79).targets[0].pair_count == 0
    rule.add_samples(sampled(one, 100.0) for one in slow)
    assert rule.build_early_stop(80).targets[0].pair_count >= 20
    assert rule.is_decided


@in_virtual_time
async def test_a_run_sends_nothing_more_when_it_is_decided(
    suite: Suite, targets: dict[str, Target], tmp_path: Path
) -> None:
    app = create_app([targets["acme/job"].contract], EmulatorSettings(enforces_rate_limits=False))
    settings = BenchPlanSettings(warmup=1, repetitions=30)
    async with serving(app) as url:
        config = order(suite, targets, f"{url}/acme", "now", "job", settings=settings)
        rule = StopRule(config.plan.rounds, "acme/now")
        outcome = await run_plan(dataclasses.replace(config, stop_rule=rule), tmp_path)
    assert outcome.is_complete
    assert outcome.early_stop is not None
    assert outcome.early_stop.has_stopped_early
    assert outcome.early_stop.targets[0].decision == "slower"
    assert outcome.early_stop.sent_request_count == len(outcome.samples) < config.plan.request_count / 2


def test_the_report_names_an_early_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = build_manifest(early_stop=watch(1.3))
    run = build_run(tuple(build_sample(text) for text in range(6)))
    save_run(tmp_path, type(run)(manifest=manifest, samples=run.samples))
    assert not voicegauge(["report", str(tmp_path), "--format", "markdown"])
    printed = capsys.readouterr().out
    assert "Early stop: sampling stopped after" in printed
    assert "acme/new is slower than acme/old (looked at after every request, 1% error)" in printed
