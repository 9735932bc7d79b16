"""A live check of a provider whose contract is in a folder of the user."""

from __future__ import annotations

import json

import pytest

from voicegauge import cli
from voicegauge.emulator.process import EmulatorSettings, running_emulator

KEY = "sk-acme-0123456789abcdef"


@pytest.fixture
def live(acme, acme_contracts, monkeypatch, capfd):
    """Run `voicegauge check acme/voice-1 --live`; returns status, report, stdout and stderr."""
    monkeypatch.setenv("ACME_API_KEY", KEY)

    def run(*more, price=None, url=None):
        folder = acme_contracts(price) if price else acme_contracts()
        arguments = ["check", "acme/voice-1", "--contracts", str(folder), "--live", "--base-url", url or acme.url]
        status = cli.run([*arguments, "--json", str(folder / "out.json"), *more])
        written = folder / "out.json"
        report = json.loads(written.read_text()) if written.exists() else None
        out, err = capfd.readouterr()
        return status, report, out, err

    return run


def test_a_provider_as_one_document_is_checked_without_python(live, acme) -> None:
    status, report, out, err = live()
    assert (status, report["findings"]) == (0, [])
    assert {case["verdict"] for case in report["case_results"]} == {"passed"}
    assert report["schema"] == "voicegauge/check/2"
    assert list(report["exchange_count_by_provenance"]) == ["live"]
    assert report["spent_usd"] == pytest.approx(0.001)
    assert len(acme.texts) == 1
    assert "LIVE" in out
    assert "up to $0.001" in err


def test_responses_of_the_emulator_are_emulated_at_any_url(live, acme_contracts) -> None:
    settings = EmulatorSettings(faults=("wrong-content-type",))
    with running_emulator([acme_contracts() / "acme" / "openapi.yaml"], settings) as emulator:
        status, report, out, _ = live(url=emulator.base_url("acme"))
    assert status == 1
    assert list(report["exchange_count_by_provenance"]) == ["emulated"]
    assert {finding["provenance"] for finding in report["findings"]} == {"emulated"}
    assert "LIVE" not in out


def test_the_key_is_sent_and_never_shown(live, acme) -> None:
    acme.accepts_anything = True
    status, report, out, err = live()
    assert status == 1
    assert f"Bearer {KEY}" in acme.keys
    assert report["findings"]
    assert KEY not in json.dumps(report) + out + err
    assert "$ACME_API_KEY" in report["findings"][0]["reproduction_command"]


def test_a_service_that_accepts_anything_is_found(live, acme) -> None:
    acme.accepts_anything = True
    _, report, out, _ = live()
    assert {finding["rule"] for finding in report["findings"]} == {"accepts-invalid"}
    assert "openapi.yaml:" in out
    assert "curl" in out


def test_every_valid_case_is_sent_only_on_request(live, acme) -> None:
    status, report, _, _ = live("--full")
    assert status == 0
    assert len(acme.texts) > 5
    assert report["spent_usd"] == pytest.approx(0.001 * len(acme.texts))


def test_few_calls_are_the_most_informative_ones(live, acme) -> None:
    status, report, _, err = live("--max-calls", "4")
    assert (status, len(acme.texts)) == (0, 4)
    assert "4 billable, up to $0.004" in err
    kinds = {case["id"].partition(": ")[2] for case in report["case_results"] if case["verdict"] == "passed"}
    assert "a full delivery" in kinds


@pytest.mark.parametrize(("most", "accepted"), [("0", 1), ("1", 2), ("4", 5)])
def test_invalid_requests_that_are_accepted_count_as_billable(live, acme, most, accepted) -> None:
    acme.accepts_anything = True
    status, report, _, _ = live("--max-calls", most)
    assert (status, len(acme.texts)) == (1, accepted)
    assert report["spending"]["total"]["billable_request_count"] == accepted
    assert {finding["rule"] for finding in report["findings"]} == {"accepts-invalid"}
    reasons = [case["not_judged_reason"] for case in report["case_results"] if case["verdict"] == "skipped"]
    count = "1 billable request was" if accepted == 1 else f"{accepted} billable requests were"
    assert f"not sent: {count} accepted or may have been charged; the limit is --max-calls {most}" in reasons


