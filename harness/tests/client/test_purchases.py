"""What a journal says about one submit, and when an ambiguous one is repeated with its key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from voicegauge.client.ledger import Ledger
from voicegauge.client.spending_journal import (
    Purchase,
    PurchaseAccount,
    PurchaseHistory,
    SubmitCompletedEvent,
    SubmitNotSentEvent,
)
from voicegauge.model.exchange import BillingStatus

SENT = datetime(2026, 1, 1, tzinfo=UTC)


def with_key(valid_s):
    spec = (
        {"header_name": "Idempotency-Key"}
        if valid_s is None
        else {"header_name": "Idempotency-Key", "key_lifetime_s": valid_s}
    )

    def edit(document):
        document["paths"]["/speech"]["post"]["x-idempotency"] = spec

    return edit


@pytest.mark.parametrize(
    ("edit", "key", "age_s", "billing", "repeated"),
    [
        (with_key(60), "key 1", 59.9, BillingStatus.AMBIGUOUS, True),
        (with_key(60), "key 1", 60.0, BillingStatus.AMBIGUOUS, False),
        (with_key(60), "key 1", 0.0, BillingStatus.REJECTED, False),
        (with_key(60), None, 0.0, BillingStatus.AMBIGUOUS, False),
        (with_key(None), "key 1", 0.0, BillingStatus.AMBIGUOUS, False),
        (None, "key 1", 0.0, BillingStatus.AMBIGUOUS, False),
    ],
)
def test_an_ambiguous_submit_is_repeated_while_its_key_is_remembered(contract, edit, key, age_s, billing, repeated):
    purchase = Purchase(SENT.isoformat(), 0.01, billing, idempotency_key=key)
    now = SENT + timedelta(seconds=age_s)
    assert purchase.can_be_repeated_without_charge(contract(edit).find_operation("submit"), now) is repeated


@pytest.mark.parametrize(
    ("purchase", "reason"),
    [
        (Purchase("", 1.0, missing_result_reason="connection reset"), "connection reset"),
        (Purchase("", 1.0), "voicegauge was stopped before a response arrived"),
        (
            Purchase("", 1.0, BillingStatus.ACCEPTED, 202, "j1", is_job_resumable=False),
            "the job was not finished when voicegauge was stopped",
        ),
        (Purchase("", 1.0, BillingStatus.ACCEPTED, 201), "the response (HTTP 201) arrived and could not be saved"),
        (
            Purchase("", 1.0, BillingStatus.AMBIGUOUS, 502),
            "the service may have performed the request before it failed (HTTP 502)",
        ),
    ],
)
def test_an_ambiguous_submit_says_why(purchase, reason):
    assert purchase.is_ambiguous
    assert purchase.ambiguous_reason == reason


def respond(history, http_status, billing_status, job_id=None, charged_usd=None):
    SubmitCompletedEvent(
        sample_or_case_id="a",
        http_status=http_status,
        billing_status=billing_status,
        job_id=job_id,
        charged_usd=charged_usd,
    ).add_to_history(history)


def history(*billings):
    made = PurchaseHistory("a")
    for index, billing in enumerate(billings):
        made.record_submit(str(index), 0.25)
        respond(made, 200, billing)
    return made


ACCEPTED, AMBIGUOUS, REJECTED = BillingStatus.ACCEPTED, BillingStatus.AMBIGUOUS, BillingStatus.REJECTED


@pytest.mark.parametrize(
    ("billings", "count"),
    [
        ([], 1),
        ([ACCEPTED], 1),
        ([REJECTED, REJECTED, ACCEPTED], 3),
        ([REJECTED, AMBIGUOUS, REJECTED, REJECTED], 2),
        ([ACCEPTED, ACCEPTED], 1),
    ],
)
def test_attempts_end_at_a_submit_that_may_be_charged(billings, count):
    assert history(*billings).attempt_count == count


def test_notes_before_the_first_submit_change_nothing():
    made = PurchaseHistory("a")
    SubmitNotSentEvent(sample_or_case_id="a").add_to_history(made)
    respond(made, 200, ACCEPTED, "j1", 1.0)
    assert (made.purchases, made.is_last_request_ambiguous, made.ambiguous_requests) == ([], False, [])


def test_a_repetition_with_the_same_key_is_one_submit():
    made = PurchaseHistory("a")
    made.record_submit("1", 0.25, "key 1")
    respond(made, 202, ACCEPTED, "j1", 0.125)
    made.purchases[0].has_saved_result, made.purchases[0].missing_result_reason = True, "lost"
    made.record_submit("2", 0.25, "key 1")
    (purchase,) = made.purchases
    assert purchase.submitted_at == "1"
    assert (purchase.billing_status, purchase.http_status, purchase.job_id, purchase.has_saved_result) == (
        AMBIGUOUS,
        None,
        None,
        False,
    )
    assert purchase.missing_result_reason is None
    made.record_submit("3", 0.25, "key 2")
    made.record_submit("4", 0.25)
    made.record_submit("5", 0.25)
    assert len(made.purchases) == 4


def test_an_account_counts_all_submits_but_the_last_of_pending_ones():
    account = PurchaseAccount({"a": history(AMBIGUOUS, ACCEPTED), "b": history(REJECTED), "c": history(ACCEPTED)})
    assert account.spent_usd == 0.75
    assert account.sum_spent_usd_except_last_requests(["a"]) == 0.5
    assert account.sum_spent_usd_except_last_requests(["a", "b", "c"]) == 0.25
    assert account.may_have_been_charged
    assert not PurchaseAccount({"b": history(REJECTED)}).may_have_been_charged
    assert (PurchaseAccount().is_empty, account.is_empty) == (True, False)


def test_a_submit_of_unknown_price_costs_nothing_until_its_charge_is_known():
    ledger = Ledger()
    Purchase("", None, ACCEPTED).add_to_ledger(ledger)
    assert ledger.spent_usd == 0.0
    Purchase("", None, ACCEPTED, charged_usd=0.5).add_to_ledger(ledger)
    assert (ledger.spent_usd, ledger.reserved_usd) == (0.5, 0.0)


@pytest.mark.parametrize(("price_usd", "lost"), [(0.0, frozenset()), (0.01, {"one"}), (None, {"one"})])
def test_only_a_request_with_a_price_is_ambiguous(price_usd: float | None, lost: frozenset[str]) -> None:
    history = PurchaseHistory("one")
    history.record_submit("2026-01-01T00:00:00+00:00", price_usd)
    account = PurchaseAccount({"one": history})
    assert account.ids_with_ambiguous_last_request == lost
    assert {one.sample_or_case_id for one in account.ambiguous_requests} == lost
