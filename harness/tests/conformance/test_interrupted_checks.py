"""`voicegauge check --live` that is killed or cannot save: its spending counts, and nothing is paid twice silently."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from voicegauge import cli
from voicegauge.cli._check_tables import print_report
from voicegauge.client.spending_journal import Journal, SubmitCompletedEvent, SubmitStartedEvent
from voicegauge.conformance import _case_runner
from voicegauge.conformance.case_journal import CaseFinishedEvent

from ..builders.commands import RunningCommand
from .conftest import ACME_KEY, Acme

PRICE_USD = 0.001


class Result(NamedTuple):
    status: int
    report: dict[str, Any] | None
    out: str
    err: str


Check = Callable[..., Result]


@pytest.fixture
def arguments(
    acme: Acme, acme_contracts: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.setenv("ACME_API_KEY", ACME_KEY)
    where = ["--contracts", str(acme_contracts()), "--base-url", acme.url]
    return ["check", "acme/voice-1", "--live", *where, "--full", "--json", str(tmp_path / "out.json")]


@pytest.fixture
def check(arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Check:
    def run(*more: str) -> Result:
        written = tmp_path / "out.json"
        written.unlink(missing_ok=True)
        status = cli.run([*arguments, *more]) or 0
        report = json.loads(written.read_text()) if written.exists() else None
        return Result(status, report, *(" ".join(text.split()) for text in capfd.readouterr()))

    return run


def kill_after(acme: Acme, arguments: list[str], answered: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to the command while it waits for the response after `answered` audio responses."""
    acme.silent_after = len(acme.keys) + answered
    before = len(acme.keys)
    with RunningCommand(arguments) as process:
        while len(acme.keys) - before <= answered and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
    acme.silent_after = None
    while acme.requests_in_flight:  # the request of the killed process is charged
        time.sleep(0.005)
    assert len(acme.keys) - before == answered + 1


def journals(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "state").rglob("journal.jsonl"))


def verdicts(report: dict[str, Any]) -> dict[str, Any]:
    """What a report says about each case, by its id, and the findings."""
    cases = {case["id"]: case for case in report["case_results"]}
    return cases | {"findings": [(one["rule"], one["message"], one["occurrence_count"]) for one in report["findings"]]}


def test_a_killed_check_goes_on_and_buys_nothing_twice(acme, arguments, check, tmp_path) -> None:
    unbroken = check()
    assert unbroken.report is not None
    requests, charges, plan_usd = len(acme.keys), len(acme.texts), unbroken.report["spent_usd"]
    assert not journals(tmp_path), "a check with a printed report is forgotten"

    acme.keys.clear(), acme.texts.clear()
    for answered in (4, 8):
        kill_after(acme, arguments, answered)
    (journal,) = journals(tmp_path)
    assert ACME_KEY not in journal.read_text()
    # The budget is that of one check: what was judged before the kills is not bought again. The two lost requests
    # count as charged, also those that should have been rejected.
    again = check("--max-cost", str(plan_usd + 2 * PRICE_USD))
    assert again.report is not None
    assert "resuming an earlier check: 12 of " in again.err
    assert (len(acme.keys), len(acme.texts)) == (requests, charges)
    lost = {one["sample_or_case_id"] for one in again.report["ambiguous_requests"]}
    expected, resumed = verdicts(unbroken.report), verdicts(again.report)
    assert {name for name in expected if resumed[name] != expected[name]} == lost
    assert list(resumed) == list(expected)
    assert again.report["resumed_case_count"] == 12
    spent_usd = again.report["spent_usd"] + again.report["spent_by_earlier_runs_usd"]
    assert plan_usd <= spent_usd + 1e-9 <= plan_usd + 2 * PRICE_USD
    # What was lost is remembered, although the report was printed: the same command does not pay for it again.
    third = check()
    assert third.report is not None
    assert {one["sample_or_case_id"] for one in third.report["ambiguous_requests"]} == lost
    assert {case["id"] for case in third.report["case_results"] if case["verdict"] == "skipped"} == lost
    on_demand = check("--retry-ambiguous")
    assert on_demand.report is not None
    assert verdicts(on_demand.report) == expected
    assert not journals(tmp_path)