@pytest.mark.parametrize("fails", ["with 500", "without a response"])
def test_what_may_have_been_charged_counts_towards_the_limit_as_towards_the_budget(live, acme, fails) -> None:
    if fails == "with 500":
        acme.status_of_all = 500
    else:
        acme.breaks_off = lambda _: True
    status, report, _, _ = live("--max-calls", "3")
    assert status != 0
    total = report["spending"]["total"]
    assert total["billable_request_count"] == round(total["spent_usd"] / 0.001)
    assert 3 <= total["billable_request_count"] <= 4, "one more may follow that should have been rejected"


def test_a_dry_run_prices_the_plan_and_sends_nothing(live, acme) -> None:
    status, plan, out, err = live("--full", "--dry-run")
    assert (status, acme.keys) == (0, [])
    assert f"LIVE: acme sends the key in ACME_API_KEY to {acme.url}, " in err
    assert plan["schema"] == "voicegauge/check-plan/2"
    paid = [case for case in plan["cases"] if case["is_billable"]]
    assert plan["spending"]["total"]["spent_usd"] == pytest.approx(sum(case["price_usd"] for case in paid))
    assert (
        sum(part["billable_request_count"] for part in plan["spending"]["total_by_case_kind"].values())
        == len(paid) + 1  # two deliveries at the same moment are one case
        > 5
    )
    assert f"{len(paid) + 1} billable" in out
    delivery, *others = [case["expected_acceptance"] for case in plan["cases"]]
    assert delivery == "accepted"
    assert others == sorted(others, key=lambda verdict: verdict != "rejected")


def test_spending_is_reported_by_target_kind_and_rule(live, acme) -> None:
    _, report, out, _ = live("--full")
    spending = report["spending"]
    assert spending["total"]["spent_usd"] == report["spent_usd"] == pytest.approx(0.001 * len(acme.texts))
    assert spending["total"]["billable_request_count"] == len(acme.texts)
    assert spending["total"]["request_count"] == report["exchange_count_by_provenance"]["live"]
    for part in ("total_by_target", "total_by_operation", "total_by_case_kind"):
        assert sum(spent["spent_usd"] for spent in spending[part].values()) == pytest.approx(report["spent_usd"])
    assert (
        spending["total_by_case_kind"]["invalid"]["spent_usd"]
        == 0
        < spending["total_by_case_kind"]["valid"]["spent_usd"]
    )
    # The audio of every accepted response is judged, not only that of deliveries.
    delivery_usd, audio_usd = (
        spending["total_by_case_kind"]["delivery"]["spent_usd"],
        spending["total_by_rule"]["audio-silent"]["spent_usd"],
    )
    assert 0 < delivery_usd < audio_usd <= report["spent_usd"]
    assert spending["total_by_rule"]["server-error"]["spent_usd"] == report["spent_usd"]
    requests, cases = spending["total"]["request_count"], len(report["case_results"])
    assert (f"sent: {requests} requests for {cases} cases, with polls" in out) == (requests != cases)
    assert "spent by kind: " in out
    assert "by rule, where a request counts for each rule that judged it:\n  " in out


def test_a_plan_more_expensive_than_the_budget_sends_nothing(live, acme) -> None:
    status, report, _, err = live("--max-cost", "0.0005")
    assert (status, report, acme.keys) == (4, None, [])
    assert "more than --max-cost" in err
    assert "; --max-cost 0.001 fits" in err


def test_the_budget_holds_when_requests_that_should_be_rejected_are_charged(live, acme) -> None:
    acme.accepts_anything = True
    status, report, out, _ = live("--max-cost", "0.003")
    assert (status, report["is_finished"]) == (1, True)
    assert (len(acme.texts), report["spent_usd"]) == (3, pytest.approx(0.003))
    assert "not sent: it may cost more than is left of --max-cost" in out


PRICE_BY_LENGTH = "{unit: 1k_characters, usd_per_unit: 1, source: {document_name: acme.txt}}"


