"""What a check or a recording remembers of what it paid for, if it did not come to a printed result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voicegauge.cases.case import ConformanceCase
from voicegauge.client.ledger import Settlement
from voicegauge.client.spending_journal import Journal, SubmitStartedEvent
from voicegauge.conformance._sent_case import CaseJudgement
from voicegauge.conformance.case_journal import CaseJournal
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.errors import DataError
from voicegauge.model.exchange import BillingStatus
from voicegauge.rules.call import ExpectedResponse

ACCEPTED, AMBIGUOUS, REJECTED = BillingStatus.ACCEPTED, BillingStatus.AMBIGUOUS, BillingStatus.REJECTED
ANSWERED = ExpectedResponse(acceptance="accepted", case_kind="valid", description="audio", contract_pointer="/paths")


def case(name: str, *, is_lifecycle: bool = False) -> ConformanceCase:
    return ConformanceCase(
        id=name, provider="acme", operation="speak", expected_response=ANSWERED, is_lifecycle=is_lifecycle
    )


@pytest.fixture
def contract(acme_contracts: Callable[..., Path]) -> Contract:
    file = acme_contracts() / "acme" / "openapi.yaml"
    key = "      operationId: speak\n      x-idempotency: {header_name: Idempotency-Key, key_lifetime_s: 3600}\n"
    file.write_text(file.read_text().replace("      operationId: speak\n", key))
    return load_contract(file)


@pytest.fixture
def open_journal(contract: Contract, tmp_path: Path) -> Iterator[Callable[..., CaseJournal]]:
    """Open the journal of the provider; at the end of the test all are closed."""
    opened: list[CaseJournal] = []

    def open_one(**options: bool) -> CaseJournal:
        opened.append(CaseJournal(contract, tmp_path / "acme" / "journal.jsonl", **options))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


def pay(journal: CaseJournal, name: str, status: int | None, billing: BillingStatus, key: str | None = None) -> None:
    """Send one request of a case; without a status, its response never arrives."""
    observer = journal.create_submit_recorder(name, 0.01)
    assert observer is not None
    observer.before_submit(key)
    if status is not None:
        settlement = Settlement()
        settlement.status = billing
        observer.after_submit(status, settlement, "job-1")


def test_a_finished_case_is_sent_again_and_its_price_counts(open_journal) -> None:
    with_one = open_journal()
    pay(with_one, "one", 200, ACCEPTED)
    with_one.record_case_finished("one")
    with_one.close()
    again = open_journal()
    assert (again.spent_by_earlier_runs_usd, again.earlier_ambiguous_case_ids, again.ambiguous_requests) == (
        0.01,
        frozenset(),
        (),
    )
    assert again.find_skip_reason(case("one")) is None


@pytest.mark.parametrize(
    ("status", "billing", "reason"),
    [
        (None, AMBIGUOUS, "stopped before a response arrived"),
        (202, ACCEPTED, "the job was not finished when voicegauge was stopped"),
        (500, AMBIGUOUS, "may have performed the request before it failed (HTTP 500)"),
    ],
)
def test_a_case_without_a_known_result_is_not_sent_again(open_journal, status, billing, reason) -> None:
    first = open_journal()
    pay(first, "one", status, billing)
    first.close()
    again = open_journal()
    assert again.earlier_ambiguous_case_ids == {"one"}
    assert reason in (again.find_skip_reason(case("one")) or "")
    assert "may have been charged $0.01" in (again.find_skip_reason(case("one")) or "")
    assert [(one.counted_usd, one.was_sent_again) for one in again.ambiguous_requests] == [(0.01, False)]
    again.close()
    on_demand = open_journal(retry_ambiguous_requests=True)
    assert on_demand.find_skip_reason(case("one")) is None
    pay(on_demand, "one", 200, ACCEPTED)
    on_demand.record_case_finished("one")
    assert [one.was_sent_again for one in on_demand.ambiguous_requests] == [True]
    on_demand.close()
    later = open_journal()
    assert ([one.was_sent_again for one in later.ambiguous_requests], later.earlier_ambiguous_case_ids) == (
        [True],
        frozenset(),
    )
    assert later.spent_by_earlier_runs_usd == pytest.approx(0.02)


def test_the_reason_of_a_lost_connection_is_kept(open_journal) -> None:
    journal = open_journal()
    pay(journal, "one", None, AMBIGUOUS)
    journal.record_case_finished("one", "connection reset")
    assert [one.reason for one in journal.ambiguous_requests] == ["connection reset"]


def test_a_rejected_request_costs_nothing_and_leaves_no_file(open_journal, tmp_path) -> None:
    journal = open_journal()
    pay(journal, "one", 422, REJECTED)
    journal.record_case_finished("one")
    journal.close()
    assert not (tmp_path / "acme").exists()


def test_free_requests_are_not_recorded(open_journal) -> None:
    journal = open_journal()
    assert journal.create_submit_recorder("one", None) is None
    assert journal.create_submit_recorder("one", 0.0) is None
    journal.record_case_finished("one")
    assert journal.ambiguous_requests == ()


def test_what_was_printed_is_forgotten_except_for_what_may_have_been_charged(open_journal) -> None:
    for keep_lost in (True, False):
        journal = open_journal()
        for name, status, billing in (("saved", 200, ACCEPTED), ("lost", None, AMBIGUOUS), ("failed", 500, AMBIGUOUS)):
            pay(journal, name, status, billing)
        journal.record_case_finished("saved")
        journal.record_case_finished("failed")  # it has a verdict; its charge is unknown
        listed_usd = sum(one.counted_usd or 0 for one in journal.ambiguous_requests)
        journal.forget_requests(keep_ambiguous_requests=keep_lost)
        again = open_journal()
        assert again.earlier_ambiguous_case_ids == ({"lost", "failed"} if keep_lost else frozenset())
        assert again.spent_by_earlier_runs_usd == pytest.approx(listed_usd if keep_lost else 0.0)
        for name in again.earlier_ambiguous_case_ids:
            assert "--retry-ambiguous pays for it again" in (again.find_skip_reason(case(name)) or "")
        again.forget_requests(keep_ambiguous_requests=False)


def test_of_a_lost_case_an_attempt_that_never_left_this_machine_costs_nothing(open_journal) -> None:
    journal = open_journal()
    observer = journal.create_submit_recorder("one", 0.01)
    observer.before_submit(None)
    observer.on_submit_not_sent()
    pay(journal, "one", None, AMBIGUOUS)
    journal.forget_requests(keep_ambiguous_requests=True)
    again = open_journal()
    assert again.spent_by_earlier_runs_usd == pytest.approx(0.01)
    assert len(again.ambiguous_requests) == 1


@pytest.mark.parametrize(("charged_usd", "counts_after_a_day"), [(0.0100004, False), (0.011, True)])
def test_a_charge_that_differs_by_rounding_does_not_count_after_a_day(
    open_journal, tmp_path: Path, charged_usd: float, counts_after_a_day: bool
) -> None:
    journal = open_journal()
    observer, settlement = journal.create_submit_recorder("one", 0.01), Settlement()
    observer.before_submit(None)
    settlement.status, settlement.charged_usd = ACCEPTED, charged_usd
    observer.after_submit(200, settlement, None)
    journal.record_case_finished("one")
    journal.record_report()
    path, yesterday = tmp_path / "acme" / "journal.jsonl", datetime.now(UTC) - timedelta(hours=25)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    events[-1]["reported_at"] = yesterday.isoformat()
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert (open_journal().spent_by_earlier_runs_usd > 0) is counts_after_a_day


def test_a_new_run_that_is_finished_forgets_what_earlier_ones_lost(open_journal) -> None:
    first = open_journal()
    pay(first, "random request", 500, AMBIGUOUS)
    pay(first, "one", None, AMBIGUOUS)
    first.forget_requests(keep_ambiguous_requests=True)
    new = open_journal(begins_new_run=True)
    assert new.spent_by_earlier_runs_usd == pytest.approx(0.02)
    pay(new, "one", None, AMBIGUOUS)
    new.forget_requests(keep_ambiguous_requests=True)
    again = open_journal()
    assert again.earlier_ambiguous_case_ids == {"one"}
    assert again.spent_by_earlier_runs_usd == pytest.approx(0.02), "it was sent twice"


def test_a_case_without_a_response_that_cost_nothing_is_sent_again(open_journal) -> None:
    first = open_journal()
    pay(first, "paid", 200, ACCEPTED)
    observer = first.create_submit_recorder("a", 0.01)
    assert observer is not None
    observer.before_submit(None)
    observer.on_submit_not_sent()
    judgement = CaseJudgement(basis="b", judged_at=datetime.now(UTC).isoformat(), has_no_result=True)
    first.record_case_finished("a", "cannot connect", judgement)
    first.close()
    again = open_journal()
    assert again.find_judgement("a", "b") is None
    assert again.find_skip_reason(case("a")) is None


def test_every_lost_request_of_a_case_counts_although_each_command_was_printed(open_journal) -> None:
    for lost_count in range(1, 4):
        journal = open_journal(retry_ambiguous_requests=lost_count > 1)
        assert journal.find_skip_reason(case("one")) is None
        pay(journal, "one", None, AMBIGUOUS)
        journal.forget_requests(keep_ambiguous_requests=True)
        again = open_journal()
        assert again.spent_by_earlier_runs_usd == pytest.approx(0.01 * lost_count)
        assert again.earlier_ambiguous_case_ids == {"one"}
        again.close()


def test_a_recording_does_not_pay_again_for_a_case_without_a_verdict(open_journal) -> None:
    first = open_journal()
    pay(first, "one", 202, ACCEPTED)
    first.record_case_finished("one", "timeout: the job did not end")
    first.close()
    assert open_journal().find_skip_reason(case("one")) is None


def test_a_recording_says_why_it_skips_a_case(open_journal) -> None:
    first = open_journal()
    pay(first, "one", 202, ACCEPTED)
    first.record_case_finished("one", "timeout: the job did not end")
    first.close()
    again = open_journal(skip_cases_without_verdict=True)
    assert again.find_skip_reason(case("one")) == "an earlier command paid for it: timeout: the job did not end"


def test_a_request_with_an_idempotency_key_is_repeated_and_counts_once(open_journal) -> None:
    first = open_journal()
    pay(first, "one", None, AMBIGUOUS, "key-1")
    first.close()
    again = open_journal()
    assert again.find_reusable_idempotency_key(case("one")) == "key-1"
    assert again.find_skip_reason(case("one")) is None
    pay(again, "one", 200, ACCEPTED, "key-1")
    again.record_case_finished("one")
    again.close()
    assert open_journal().spent_by_earlier_runs_usd == 0.01
    assert again.ambiguous_requests == ()


def test_a_lifecycle_is_not_repeated_by_its_key(open_journal) -> None:
    first = open_journal()
    pay(first, "one", None, AMBIGUOUS, "key-1")
    first.close()
    assert open_journal().find_reusable_idempotency_key(case("one", is_lifecycle=True)) is None


@pytest.mark.parametrize(("age_s", "key"), [(3500, "key-1"), (3700, None)])
def test_a_key_is_used_as_long_as_the_provider_remembers_it(open_journal, tmp_path, age_s, key) -> None:
    sent_at = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(timespec="milliseconds")
    (tmp_path / "acme").mkdir()
    with Journal(tmp_path / "acme" / "journal.jsonl", is_durable=False) as journal:
        journal.write(
            SubmitStartedEvent(sample_or_case_id="one", submitted_at=sent_at, price_usd=0.01, idempotency_key="key-1")
        )
    assert open_journal().find_reusable_idempotency_key(case("one")) == key


def test_a_command_that_ends_takes_nothing_from_one_that_begins(contract, tmp_path) -> None:
    """The file of a journal is removed while others wait for it: none of them writes to a file that is gone."""
    path = tmp_path / "state" / "acme" / "journal.jsonl"
    lost: list[str] = []

    def run_commands(name: str) -> None:
        for number in range(40):
            try:
                journal = CaseJournal(contract, path)
            except DataError:
                continue
            pay(journal, f"{name}-{number}", None, AMBIGUOUS)
            if not path.exists() or f"{name}-{number}" not in path.read_text():
                lost.append(f"{name}-{number}")
            journal.forget_requests(keep_ambiguous_requests=False)
            journal.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run_commands, "abcd"))
    assert lost == []


def test_on_demand_a_case_that_was_judged_without_a_response_is_sent_again(open_journal) -> None:
    first = open_journal()
    pay(first, "a", None, AMBIGUOUS)
    judgement = CaseJudgement(basis="b", judged_at=datetime.now(UTC).isoformat(), has_no_result=True)
    first.record_case_finished("a", "the connection was lost", judgement)
    first.close()
    second = open_journal()
    assert second.find_judgement("a", "b") == judgement
    assert second.find_judgement("a", "another basis") is None
    second.close()
    third = open_journal(retry_ambiguous_requests=True)
    assert third.find_judgement("a", "b") is None
    assert third.find_skip_reason(case("a")) is None


def test_one_process_at_a_time_uses_a_journal(open_journal) -> None:
    first = open_journal()
    with pytest.raises(DataError, match="in use by another process"):
        open_journal()
    first.close()
    open_journal()