@pytest.mark.slow
def test_a_killed_check_goes_on_although_its_losses_exceed_the_budget(acme, arguments, check) -> None:
    unbroken = check()
    assert unbroken.report is not None
    charges, plan_usd = len(acme.texts), unbroken.report["spent_usd"]
    acme.keys.clear(), acme.texts.clear()
    for answered in (1, 3, 8):
        kill_after(acme, arguments, answered)
    again = check("--max-cost", str(plan_usd))
    assert again.status == 4
    assert again.report is not None
    assert again.report["stop_message"].startswith("not sent: ")
    assert charges - 3 <= len(acme.texts) <= charges


@pytest.mark.slow
def test_a_check_whose_report_was_not_printed_reports_the_same_without_a_request(acme, check, monkeypatch) -> None:
    unbroken = check()

    def die(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.cli.check.show_result", die)
        with pytest.raises(MemoryError):
            check()
    before = len(acme.keys)
    again = check()
    assert len(acme.keys) == before
    assert unbroken.report is not None
    assert again.report is not None
    changing = ("created_at", "spent_usd", "spent_by_earlier_runs_usd", "spending", "resumed_case_count")
    for name in unbroken.report.keys() - changing:
        assert again.report[name] == unbroken.report[name], name
    assert again.report["spent_by_earlier_runs_usd"] == unbroken.report["spent_usd"]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(("--severity", "status-undocumented=info"), marks=pytest.mark.slow),
        ("--new-run",),
        pytest.param(("other key",), marks=pytest.mark.slow),
    ],
)
def test_a_check_of_something_else_does_not_go_on(acme, arguments, check, changed, monkeypatch) -> None:
    kill_after(acme, arguments, 6)
    before = len(acme.keys)
    if changed == ("other key",):
        monkeypatch.setenv("ACME_API_KEY", f"{ACME_KEY}-of-another-account")
        changed = ()
    again = check(*changed)
    assert again.report is not None
    assert again.report["resumed_case_count"] == 0
    assert again.report["spent_by_earlier_runs_usd"] > 0
    assert len(acme.keys) - before > 10


@pytest.mark.slow
def test_a_judgement_of_another_day_is_not_used(acme, arguments, check, tmp_path) -> None:
    kill_after(acme, arguments, 6)
    (journal,) = journals(tmp_path)
    text = re.sub(r'"judged_at":"20\d\d', '"judged_at":"2020', journal.read_text())
    journal.write_text(text)
    again = check()
    assert again.report is not None
    assert again.report["resumed_case_count"] == 0


@pytest.mark.slow
def test_the_limit_of_billable_requests_counts_those_of_killed_checks(acme, arguments, check) -> None:
    for answered in (1, 1, 2):
        kill_after(acme, [*arguments, "--max-calls", "8"], answered)
    again = check("--max-calls", "8")
    assert again.report is not None
    assert len(acme.texts) <= 8


def test_a_lost_request_uses_up_the_limit_and_the_report_says_how_to_go_on(acme, arguments, check) -> None:
    kill_after(acme, [*arguments, "--max-calls", "1"], 0)
    sent = len(acme.keys)
    again = check("--max-calls", "1")
    assert again.report is not None
    skipped = {case["id"]: case["not_judged_reason"] for case in again.report["case_results"]}
    assert "--retry-ambiguous pays for it again" in skipped["acme/voice-1: a full delivery"]
    assert "--retry-ambiguous pays for it again" in again.out
    assert (again.status, len(acme.texts)) == (3, 1)
    more = check("--max-calls", "1", "--retry-ambiguous")
    assert more.report is not None
    verdicts = {case["id"]: case["verdict"] for case in more.report["case_results"]}
    assert verdicts["acme/voice-1: a full delivery"] == "passed"
    assert (more.status, len(acme.texts), len(acme.keys) > sent) == (0, 2, True)


