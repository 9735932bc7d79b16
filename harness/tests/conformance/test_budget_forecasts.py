"""What a dry run says about budgets, and how plans are cut to what is left of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from voicegauge import cli
from voicegauge.client.daily_spending import DailyBudget
from voicegauge.files import get_state_folder

from .conftest import ACME_KEY, Acme
from .test_interrupted_checks import kill_after

PRICE_USD = 0.001


class Result(NamedTuple):
    status: int
    output: dict[str, Any] | None
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def where(acme: Acme, acme_contracts: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("ACME_API_KEY", ACME_KEY)
    return ["acme/voice-1", "--contracts", str(acme_contracts()), "--base-url", acme.url, "--live"]


@pytest.fixture
def command(where: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def run(name: str, *more: str) -> Result:
        written = tmp_path / "out.json"
        written.unlink(missing_ok=True)
        status = cli.run([name, *where, "--json", str(written), *more]) or 0
        output = json.loads(written.read_text()) if written.exists() else None
        return Result(status, output, *(" ".join(text.split()) for text in capfd.readouterr()))

    return run


def spend_today(usd: float) -> None:
    settle = DailyBudget(get_state_folder() / "spending", "acme").reserve(round(usd * 1e6))
    settle(round(usd * 1e6))


def count_affordable(result: Result) -> int:
    assert result.output is not None
    return int(result.output["spending"]["total"]["billable_request_count"])


@pytest.mark.parametrize("name", ["check", "record"])
@pytest.mark.parametrize("budget", [("--max-cost", "0.0005"), ("--max-cost-per-day", "0.0005")])
def test_a_dry_run_is_refused_as_the_command_is(command, acme, name, budget, tmp_path) -> None:
    out = ["--out", str(tmp_path / "recorded")] if name == "record" else []
    dry = command(name, *budget, *out, "--dry-run")
    assert dry.status == 4
    assert dry.output is not None, "the plan is printed all the same"
    forecast = dry.output["budget_forecast"]
    assert forecast["refusal_exit_status"] == 4
    real = command(name, *budget, *out)
    assert (real.status, acme.keys) == (4, [])
    assert forecast["refusal_reason"] in real.err
    assert f"would be refused: {forecast['refusal_reason']}" in dry.err


def test_a_dry_run_counts_what_was_spent_today(command, acme) -> None:
    assert command("check", "--max-cost-per-day", "0.002", "--dry-run").status == 0
    spend_today(0.0015)
    dry = command("check", "--max-cost-per-day", "0.002", "--dry-run")
    assert dry.status == 4
    assert "more than --max-cost-per-day 0.002 of acme less $0.0015 that was spent today (UTC)" in dry.err
    assert acme.keys == []


def test_a_dry_run_writes_nothing(command, tmp_path) -> None:
    for name in ("check", "record"):
        assert command(name, "--dry-run", "--max-cost-per-day", "1").status == 0
    assert [path.name for path in tmp_path.rglob("*.jsonl")] == []


def test_a_dry_run_counts_what_a_killed_check_has_spent_and_judged(command, acme, where) -> None:
    whole = command("check", "--full", "--dry-run")
    assert whole.output is not None
    kill_after(acme, ["check", *where, "--full"], sum(case["request_count"] for case in whole.output["cases"]) - 4)
    sent = len(acme.keys)
    resumed = command("check", "--full", "--dry-run")
    assert resumed.output is not None
    assert "resuming an earlier check" in resumed.err
    assert resumed.err.startswith("LIVE: acme sends the key in ")
    assert len(resumed.output["cases"]) == 3, "one was lost and is not sent again"
    (budget,) = resumed.output["budget_forecast"]["budgets"]
    assert budget["spent_usd"] == pytest.approx(len(acme.texts) * PRICE_USD)
    # Nothing is judged again, but what is left of a smaller budget does not pay for the rest.
    left = command("check", "--full", "--dry-run", "--max-cost", str(budget["spent_usd"] + PRICE_USD))
    assert left.output is not None
    assert left.status == 0
    assert len(left.output["budget_forecast"]["unaffordable_cases"]) == 2
    assert "will not be sent: " in left.out
    again = command("check", "--full", "--new-run", "--dry-run", "--max-cost", str(budget["spent_usd"]))
    assert again.status == 4
    assert "that an earlier command has spent" in again.err
    assert len(acme.keys) == sent


def test_a_dry_run_counts_the_requests_of_an_earlier_check(command, acme) -> None:
    acme.status_of_all = 500
    assert command("check", "--max-calls", "2").status == 1
    sent = len(acme.keys)
    dry = command("check", "--max-calls", "2", "--dry-run")
    assert dry.output is not None
    assert (dry.output["cases"], dry.output["spending"]["total"]["request_count"]) == ([], 0)
    assert dry.output["targets_without_delivery"] == ["acme/voice-1"]
    assert all("3 of them in earlier checks; the limit" in one["skip_reason"] for one in dry.output["skipped_cases"])
    assert "not sent: 3 billable requests come before it, 3 of them in earlier checks" in dry.out
    assert "The check will end with exit status 3" in dry.out
    assert dry.out.count("not planned: ") == 1, "one reason is printed once"
    real = command("check", "--max-calls", "2")
    assert (real.status, len(acme.keys)) == (3, sent)
    more = command("check", "--max-calls", "4", "--dry-run")
    assert count_affordable(more) == 1


def test_two_deliveries_at_once_are_not_sent_if_one_request_is_left(command, acme) -> None:
    acme.accepts_anything = True
    at_once = "acme/voice-1: a full delivery with another text in flight"
    real = command("check", "--max-calls", "22")
    assert real.output is not None
    (case,) = (one for one in real.output["case_results"] if one["id"] == at_once)
    assert (case["verdict"], len(acme.texts)) == ("skipped", 22)
    assert "; the limit is --max-calls 22, and the case needs 2 at once" in case["not_judged_reason"]


def test_a_dry_run_names_what_a_faulty_service_leaves_no_money_for(command, acme) -> None:
    acme.accepts_anything = True
    dry = command("check", "--max-cost", "0.003", "--dry-run")
    assert dry.output is not None
    forecast = dry.output["budget_forecast"]
    assert (dry.status, forecast["unaffordable_cases"]) == (0, [])
    assert "if the service charges all that it may, " in dry.out
    real = command("check", "--max-cost", "0.003")
    assert real.output is not None
    skipped = {case["id"] for case in real.output["case_results"] if case["verdict"] == "skipped"}
    assert real.output["over_budget_case_count"] == len(skipped)
    assert f", partly judged: {len(skipped)} cases not sent for lack of budget" in real.out
    assert real.status == 1, "there are findings too"
    assert set() < skipped <= {case["id"] for case in forecast["unaffordable_cases_at_worst"]}


@pytest.mark.parametrize("budget", ["--max-cost", pytest.param("--max-cost-per-day", marks=pytest.mark.slow)])
def test_few_calls_are_cut_to_what_is_left_of_each_budget(command, acme, budget, tmp_path) -> None:
    spend_today(0.002)
    usd = "0.003" if budget == "--max-cost" else "0.005"
    dry = command("check", "--max-calls", "8", budget, usd, "--dry-run")
    written = {name: tmp_path / f"result.{name}" for name in ("markdown", "badge")}
    real = command("check", "--max-calls", "8", budget, usd, *(f"--{name}={file}" for name, file in written.items()))
    assert all("partly judged" in file.read_text() for file in written.values())
    assert real.output is not None
    assert (dry.status, real.status, real.output["over_budget_case_count"]) == (0, 5, 5)
    assert "partly judged: 5 cases not sent for lack of budget" in real.out
    assert "voicegauge: partly judged: 5 cases not sent for lack of budget: a larger --max-cost" in real.err
    assert "what is not sent is not judged" not in dry.out
    for result in (dry, real):
        assert "left out of the plan for lack of budget: 5 cases" in result.err
    assert count_affordable(dry) == 3 == len(acme.texts)
    assert DailyBudget(get_state_folder() / "spending", "acme").spent_today_usd == pytest.approx(0.005)


def test_a_recording_that_lacks_cases_for_lack_of_budget_is_not_complete(command, acme, tmp_path) -> None:
    out = ["--out", str(tmp_path / "recorded")]
    dry = command("record", *out, "--dry-run")
    assert dry.output is not None
    usd = str(dry.output["spending"]["total"]["spent_usd"])
    forecast = command("record", *out, "--max-cost", usd, "--dry-run")
    assert forecast.output is not None
    unsent = len(forecast.output["budget_forecast"]["unaffordable_cases"])
    (limit,) = forecast.output["budget_forecast"]["sufficient_limits"]
    assert (
        f"what is not sent is not judged, so the exit status will not be 0; {limit} pays for all of it" in forecast.out
    )
    enough = command("record", *out, *limit.split(), "--dry-run")
    assert enough.output is not None
    assert enough.output["budget_forecast"]["unaffordable_cases"] == []
    assert "what is not sent" not in enough.out
    real = command("record", *out, "--max-cost", usd)
    assert real.output is not None
    assert (real.status, real.output["over_budget_case_count"]) == (5, unsent)
    assert f"only a part was recorded: {unsent} cases not sent for lack of budget" in real.err
    assert command("record", *out, "--yes").status == 0, "the next recording adds them"


def test_a_benchmark_is_forecast_too(command, acme, tmp_path) -> None:
    more = ["--limit", "2", "--warmup", "0", "--asr", "none", "--no-listening", "--out", str(tmp_path / "runs")]
    dry = command("bench", *more, "--dry-run")
    assert dry.output is not None
    assert (dry.status, dry.output["budget_forecast"]["refusal_reason"]) == (0, None)
    spend_today(0.0015)
    for budget in (("--max-cost", "0.0015"), ("--max-cost-per-day", "0.003")):
        dry, real = command("bench", *more, *budget, "--dry-run"), command("bench", *more, *budget)
        assert (dry.status, real.status, acme.keys) == (4, 4, [])
        assert dry.output is not None
        assert dry.output["budget_forecast"]["refusal_reason"] in real.err
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("*/run.json"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--max-cost", "0.01", "--max-cost", "5"], "--max-cost is given twice without a name"),
        (["--max-cost", "acme=1", "--max-cost", "5", "--max-cost", "acme=2"], "--max-cost is given twice for acme"),
        (["--price", "acme=1", "--price", "acme=2"], "--price is given twice for acme"),
    ],
)
@pytest.mark.parametrize("name", ["check", "bench", "record"])
def test_of_two_values_for_one_name_none_is_chosen_silently(command, acme, name, options, reason) -> None:
    result = command(name, *options, "--dry-run")
    assert (result.status, acme.keys) == (2, [])
    assert f"{reason}: keep one of them" in result.err
    assert "LIVE" not in result.err


def test_a_dry_run_names_the_budget_that_is_too_small(command) -> None:
    for name, options in (
        ("--max-cost acme=0.0015", ["--max-cost", "1", "--max-cost", "acme=0.0015"]),
        ("--max-cost 0.0015", ["--max-cost", "0.0015", "--max-cost", "acme=1"]),
        ("--max-cost-per-day 0.0015 of acme", ["--max-cost-per-day", "0.0015"]),
    ):
        dry = command("check", *options, "--dry-run")
        assert dry.output is not None
        cases = dry.output["budget_forecast"]["unaffordable_cases_at_worst"]
        assert {case["budget_name"] for case in cases} == {name}


@pytest.mark.parametrize("option", ["--retry-ambiguous", "--new-run"])
@pytest.mark.parametrize("chosen", [("--full",), ("--max-calls", "5")])
def test_to_pay_again_is_refused_if_nothing_fits_into_the_budget(command, acme, where, option, chosen) -> None:
    whole = command("check", *chosen, "--dry-run")
    assert whole.output is not None
    kill_after(acme, ["check", *where, *chosen], sum(case["request_count"] for case in whole.output["cases"]) - 2)
    usd, sent = len(acme.texts) * PRICE_USD, len(acme.keys)
    for more in (["--dry-run"], []):
        result = command("check", *chosen, "--max-cost", f"{usd:g}", option, *more)
        assert (result.status, len(acme.keys)) == (4, sent)
        assert f"more than --max-cost {usd:g} less ${usd:g} that an earlier command has spent; " in result.err
        assert "--max-calls" not in result.err


def test_a_refusal_names_amounts_that_fit(command, acme) -> None:
    spend_today(0.001)
    for refused, fitting in (
        (["--max-cost", "0.003"], "--max-cost 0.0"),
        (["--max-cost", "1", "--max-cost", "acme=0.003"], "--max-cost acme=0.0"),
        (["--max-cost-per-day", "0.004"], "--max-cost-per-day 0.0"),
    ):
        error = command("check", "--full", *refused, "--dry-run").err
        assert f"; {fitting}" in error
        assert error.endswith(", or --max-calls 3 fits")
        option = error.rpartition("; ")[2].partition(",")[0].split()
        assert command("check", "--full", *option, "--dry-run").status == 0, option
    assert acme.keys == []


def test_a_refused_short_check_names_what_pays_for_its_cheapest_delivery(command) -> None:
    error = command("check", "--max-calls", "5", "--max-cost", "0.0001", "--dry-run").err
    option = error.rpartition(" fits, and ")[2].split()[:2]
    assert option[0] == "--max-cost"
    fitting = command("check", "--max-calls", "5", *option, "--dry-run")
    assert fitting.status == 0
    assert "would be refused" not in fitting.err
    assert sum(case["is_billable"] for case in (fitting.output or {})["cases"]) == 1
