"""How many nights, targets and texts find a slowdown; and one slow target among others."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from change_detection.__main__ import EIGHT_SERVICES, FIRST, compare_eight_with_nights
from change_detection.simulation import Design, Service, simulate_run

from voicegauge.bench.comparison import LatencySpreads, compare_runs, measure_spreads, plan_comparison
from voicegauge.bench.comparison_result import (
    CompareSettings,
    compute_false_discovery_significance_levels,
    compute_family_significance_levels,
)
from voicegauge.bench.run_store import save_run
from voicegauge.cli import run as voicegauge
from voicegauge.errors import DataError

SHARED = Design(texts=60, sessions=1, is_variation_shared=True, own_variation=0.01)
SETTINGS = CompareSettings()


def test_one_slow_target_of_eight_is_found_although_nights_differ_by_a_tenth() -> None:
    found = compare_eight_with_nights(Service(slowdown=0.35), SHARED, 1)
    assert {one.target for one in found.regressions} == {FIRST}
    (total,) = [one for one in found.regressions if one.metric == "total_latency_ms"]
    assert total.change == pytest.approx(0.35, abs=0.12)
    assert total.note.startswith("beside the other targets of the runs, whose times changed by ")
    assert total.interval_low is not None
    assert total.interval_low > 0
    assert total.interval_level is not None
    assert total.interval_level > 0.99


def test_a_night_that_is_slow_for_all_targets_is_no_regression_of_any() -> None:
    rng = np.random.default_rng(5)
    nights = [simulate_run(EIGHT_SERVICES, SHARED, rng, night=night) for night in range(8)]
    slow = {name: Service(slowdown=0.2) for name in EIGHT_SERVICES}
    assert not compare_runs(nights, simulate_run(slow, SHARED, rng, night=9)).regressions


@pytest.mark.slow
def test_unchanged_targets_raise_no_alarm() -> None:
    assert not any(compare_eight_with_nights(Service(), SHARED, seed).regressions for seed in range(4))


def test_the_plan_states_what_comparisons_of_its_size_state() -> None:
    rng = np.random.default_rng(1)
    nights = [simulate_run(EIGHT_SERVICES, SHARED, rng, night=night) for night in range(10)]
    spreads = measure_spreads(nights)
    assert spreads.measured_names == ("request", "night", "night beside others")
    assert spreads.request == pytest.approx(0.28, abs=0.04)
    assert 0.04 < spreads.night < 0.2
    assert spreads.night_beside_others < 0.04
    planned = plan_comparison(spreads, 10, 8, SHARED.texts, SETTINGS).detectable_slowdown
    stated = compare_eight_with_nights(Service(), SHARED, 2)
    sizes = [one.detectable_change for one in stated.metrics if one.metric == "total_latency_ms"]
    assert planned == pytest.approx(np.median([size for size in sizes if size is not None]), rel=0.25)


@pytest.mark.slow
def test_five_nights_of_one_target_find_what_the_plan_states() -> None:
    services, design = {FIRST: Service()}, Design(texts=24, sessions=1)
    sizes = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        nights = [simulate_run(services, design, rng, night=night) for night in range(5)]
        found = compare_runs(nights, simulate_run(services, design, rng, night=9)).metrics
        sizes += [one.detectable_change or 99.0 for one in found if one.metric == "total_latency_ms"]
    planned = plan_comparison(LatencySpreads(0.25, 0.10, 0.10), 5, 1, 24, SETTINGS).detectable_slowdown
    assert planned == pytest.approx(np.median(sizes), rel=0.25)


def test_the_last_run_is_the_one_that_is_compared_and_shows_no_spread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    design = replace(SHARED, texts=12)
    printed = []
    nights = [simulate_run(EIGHT_SERVICES, design, rng, night=night) for night in range(5)]
    for number, slowdown in enumerate((0.0, 2.0)):
        services = {name: Service(slowdown=slowdown) for name in EIGHT_SERVICES}
        runs = [*nights, simulate_run(services, design, np.random.default_rng(7), night=9)]
        folders = [tmp_path / f"{number}-{night}" for night in range(6)]
        for folder, run in zip(folders, runs, strict=True):
            folder.mkdir()
            save_run(folder, run)
        assert not voicegauge(["compare", *map(str, folders), "--power", "0.2"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "spreads of 5 runs, without the last one, " in printed[0]


def test_more_nights_and_texts_find_less_and_one_night_has_only_the_assumed_variation() -> None:
    spreads = LatencySpreads(0.25, 0.10, 0.02)

    def find(nights: int, targets: int, texts: int) -> float:
        return plan_comparison(spreads, nights, targets, texts, SETTINGS).detectable_slowdown or 99.0

    assert find(20, 8, 100) < find(10, 8, 100) < find(10, 8, 24) < find(10, 1, 24)
    assert find(10, 8, 400) < 0.2 < find(10, 1, 400)
    assert find(1, 8, 100) > find(1, 1, 100), "more tests, and nothing that targets share is known"


def test_parts_of_the_latency_do_not_make_a_slowdown_harder_to_find() -> None:
    metrics = ["total_latency_ms", "ttfa_ms", "submit_latency_ms", "failures"]
    levels, strictest = compute_family_significance_levels(metrics, [0.5, 0.5, 0.5, 0.5], 0.01)  # type: ignore[arg-type]
    assert levels == strictest == [0.004, 0.001, 0.001, 0.004]
    alone, _ = compute_family_significance_levels(["total_latency_ms", "failures"], [0.5, None], 0.01)
    assert alone == [0.01, 0.01]


def test_of_many_changes_a_share_may_be_false_if_that_is_asked_for() -> None:
    p_values = [0.0001, 0.001, 0.004, 0.03, None, 0.9]
    levels = compute_false_discovery_significance_levels(p_values, 0.01)
    assert levels == [pytest.approx(0.006)] * 6
    assert [p is not None and p / 2 < levels[0] for p in p_values] == [True, True, True, False, False, False]


def test_the_command_prints_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    folders = []
    for night in range(6):
        folder = tmp_path / str(night)
        folder.mkdir()
        save_run(folder, simulate_run(EIGHT_SERVICES, replace(SHARED, texts=12), rng, night=night))
        folders.append(str(folder))
    assert not voicegauge(["compare", *folders, "--power", "0.2"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "spread of nights, beside the other targets: " in printed
    assert printed.count(", measured") == 3
    assert " * " in printed
    assert not voicegauge(["compare", *folders, "--power", "0.2", "--min-slowdown", "0.5"])
    slowdowns = re.findall(r"(?<= )([\d.]+)%(?= )", capsys.readouterr().out.split("smallest slowdown")[0])
    assert slowdowns
    assert min(map(float, slowdowns)) > 50  # a comparison ignores smaller ones
    assert voicegauge(["compare", *folders, folders[0], "--power", "0.2"]) == 2
    assert "is given twice" in capsys.readouterr().err
    assert voicegauge(["compare", *folders, "--power", "0.2", "--json", "-"]) == 2
    assert "--power" in capsys.readouterr().err
    assert not voicegauge(["compare", *folders[:5], folders[5]])
    assert "level of the intervals: 9" in capsys.readouterr().out


def test_nights_without_a_common_text_show_no_spread() -> None:
    rng = np.random.default_rng(1)
    runs = [simulate_run(EIGHT_SERVICES, SHARED, rng, night=night) for night in range(5)]
    last = msgspec.structs.replace(
        runs[-1],
        samples=tuple(msgspec.structs.replace(one, text_id=f"other-{one.text_id}") for one in runs[-1].samples),
    )
    with pytest.raises(DataError, match="no text in common"):
        measure_spreads([*runs[:-1], last])