def test_a_limit_that_earlier_checks_used_up_names_them(acme, arguments, check) -> None:
    acme.accepts_anything = True
    kill_after(acme, [*arguments, "--max-calls", "4"], 6)
    earlier = len(acme.texts)
    again = check("--max-calls", "4")
    assert again.report is not None
    words = f"{earlier} of them in earlier checks; the limit is --max-calls 4"
    assert f"{words}: raise it to go on; --retry-ambiguous sends again what it lost (1 request); --new-run" in again.out


@pytest.mark.slow
def test_what_a_killed_check_has_spent_counts_towards_the_budget(acme, arguments, check, tmp_path) -> None:
    unbroken = check()
    assert unbroken.report is not None
    requests, charges, plan_usd = len(acme.keys), len(acme.texts), unbroken.report["spent_usd"]
    kill_after(acme, arguments, requests - 1)
    spent_usd = (len(acme.texts) - charges) * PRICE_USD
    charges = len(acme.texts)
    (journal,) = journals(tmp_path)
    assert "submit_started" in journal.read_text()
    again = check("--new-run", "--max-cost", str(plan_usd))
    assert again.status == 4
    assert "that an earlier command has spent" in again.err
    assert len(acme.texts) == charges

    again = check("--new-run", "--max-cost", str(2 * plan_usd))
    assert again.report is not None
    assert again.err.startswith("LIVE: acme sends the key in ")
    assert "an earlier command has spent $" in again.err
    assert again.report["spent_by_earlier_runs_usd"] - spent_usd in (pytest.approx(0), pytest.approx(PRICE_USD))
    assert again.report["spent_usd"] + again.report["spent_by_earlier_runs_usd"] <= 2 * plan_usd + 1e-9
    assert not journals(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_the_request_in_flight_at_a_kill_is_listed_and_only_sent_again_on_demand(
    acme, arguments, check, number
) -> None:
    kill_after(acme, arguments, 2, number)
    again = check()
    assert again.report is not None
    (lost,) = again.report["ambiguous_requests"]
    assert (lost["counted_usd"], lost["was_sent_again"]) == (PRICE_USD, False)
    assert f"may have been charged, without a result: {lost['sample_or_case_id']}, $0.001" in again.out
    (case,) = [case for case in again.report["case_results"] if case["id"] == lost["sample_or_case_id"]]
    assert case["verdict"] == "skipped"
    assert "--retry-ambiguous pays for it again" in case["not_judged_reason"]

    kill_after(acme, arguments, 2)
    again = check("--retry-ambiguous")
    assert again.report is not None
    all_lost = {one["sample_or_case_id"] for one in again.report["ambiguous_requests"]}
    assert lost["sample_or_case_id"] in all_lost
    assert len(all_lost) == 2
    assert all(one["was_sent_again"] for one in again.report["ambiguous_requests"])
    assert {case["verdict"] for case in again.report["case_results"] if case["id"] in all_lost} == {"passed"}
    assert "left an ambiguous request: leave out --retry-ambiguous" in check("--retry-ambiguous").err


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_all_requests_in_flight_at_a_kill_are_listed_and_none_is_sent_again(acme, arguments, check, number) -> None:
    acme.silent_after = 4
    with RunningCommand([*arguments, "--concurrency", "3"]) as process:
        while acme.unanswered_request_count < 3 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
    acme.silent_after = None
    while acme.requests_in_flight:
        time.sleep(0.005)
    charged_usd = len(acme.texts) * PRICE_USD
    again = check("--concurrency", "3")
    assert again.report is not None
    lost = {one["sample_or_case_id"] for one in again.report["ambiguous_requests"]}
    assert len(lost) == 3
    assert {case["verdict"] for case in again.report["case_results"] if case["id"] in lost} == {"skipped"}
    assert again.report["spent_by_earlier_runs_usd"] >= charged_usd


@contextmanager
def interrupt_while_waiting(
    acme: Acme, arguments: list[str], in_flight: int, answered: int = 4
) -> Iterator[RunningCommand]:
    """Start a check, and yield when it was interrupted and says that it waits for the responses in flight."""
    acme.silent_after = answered
    printed = Path(arguments[arguments.index("--json") + 1]).with_name("printed.txt")
    with RunningCommand(arguments, output=printed) as process:
        # A request that is being answered is in flight, too, and another would follow it.
        while acme.unanswered_request_count < in_flight and process.poll() is None:
            time.sleep(0.02)
        sent = len(acme.keys)
        process.send_signal(signal.SIGINT)
        while "that may cost money" not in printed.read_text():
            assert process.poll() is None
            time.sleep(0.02)
        yield process
    assert len(acme.keys) == sent, "nothing more is sent"


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [pytest.param("1", marks=pytest.mark.slow), "3"])
def test_ctrl_c_waits_for_the_response_that_was_paid_for(acme, arguments, check, concurrency) -> None:
    with interrupt_while_waiting(acme, [*arguments, "--concurrency", concurrency], int(concurrency)) as process:
        acme.silent_after = None
        assert process.wait() == 130
    report = json.loads(Path(arguments[-1]).read_text())
    assert report["ambiguous_requests"] == []
    assert report["spent_usd"] == pytest.approx(len(acme.texts) * PRICE_USD)
    assert report["spending"]["total"]["request_count"] == len(acme.keys)
    assert {case["verdict"] for case in report["case_results"]} == {"passed"}
    again = check()
    assert again.report is not None
    assert again.report["ambiguous_requests"] == []


