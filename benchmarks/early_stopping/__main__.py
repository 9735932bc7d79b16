"""Prints what `bench --stop-when-decided` decides in simulated runs whose truth is known, and what it saves.

Two targets take turns, as in `change_detection`; the rule looks after every request. Fails if more than 1% of the runs
are decided wrongly, beyond chance.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

import numpy as np
from change_detection.simulation import Design, Service, simulate_run
from scipy.stats import binomtest

from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.run_config import EARLY_STOP_ALPHA, StopRule
from voicegauge.bench.suites import SuiteText
from voicegauge.contract.price_computation import PriceQuote
from voicegauge.model.ramp import EarlyStop
from voicegauge.model.sample import Sample

OLD, NEW = "acme/old", "acme/new"
DESIGN = Design(texts=100, sessions=4, is_variation_shared=True)
MARGIN = 0.10


def plan_rounds(samples: Sequence[Sample]) -> list[SampleRound]:
    """Return the plan of which `samples` are the result: one text of both targets after the other."""
    planned = [
        PlannedSample(
            target=sample.target,
            text=SuiteText(id=sample.text_id, category="plain", language="en", text="x"),
            session_number=sample.session,
            repetition_number=sample.repetition,
            price=PriceQuote(0.0, None, False),
        )
        for sample in samples
    ]
    half = len(planned) // 2
    return list(zip(planned[:half], planned[half:], strict=True))


def stop_simulated_run(slowdown: float, seed: int, rounds: list[SampleRound]) -> EarlyStop:
    """Return what is decided about a target that is slower by `slowdown`."""
    services = {OLD: Service(), NEW: Service(slowdown=slowdown)}
    samples = simulate_run(services, DESIGN, np.random.default_rng(seed)).samples
    half = len(samples) // 2
    rule, sent = StopRule(rounds, OLD, equivalence_margin=MARGIN), 0
    for number in range(half):
        for sample in (samples[number], samples[half + number]):
            sent += 1
            rule.add_samples([sample])
        if rule.is_decided:
            break
    return rule.build_early_stop(sent)


def is_wrong(decision: str | None, slowdown: float) -> bool:
    """Return whether a decision contradicts the truth; a smaller slowdown than the margin may count as equal."""
    if decision == "equal":
        return slowdown >= MARGIN
    return decision == "faster" or (decision == "slower" and slowdown == 0)


def main() -> int:
    """Simulate, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m early_stopping", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000, help="simulated runs for each difference (default: 2000)")
    runs = parser.parse_args().runs
    example = simulate_run({OLD: Service(), NEW: Service()}, DESIGN, np.random.default_rng(0)).samples
    rounds, is_within = plan_rounds(example), True
    print("| difference | slower | faster | equal | not decided | wrong | requests saved |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for slowdown in (0.0, 0.05, MARGIN, 0.20, 0.50):
        found = [stop_simulated_run(slowdown, seed, rounds) for seed in range(runs)]
        decisions = [one.targets[0].decision for one in found]
        wrong = sum(is_wrong(decision, slowdown) for decision in decisions)
        saved = statistics.mean(1 - one.sent_request_count / one.planned_request_count for one in found)
        shares = [f"{decisions.count(word) / runs:.1%}" for word in ("slower", "faster", "equal", None)]
        cells = (f"{slowdown:.0%}", *shares, f"{wrong} of {runs}", f"{saved:.0%}")
        print(f"| {' | '.join(cells)} |", flush=True)
        is_within &= binomtest(wrong, runs, EARLY_STOP_ALPHA, alternative="greater").pvalue > 0.01
    return 0 if is_within else 1


if __name__ == "__main__":
    raise SystemExit(main())
