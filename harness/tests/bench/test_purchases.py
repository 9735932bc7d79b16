"""What a run has paid for, as its journal tells after a kill."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from voicegauge.bench.run_store import (
    JobLeftOpenEvent,
    JournalEvent,
    JournalState,
    SampleFinishedEvent,
    open_journal,
    read_journal,
)
from voicegauge.client.spending_journal import SubmitCompletedEvent, SubmitNotSentEvent, SubmitStartedEvent
from voicegauge.model.exchange import BillingStatus, Failure
from voicegauge.model.sample import Cost, Sample

from ..builders.runs import build_sample

ACCEPTED, AMBIGUOUS, REJECTED = BillingStatus.ACCEPTED, BillingStatus.AMBIGUOUS, BillingStatus.REJECTED
LOST = Failure(kind="network", message="connection reset")


def started(name: str, usd: float | None = 0.01, at: str = "2026-11-21T00:00:00Z") -> SubmitStartedEvent:
    return SubmitStartedEvent(sample_or_case_id=name, submitted_at=at, price_usd=usd)


def completed(
    name: str, billing: BillingStatus = ACCEPTED, job: str | None = None, charged_usd: float | None = None
) -> SubmitCompletedEvent:
    status = {ACCEPTED: 202, REJECTED: 429, AMBIGUOUS: 500}[billing]
    return SubmitCompletedEvent(
        sample_or_case_id=name, http_status=status, billing_status=billing, job_id=job, charged_usd=charged_usd
    )


def named(name: str, failure: Failure | None = None, charged_usd: float | None = None) -> Sample:
    return msgspec.structs.replace(build_sample(name, failure=failure, cost=Cost(charged_usd=charged_usd)), id=name)


def finished(
    name: str, billing: BillingStatus = ACCEPTED, failure: Failure | None = None, charged_usd: float | None = None
) -> SampleFinishedEvent:
    return SampleFinishedEvent(sample=named(name, failure, charged_usd), billing=billing)


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_journal_of_payments_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    with open_journal(tmp_path, is_durable=durable) as journal:
        journal.write(started("a"))
        journal.write(completed("a"))
    assert len(synced) == (2 if durable else 0)


@pytest.fixture
def state(tmp_path: Path):  # type: ignore[no-untyped-def]
    def read(*events: JournalEvent) -> JournalState:
        with open_journal(tmp_path, is_durable=True) as journal:
            for event in events:
                journal.write(event)
        return read_journal(tmp_path)

    return read


def test_what_was_paid_for_is_known_after_a_kill(state) -> None:
    past = state(
        started("done"),
        completed("done", job="j0"),
        finished("done"),
        started("under way"),
        completed("under way", job="j1"),
        started("unknown"),
        started("unsaved"),
        completed("unsaved"),
        started("rejected"),
        completed("rejected", REJECTED),
        started("unsent"),
        SubmitNotSentEvent(sample_or_case_id="unsent"),
    )
    assert set(past.finished_samples) == {"done"}
    assert {name: (job.job_id, job.reason) for name, job in past.open_jobs.items()} == {
        "under way": ("j1", "voicegauge was stopped before the job had ended")
    }
    assert past.ids_with_ambiguous_last_request == {"unknown", "unsaved"}
    assert past.spent_usd == pytest.approx(4 * 0.01)
    assert past.may_have_been_charged
    assert not past.is_empty


def test_every_ambiguous_request_of_one_sample_is_spent_and_listed(state) -> None:
    """A later request of the same sample does not replace the price of an earlier one."""
    past = state(started("a", at="1"), started("a", at="2"), started("a", at="3"))
    assert past.spent_usd == pytest.approx(0.03)
    assert [
        (one.sample_or_case_id, one.sent_at, one.counted_usd, one.was_sent_again) for one in past.ambiguous_requests
    ] == [
        ("a", "1", 0.01, True),
        ("a", "2", 0.01, True),
        ("a", "3", 0.01, False),
    ]


def test_a_sample_that_is_bought_again_is_no_longer_finished_nor_lost(state) -> None:
    assert state(started("a"), finished("a", AMBIGUOUS, LOST)).ids_with_ambiguous_last_request == {"a"}
    past = state(started("a"), completed("a", job="j1"))
    assert past.finished_samples == {}
    assert past.ids_with_ambiguous_last_request == frozenset()
    assert set(past.open_jobs) == {"a"}
    past = state(finished("a"))
    assert set(past.finished_samples) == {"a"}
    assert past.spent_usd == pytest.approx(0.02)
    assert [(one.reason, one.was_sent_again) for one in past.ambiguous_requests] == [("connection reset", True)]


def test_a_server_error_is_spent_and_ambiguous(state) -> None:
    past = state(started("a"), completed("a", AMBIGUOUS), finished("a", AMBIGUOUS, LOST))
    assert past.spent_usd == pytest.approx(0.01)
    assert past.ids_with_ambiguous_last_request == {"a"}


@pytest.mark.parametrize(
    ("billing", "at_submit", "at_end", "spent_usd"),
    [
        (ACCEPTED, None, None, 0.01),
        (ACCEPTED, 0.002, None, 0.002),
        (ACCEPTED, 0.002, 0.005, 0.005),
        (ACCEPTED, None, 0.5, 0.5),
        (REJECTED, None, None, 0.0),
        (REJECTED, None, 0.004, 0.004),
    ],
)
def test_a_reported_charge_replaces_the_price(
    state, billing: BillingStatus, at_submit: float | None, at_end: float | None, spent_usd: float
) -> None:
    open_job = state(started("a"), completed("a", job="j1", charged_usd=at_submit))
    assert open_job.spent_usd == pytest.approx(0.01 if at_submit is None else at_submit)
    assert open_job.open_jobs["a"].counted_usd == (0.01 if at_submit is None else at_submit)
    failure = LOST if billing is REJECTED else None
    assert state(finished("a", billing, failure, at_end)).spent_usd == pytest.approx(spent_usd)


def test_a_job_whose_status_could_not_be_fetched_stays_open(state) -> None:
    past = state(started("a"), completed("a", job="j1"), JobLeftOpenEvent(sample=named("a", LOST)))
    assert past.finished_samples == {}
    assert (past.open_jobs["a"].job_id, past.open_jobs["a"].reason) == ("j1", "connection reset")
    assert state(finished("a")).open_jobs == {}


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([started("a")], "voicegauge was stopped before a response arrived"),
        ([started("a"), completed("a")], "the response (HTTP 202) arrived and could not be saved"),
        (
            [started("a"), completed("a", AMBIGUOUS)],
            "the service may have performed the request before it failed (HTTP 500)",
        ),
        ([started("a"), finished("a", AMBIGUOUS, LOST)], "connection reset"),
    ],
)
def test_an_ambiguous_request_has_a_reason(state, events: list[JournalEvent], reason: str) -> None:
    assert [one.reason for one in state(*events).ambiguous_requests] == [reason]


def test_attempts_count_the_submits_of_the_last_delivery(state) -> None:
    past = state(
        started("a"),
        finished("a", AMBIGUOUS, LOST),
        started("a"),
        completed("a", REJECTED),
        started("a"),
        SubmitNotSentEvent(sample_or_case_id="a"),
        started("a"),
        completed("a", job="j1"),
    )
    assert past.histories["a"].attempt_count == 3


def test_a_run_that_paid_for_nothing_is_known_as_such(state) -> None:
    assert state().is_empty
    past = state(started("a"), completed("a", REJECTED), finished("a", REJECTED, LOST))
    assert not past.may_have_been_charged
    assert past.spent_usd == 0


def test_a_run_remembers_that_the_emulator_responded(state) -> None:
    assert not state(started("a")).is_emulated
    event = SampleFinishedEvent(sample=named("a"), billing=ACCEPTED, is_emulated=True)
    assert state(event).is_emulated


@pytest.mark.parametrize("emulated", [[True, False], [False, True]])
def test_one_response_of_the_emulator_marks_the_run(state, emulated: list[bool]) -> None:
    left_open = JobLeftOpenEvent(sample=named("a", LOST), is_emulated=emulated[0])
    ended = SampleFinishedEvent(sample=named("a"), billing=ACCEPTED, is_emulated=emulated[1])
    assert state(started("a"), left_open, ended).is_emulated
    assert state(left_open).is_emulated