def test_a_check_goes_on_after_ctrl_c_and_buys_nothing_twice(acme, arguments, check, tmp_path) -> None:
    unbroken = check()
    assert unbroken.report is not None
    requests, charges, plan_usd = len(acme.keys), len(acme.texts), unbroken.report["spent_usd"]
    acme.keys.clear(), acme.texts.clear()
    with interrupt_while_waiting(acme, arguments, 1) as process:
        acme.silent_after = None
        assert process.wait() == 130
    first = json.loads(Path(arguments[-1]).read_text())
    assert first["stop_reason"] == "interrupted"
    again = check("--max-cost", str(plan_usd))
    assert again.report is not None
    assert again.status == unbroken.status
    assert f"resuming an earlier check: {len(first['case_results'])} of " in again.err
    assert (len(acme.keys), len(acme.texts)) == (requests, charges)
    assert verdicts(again.report) == verdicts(unbroken.report)
    assert again.report["resumed_case_count"] == len(first["case_results"])
    assert again.report["spent_by_earlier_runs_usd"] == pytest.approx(first["spent_usd"])
    assert again.report["spent_usd"] + first["spent_usd"] == pytest.approx(plan_usd)
    assert not journals(tmp_path), "the check is finished"


@pytest.mark.slow
def test_a_check_goes_on_after_its_time_was_over(acme, arguments, check, tmp_path) -> None:
    unbroken = check()
    assert unbroken.report is not None
    charges = len(acme.texts)
    acme.silent_after = len(acme.keys) + 5
    stopped = check("--max-time", "6")
    acme.silent_after = None
    while acme.requests_in_flight:  # the request that was given up is charged
        time.sleep(0.005)
    assert stopped.report is not None
    assert stopped.report["stop_reason"] == "time"
    again = check("--retry-ambiguous")
    assert again.report is not None
    assert again.report["resumed_case_count"] == 5
    assert again.report["spent_by_earlier_runs_usd"] == pytest.approx(stopped.report["spent_usd"])
    assert verdicts(again.report) == verdicts(unbroken.report)
    assert len(acme.texts) - charges <= charges + 1, "only what was given up is paid for again"
    assert not journals(tmp_path)


