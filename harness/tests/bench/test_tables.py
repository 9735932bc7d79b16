"""The comparison fits its terminal: what is not shown is named, and no figure is cut."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.cli._bench_tables import print_summaries
from voicegauge.model.base import Provenance
from voicegauge.model.price import Claimant, PlanClaim
from voicegauge.model.run import TargetPrice
from voicegauge.model.sample import Cost

from ..builders.runs import build_measured_target, build_run, build_sample, build_score_set, price_claim, price_per

SHORT, LONG = "acme/one", "pebble/a-name-of-some-length"
ROOM = 1_000
LEFT_OUT = "hidden columns: "

Printed = Callable[..., tuple[str, str]]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    """The table, and the lines below it, at a width."""

    def at(width: int, names: tuple[str, ...] = (SHORT, LONG)) -> tuple[str, str]:
        samples = tuple(
            build_sample(
                text,
                target=name,
                repetition=repetition,
                total_latency_ms=5_000 + 11.0 * text,
                done=(90.0 + text, 104.0 + text),
                cost=Cost(price_usd=1.25),
            )
            for name in names
            for repetition in (1, 2, 3)
            for text in range(8)
        )
        scores = build_score_set(samples, lambda one: int(one.text_id) % 3)
        refs = tuple(build_measured_target(name, usd=1.25) for name in names)
        made = build_run(samples, score_sets=(scores,), targets=refs, provenance=Provenance.LIVE)
        monkeypatch.setenv("COLUMNS", str(width))
        print_summaries(summarize_targets(made, scores, text_length=500), scores, made.manifest)
        table, mark, below = capsys.readouterr().out.partition("medians, ")
        return table, mark + below

    return at


def test_with_room_each_target_has_one_line(printed: Printed) -> None:
    table, below = printed(ROOM)
    assert sum(name in line for line in table.splitlines() for name in (SHORT, LONG)) == 2
    assert LEFT_OUT not in below


@pytest.mark.parametrize(("width", "gone"), [(112, 0), (102, 1), (92, 2), (84, 3)])
def test_a_narrow_table_cuts_no_figure_and_names_what_it_leaves_out(printed: Printed, width: int, gone: int) -> None:
    whole, _ = printed(ROOM)
    table, below = printed(width)
    assert max(map(len, table.splitlines())) <= width
    spare = {"job done ms": "94..108", "$/1M chars": "$2,500.00", "p95 ms": "5077"}
    names = list(spare)[:gone]
    assert (f"{LEFT_OUT}{', '.join(names)};" in below) == bool(gone)
    lost = {figure for figure in whole.split() if any(map(str.isdigit, figure))} - set(table.split())
    assert lost - {"$/1M", "p95"} == {spare[name] for name in names}
    assert [part in table.split() for part in LONG.replace("/", "/ ").split()] == [True, True]
    assert SHORT in table.split(), "a short name is never broken"


def test_prices_that_may_not_hold_are_marked_with_a_footnote(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(ROOM))
    plan = PlanClaim(name="pro", monthly_fee_usd=10, included_units_per_month=0, usd_per_extra_unit=1.25)
    disputed = (price_claim("request", 1.25), price_claim("request", 2.5, date="2026-01-01"))
    prices = {
        SHORT: TargetPrice(description="", claims=disputed),
        LONG: price_per("request", 1.25, plans=(plan,)),
        "acme/third": TargetPrice(description="", claims=(price_claim("request", 1.25, claimant="third_party"),)),
    }
    made = build_run(
        tuple(build_sample(target=name, cost=Cost(price_usd=1.25)) for name in prices),
        targets=tuple(build_measured_target(name, price=price) for name, price in prices.items()),
    )
    print_summaries(summarize_targets(made), None, made.manifest)
    out = capsys.readouterr().out
    by_target = {name: next(line for line in out.splitlines() if name in line) for name in prices}
    assert "$2,500.00 (disputed: $5,000.00)" in by_target[SHORT]
    assert "$2,501.00‡" in by_target[LONG].split()
    assert "($2,500.00, third party)" in by_target["acme/third"]
    assert "disputed: documents of the provider contradict each other" in out
    assert "third party: what others state" in out
    assert f"‡ with the cheapest account plan for 10,000,000 characters per month: {LONG} pro" in out


@pytest.mark.parametrize("claimant", ["price_page", "third_party"])
def test_the_legend_names_the_volume_for_which_the_cheapest_plan_of_a_claimant_was_chosen(
    claimant: Claimant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(ROOM))
    plan = PlanClaim(name="pro", monthly_fee_usd=10, included_units_per_month=0, usd_per_extra_unit=1.25)
    legend = "and 10,000,000 characters per month, with the cheapest account plan for them; one request is priced wi"
    for plans in ((plan,), ()):
        claim = msgspec.structs.replace(price_claim("request", 1.25, claimant=claimant), plans=plans)
        made = build_run(
            (build_sample(target=SHORT, cost=Cost(price_usd=1.25)),),
            targets=(build_measured_target(SHORT, price=TargetPrice(description="", claims=(claim,))),),
        )
        print_summaries(summarize_targets(made), None, made.manifest)
        assert (legend in " ".join(capsys.readouterr().out.split())) == bool(plans)


def test_a_single_target_is_compared_with_no_other_and_an_interval_is_explained_only_if_shown(
    printed: Printed, capsys: pytest.CaptureFixture[str]
) -> None:
    table, below = printed(ROOM, (SHORT,))
    assert "95% intervals in brackets" in below
    assert "no other target" not in below
    assert "*" not in table
    assert "no other target" in printed(ROOM)[1]
    few = tuple(build_sample(text) for text in range(3))
    made = build_run(few)
    print_summaries(summarize_targets(made), None, msgspec.structs.replace(made.manifest, is_finished=False))
    out = capsys.readouterr().out
    assert "medians, without intervals: too few texts" in out
    assert "the run is not complete: the numbers are of the samples so far" in out


def test_on_a_pipe_each_target_has_one_line_however_many_columns_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    name = "pebble/" + "a-name-of-some-length-" * 8
    made = build_run((build_sample(target=name),), targets=(build_measured_target(name),))
    print_summaries(summarize_targets(made), None, made.manifest)
    out = capsys.readouterr().out
    assert "hidden columns" not in out
    assert [line.split()[:2] for line in out.splitlines() if name in line] == [[name, "1/1"]]


@pytest.mark.parametrize("width", [80, 90, 100, 110])
def test_a_table_of_short_names_breaks_none(printed: Printed, width: int) -> None:
    names = (SHORT, "acme/another")
    table, _ = printed(width, names)
    assert max(map(len, table.splitlines())) <= width
    assert [name in table.split() for name in names] == [True, True]