@pytest.mark.parametrize(("limits", "expected"), [((), 5), (("--max-calls", "1"), 0)])
def test_a_request_that_reserves_more_than_the_budget_is_skipped_and_the_check_goes_on(live, limits, expected) -> None:
    """Only a part of a whole check was judged then; a short one leaves out what its limits exclude."""
    status, report, out, _ = live("--max-cost", "0.19", *limits, price=PRICE_BY_LENGTH)
    skipped = [case["id"] for case in report["case_results"] if case["verdict"] == "skipped"]
    assert (status, report["findings"], report["is_finished"]) == (expected, [], True)
    assert "acme/speak: text of 201 characters" in skipped
    assert "text of 201 characters" in out
    assert ("for lack of budget (optional with --max-calls)" in out) == (expected == 0)
    assert 0 < report["spent_usd"] <= 0.19


def test_a_dry_run_names_the_largest_reservation(live) -> None:
    out = live("--dry-run", price=PRICE_BY_LENGTH)[2]
    (line,) = [line for line in out.splitlines() if line.startswith("largest reservation: ")]
    assert line.startswith("largest reservation: $0.272 for acme/speak: a text of one very long word")


def test_billable_requests_without_budget_make_the_check_incomplete(live, acme) -> None:
    acme.accepts_anything = True
    status, report, out, _ = live("--full", "--max-cost", "0.027")
    assert (status, report["is_finished"]) == (4, False)
    assert report["spent_usd"] <= 0.027
    assert "Incomplete: not sent: " in out
    assert "raise --max-cost" in out


def test_an_unknown_price_is_rejected_until_it_is_set(live, acme) -> None:
    price = "{unit: request, credits_per_unit: 5, source: {document_name: acme.txt}}"
    status, _, _, err = live(price=price)
    assert (status, acme.keys) == (2, [])
    assert "no document states the price of a request in dollars: set it with --price acme/voice-1=USD" in err
    assert "(--price acme=0 for a server of your own)" in err
    assert live("--price", "acme/voice-1=0.002", price=price)[0] == 0


def test_an_unreachable_service_is_reported_in_one_line(live, capfd) -> None:
    status, report, out, err = live(url="http://127.0.0.1:9")
    assert (status, report, out) == (3, None, "")
    assert len([line for line in err.splitlines() if line.startswith("voicegauge: ")]) == 1


def test_a_service_without_credit_gives_no_verdict(live, acme) -> None:
    acme.status_of_all = 402
    status, report, _, err = live()
    assert report["findings"] == []
    assert status == 3
    assert {case["verdict"] for case in report["case_results"]} == {"skipped"}
    assert "no case came to a verdict" in err


def test_a_missing_key_names_the_variable(live, monkeypatch) -> None:
    monkeypatch.delenv("ACME_API_KEY")
    status, _, _, err = live()
    assert status == 2
    assert "ACME_API_KEY" in err


def test_fuzzing_a_live_service_keeps_to_the_budget(live, acme) -> None:
    status, report, _, _ = live("--fuzz", "30", "--failures", "none", "--max-cost", "0.011", "--seed", "5")
    assert status == 4
    assert len(acme.texts) <= 11
    assert report["findings"] == []


@pytest.mark.parametrize("status", [502, 503])
def test_a_status_that_passes_is_sent_again_before_it_is_judged(live, acme, status) -> None:
    acme.next_statuses = [status]
    result, report, _, _ = live("--max-calls", "1", "--max-cost", "0.002")
    assert (result, report["not_judged_reason_by_name"], len(acme.texts)) == (0, {}, 1)
    assert {finding["severity"] for finding in report["findings"]} == {"warning"}
    delivery = next(case for case in report["case_results"] if case["is_delivery"])
    assert (delivery["status"], report["spent_usd"]) == (200, pytest.approx(0.002))  # 502 may have been charged


def test_a_status_that_does_not_pass_is_judged(live, acme) -> None:
    acme.next_statuses = [502, 502]
    result, report, _, _ = live("--max-calls", "1", "--max-cost", "0.01")
    assert (result, "server-error" in {finding["rule"] for finding in report["findings"]}) == (1, True)