@pytest.mark.slow
def test_a_check_goes_on_when_the_service_can_be_reached_again(acme, check, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_case_runner, "MAX_CONSECUTIVE_UNREACHABLE_CASES", 1)  # each takes as long as --max-wait
    unbroken = check()
    assert unbroken.report is not None
    charges = len(acme.texts)
    acme.silent_after = len(acme.keys) + 5
    stopped = check("--max-wait", "2")
    acme.silent_after = None
    while acme.requests_in_flight:
        time.sleep(0.005)
    assert stopped.report is not None
    assert stopped.report["stop_reason"] == "unreachable"
    again = check("--retry-ambiguous")
    assert again.report is not None
    assert again.report["resumed_case_count"] == 5
    assert verdicts(again.report) == verdicts(unbroken.report)
    assert len(acme.texts) - charges <= charges + 1, "only what was given up is paid for again"
    assert not journals(tmp_path)


@pytest.mark.slow
def test_ctrl_c_twice_does_not_wait(acme, arguments) -> None:
    with interrupt_while_waiting(acme, arguments, 1) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert acme.requests_in_flight, "it did not wait for the response"
    acme.silent_after = None
    report = json.loads(Path(arguments[-1]).read_text())
    assert len(report["ambiguous_requests"]) == 1
    assert report["stop_reason"] == "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ctrl_c_while_random_requests_are_sent_keeps_what_was_paid_for(acme, arguments, check, times) -> None:
    one_case = [*arguments, "--case", "acme/voice-1: a full delivery", "--fuzz", "50"]
    with interrupt_while_waiting(acme, one_case, 1, answered=3) as process:
        if times == 2:
            process.send_signal(signal.SIGINT)
            assert process.wait() == 130
        acme.silent_after = None
        assert process.wait() == 130
    while acme.requests_in_flight:  # the request that was given up is charged
        time.sleep(0.005)
    report = json.loads(Path(arguments[-1]).read_text())
    assert report["stop_reason"] == "interrupted"
    assert len(report["ambiguous_requests"]) == times - 1
    assert report["spending"]["total"]["request_count"] == len(acme.keys) - (times - 1)
    assert report["spent_usd"] == pytest.approx(len(acme.texts) * PRICE_USD)


def test_nothing_is_bought_again_without_an_ambiguous_request(check) -> None:
    assert "left an ambiguous request: leave out --retry-ambiguous" in check("--retry-ambiguous").err


def test_a_check_killed_before_its_report_was_printed_is_not_forgotten(acme, check, monkeypatch, tmp_path) -> None:
    def die(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.cli.check.show_result", die)
        with pytest.raises(MemoryError):
            check()
    spent_usd = len(acme.texts) * PRICE_USD
    again = check()
    assert again.report is not None
    assert again.report["spent_by_earlier_runs_usd"] == pytest.approx(spent_usd)
    assert again.report["ambiguous_requests"] == []


def test_ctrl_c_again_while_the_result_is_printed_does_not_lose_it(acme, check, monkeypatch) -> None:
    def interrupt(_: str) -> bool:
        if len(acme.texts) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return False

    def interrupt_and_print(report: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        print_report(report)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("voicegauge.cli._check_tables.print_report", interrupt_and_print)
    acme.breaks_off = interrupt
    before = signal.getsignal(signal.SIGINT)
    result = check()
    assert result.status == 130
    assert "Incomplete: interrupted" in result.out
    assert result.report is not None
    assert signal.getsignal(signal.SIGINT) is before


def test_a_check_of_a_service_that_stops_responding_ends_in_time_with_what_was_judged(acme, check, tmp_path) -> None:
    check()
    acme.silent_after = len(acme.keys) + 5
    result = check("--max-time", "6")
    acme.silent_after = None
    assert result.status == 5
    assert "Incomplete: --max-time 6 was over" in result.out
    assert result.report is not None
    assert result.report["stop_reason"] == "time"
    assert [case["verdict"] for case in result.report["case_results"]].count("passed") == 5
    assert len(result.report["ambiguous_requests"]) == 1
    acme.silent_after = len(acme.keys)
    result = check("--max-time", "2", "--new-run")
    acme.silent_after = None
    assert result.status == 3, "nothing was judged"


def test_a_result_counts_as_printed_although_its_file_could_not_be_written(acme, arguments, tmp_path, capfd) -> None:
    def block_the_file(_: str) -> bool:
        (tmp_path / "out.json").mkdir(exist_ok=True)
        return False

    acme.breaks_off = block_the_file
    assert cli.run(arguments) == 2
    out, err = capfd.readouterr()
    assert "36 cases, 1 operation" in out
    assert f"cannot write {tmp_path / 'out.json'}: is a folder, name a file" in err
    assert not journals(tmp_path)


def test_what_may_have_been_charged_is_counted_by_the_next_check_and_not_sent_again(acme, check) -> None:
    """Also requests with a verdict: that a server error is a finding does not say that it was free."""
    acme.status_of_all = 500
    first = check("--max-calls", "2")
    assert first.report is not None
    lost = {one["sample_or_case_id"] for one in first.report["ambiguous_requests"]}
    assert (first.status, len(lost)) == (1, 3)
    verdicts = {case["id"]: case["verdict"] for case in first.report["case_results"]}
    assert {verdicts[name] for name in lost} == {"failed"}
    sent = len(acme.keys)
    for _ in range(2):
        again = check("--max-calls", "2")
        assert again.report is not None
        assert again.report["spent_by_earlier_runs_usd"] == pytest.approx(3 * PRICE_USD)
        reasons = {case["id"]: case["not_judged_reason"] for case in again.report["case_results"]}
        assert all("--retry-ambiguous pays for it again" in reasons[name] for name in lost)
        assert (again.status, len(acme.keys)) == (3, sent)
    acme.status_of_all = None
    again = check("--max-calls", "2", "--retry-ambiguous")
    assert again.report is not None
    verdicts = {case["id"]: case["verdict"] for case in again.report["case_results"]}
    assert {verdicts[name] for name in lost} == {"passed"}
    assert len(acme.keys) > sent


def test_a_lost_connection_is_listed_with_its_price(acme, check) -> None:
    acme.breaks_off = lambda _: True
    result = check("--max-calls", "2")
    assert result.report is not None
    assert result.report["ambiguous_requests"]
    assert sum(one["counted_usd"] for one in result.report["ambiguous_requests"]) == pytest.approx(
        result.report["spent_usd"]
    )
    assert all("broke off" in one["reason"] or "lost" in one["reason"] for one in result.report["ambiguous_requests"])


@pytest.mark.parametrize(
    "event_type",
    [
        SubmitCompletedEvent,
        *(pytest.param(one, marks=pytest.mark.slow) for one in (SubmitStartedEvent, CaseFinishedEvent)),
    ],
)
def test_a_full_disk_stops_the_check_before_it_pays_for_more(acme, check, monkeypatch, event_type) -> None:
    write = Journal.write

    def write_until_full(journal: Journal, event: Any) -> None:
        if isinstance(event, event_type) and b"a full delivery" in msgspec.json.encode(event):
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", fail)
                write(journal, event)
        write(journal, event)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", write_until_full)
        result = check()
    assert result.status == 2
    assert "No space left on device" in result.err
    assert result.report is not None
    assert not result.report["is_finished"]
    assert "Incomplete: cannot write" in result.out
    charged = 0 if event_type is SubmitStartedEvent else 1
    assert len(acme.texts) == charged
    again = check()
    assert again.report is not None
    assert again.report["spent_by_earlier_runs_usd"] == pytest.approx(charged * PRICE_USD)
    assert len(again.report["ambiguous_requests"]) == charged


def test_two_checks_of_the_same_targets_do_not_run_at_the_same_time(acme, arguments, check, tmp_path) -> None:
    kill_after(acme, arguments, 1)
    (path,) = journals(tmp_path)
    with Journal(path, is_durable=True):
        result = check()
    assert result.status == 2
    assert "in use by another process" in result.err
