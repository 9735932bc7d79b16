"""A single billable request: what its observer and its ledger learn from each outcome."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from voicegauge.client.ledger import Ledger, Settlement, UsagePricedRequest, settle_request
from voicegauge.contract.contract import Contract
from voicegauge.errors import OverchargedError, StorageError, TransportError, UsageError
from voicegauge.model.exchange import BillingStatus, Exchange, Request, Response

PRICE_USD = 0.25


class Notes:
    """An observer that notes every call."""

    waits_for_disk = False

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def before_submit(self, idempotency_key: str | None = None) -> None:
        self.calls.append(("before", idempotency_key))

    def on_submit_not_sent(self) -> None:
        self.calls.append(("not sent",))

    def after_submit(self, http_status: int, settlement: Settlement, job_id: str | None) -> None:
        self.calls.append(("after", http_status, settlement.status, settlement.charged_usd, job_id))


def test_a_settlement_begins_with_nothing_sent_and_nothing_charged() -> None:
    settlement = Settlement()
    assert (settlement.status, settlement.charged_usd, settlement.charged_credits) == (
        BillingStatus.NOT_SENT,
        None,
        None,
    )


def exchange_of(status: int, body: Any = None, headers: tuple[tuple[str, str], ...] = ()) -> Exchange:
    response = Response(
        status=status, headers=(("Content-Type", "application/json"), *headers), body=json.dumps(body).encode()
    )
    request = Request(method="POST", url="https://api.acme.test/say")
    return Exchange(provider="acme", operation="say", request=request, response=response)


class Settled:
    """What became of the reservation and what the observer noted."""

    def __init__(self) -> None:
        self.ledger, self.notes = Ledger(1.0), Notes()

    async def settle(
        self, contract: Contract, *outcomes: Exchange | Exception, operation: str = "say", **more: Any
    ) -> Any:
        async def send() -> list[Exchange]:
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
            return [outcome for outcome in outcomes if isinstance(outcome, Exchange)]

        reservation = self.ledger.reserve(PRICE_USD, "acme/say")
        observer = more.pop("submit_observer", self.notes)
        with settle_request(reservation, contract.find_operation(operation), observer, **more) as exchanges:
            exchanges += await send()
        return exchanges

    @property
    def spent_usd(self) -> float:
        assert self.ledger.reserved_usd == 0
        return self.ledger.spent_usd


@pytest.fixture
def settled() -> Settled:
    return Settled()


@pytest.mark.parametrize(
    ("status", "headers", "billing", "charged_usd", "spent_usd"),
    [
        (200, (), BillingStatus.ACCEPTED, None, PRICE_USD),
        (200, (("X-Charged", "0.125"),), BillingStatus.ACCEPTED, 0.125, 0.125),
        (422, (), BillingStatus.REJECTED, None, 0.0),
        (500, (), BillingStatus.AMBIGUOUS, None, PRICE_USD),
        (503, (), BillingStatus.REJECTED, None, 0.0),
    ],
)
async def test_the_last_response_settles_a_request(
    contract: Callable[..., Contract],
    settled: Settled,
    status: int,
    headers: tuple[tuple[str, str], ...],
    billing: BillingStatus,
    charged_usd: float | None,
    spent_usd: float,
) -> None:
    exchanges = [exchange_of(429, headers=(("X-Charged", "0.5"),)), exchange_of(status, headers=headers)]
    assert await settled.settle(contract(), *exchanges, idempotency_key="key 1") == exchanges
    assert settled.notes.calls == [("before", "key 1"), ("after", status, billing, charged_usd, None)]
    assert settled.spent_usd == spent_usd


async def test_a_charge_in_credits_is_converted(contract: Callable[..., Contract], settled: Settled) -> None:
    loaded = contract(lambda data: data["x-provider"].update(credits={"name": "coins", "usd_per_credit": 0.5}))
    await settled.settle(loaded, exchange_of(200, headers=(("X-Charged", "0.25"),)))
    assert settled.spent_usd == 0.125


@pytest.mark.parametrize(
    ("charged", "stated"),
    [
        ("1e12", "states a charge of 1e+12 USD, which cannot be believed"),
        ("1e300", "states a charge of 1e+300 USD, which cannot be believed"),
        ("9" * 6000, "states a charge of inf USD, which cannot be believed"),
        ("-5", "states a charge of -5 USD, which cannot be believed"),
        ("nan", "states a charge of nan USD, which cannot be believed"),
        ("\x1b[31mlots", "states a charge that is a text and not a number"),
    ],
)
async def test_a_charge_in_a_header_that_cannot_be_believed_ends_the_requests(
    contract: Callable[..., Contract], settled: Settled, charged: str, stated: str
) -> None:
    await settled.settle(contract(), exchange_of(200, headers=(("X-Charged", charged),)))
    assert (settled.spent_usd, settled.notes.calls[-1][3]) == (PRICE_USD, None)
    with pytest.raises(OverchargedError, match=re.escape(f"a response of acme/say {stated}: no more")):
        settled.ledger.reserve(PRICE_USD, "acme/say")


@pytest.mark.parametrize(
    ("charged", "stated"),
    [
        (b"1e12", "of 1e+12 USD, which"),
        (b"1000000001", "of 1000000001 USD, which"),
        (b"-0.5", "of -0.5 USD, which"),
        (b"9" * 400, "of inf USD, which"),
        (b"9" * 6000, "of inf USD, which"),
        (b"NaN", "of nan USD, which"),
        (b"-Infinity", "of -inf USD, which"),
        (b"1e999", "of inf USD, which"),
        (b'"1e12"', "of 1e+12 USD, which"),
        (b"true", "that is true and not a number"),
        (b"[5]", "that is a list and not a number"),
        (b'{"usd": 5}', "that is an object and not a number"),
    ],
)
async def test_a_charge_in_a_body_that_cannot_be_believed_ends_the_requests(
    contract: Callable[..., Contract], settled: Settled, charged: bytes, stated: str
) -> None:
    exchange = msgspec.structs.replace(
        exchange_of(200).response, body=b'{"id": "j1", "cost": ' + charged + b', "state": "done"}'
    )
    await settled.settle(contract(), msgspec.structs.replace(exchange_of(200), response=exchange), operation="status")
    assert settled.spent_usd == PRICE_USD
    with pytest.raises(OverchargedError, match=re.escape(f"a response of acme/say states a charge {stated}")):
        settled.ledger.reserve(PRICE_USD, "acme/say")


@pytest.mark.parametrize("body", [{}, {"cost": None}, {"cost": "0.25"}, {"cost": PRICE_USD}, [], "busy"])
async def test_an_absent_or_plausible_charge_ends_nothing(
    contract: Callable[..., Contract], settled: Settled, body: Any
) -> None:
    await settled.settle(contract(), exchange_of(200, body), operation="status")
    settled.ledger.reserve(PRICE_USD, "acme/say")


def price_by_token(document: dict[str, Any]) -> None:
    """A token of `say` costs a thousandth of a dollar; a header reports how many were used."""
    say = document["paths"]["/say"]["post"]
    del say["x-speech"]["response"]["charge_location"]
    usage = {"max_per_request": 250, "reported_usage_location": "header.X-Charged"}
    say["x-pricing"] = {"unit": "1m_tokens", "usd_per_unit": 1000, "usage": usage}


@pytest.mark.parametrize(("status", "spent_usd"), [(200, 0.04), (422, 0.0), (500, PRICE_USD)])
async def test_the_usage_that_an_accepted_request_reports_is_spent(
    contract: Callable[..., Contract], settled: Settled, status: int, spent_usd: float
) -> None:
    loaded = contract(price_by_token)
    priced = UsagePricedRequest(loaded.find_target_by_name("sync"), 5)
    await settled.settle(loaded, exchange_of(status, headers=(("X-Charged", "40"),)), usage_priced_request=priced)
    assert settled.spent_usd == spent_usd


async def test_the_characters_of_the_text_are_charged_with_the_usage(
    contract: Callable[..., Contract], settled: Settled
) -> None:
    def price_by_token_and_character(document: dict[str, Any]) -> None:
        price_by_token(document)
        document["paths"]["/say"]["post"]["x-pricing"]["added_parts"] = [{"unit": "1k_characters", "usd_per_unit": 2}]

    loaded = contract(price_by_token_and_character)
    priced = UsagePricedRequest(loaded.find_target_by_name("sync"), 5)
    await settled.settle(loaded, exchange_of(200, headers=(("X-Charged", "40"),)), usage_priced_request=priced)
    assert settled.spent_usd == 0.05


async def test_usage_is_not_charged_if_the_user_named_the_price(
    contract: Callable[..., Contract], settled: Settled
) -> None:
    await settled.settle(contract(price_by_token), exchange_of(200, headers=(("X-Charged", "40"),)))
    assert settled.spent_usd == PRICE_USD


@pytest.mark.parametrize(
    ("operation", "body"), [("submit", {"cost": 0.125}), ("status", {"cost": 0.125}), ("cancel", {"cost": 0.125})]
)
async def test_the_charge_is_read_where_the_operation_documents_it(
    contract: Callable[..., Contract], settled: Settled, operation: str, body: Any
) -> None:
    await settled.settle(contract(), exchange_of(200, body), operation=operation)
    assert settled.spent_usd == (PRICE_USD if operation == "cancel" else 0.125)


@pytest.mark.parametrize("is_observed", [True, False])
@pytest.mark.parametrize(
    ("error", "notes", "spent_usd"),
    [
        (TransportError("connection lost", request_was_sent=True), [], PRICE_USD),
        (TransportError("connection refused", request_was_sent=False), [("not sent",)], 0.0),
        (UsageError("a field cannot be sent"), [("not sent",)], 0.0),
    ],
)
async def test_a_request_without_a_response_is_spent_if_it_was_sent(
    contract: Callable[..., Contract],
    settled: Settled,
    error: Exception,
    notes: list[tuple[Any, ...]],
    spent_usd: float,
    is_observed: bool,
) -> None:
    with pytest.raises(type(error)) as caught:
        await settled.settle(contract(), error, **({} if is_observed else {"submit_observer": None}))
    assert caught.value is error
    assert settled.notes.calls == ([("before", None), *notes] if is_observed else [])
    assert settled.spent_usd == spent_usd


@pytest.mark.parametrize("is_repeated", [True, False])
async def test_a_rejected_repetition_says_nothing_about_the_earlier_request(
    contract: Callable[..., Contract], settled: Settled, is_repeated: bool
) -> None:
    await settled.settle(contract(), exchange_of(422), idempotency_key="key 1", repeats_earlier_request=is_repeated)
    assert settled.spent_usd == (PRICE_USD if is_repeated else 0.0)


async def test_a_repetition_that_was_not_sent_says_nothing_about_the_earlier_request(
    contract: Callable[..., Contract], settled: Settled
) -> None:
    with pytest.raises(TransportError):
        await settled.settle(
            contract(), TransportError("connection refused", request_was_sent=False), repeats_earlier_request=True
        )
    assert settled.notes.calls == [("before", None)]
    assert settled.spent_usd == PRICE_USD


async def test_an_accepted_repetition_costs_what_it_reports(
    contract: Callable[..., Contract], settled: Settled
) -> None:
    await settled.settle(contract(), exchange_of(200, headers=(("X-Charged", "0.5"),)), repeats_earlier_request=True)
    assert settled.spent_usd == 0.5


async def test_a_free_request_is_neither_observed_nor_reserved(contract: Callable[..., Contract]) -> None:
    notes = Notes()
    with settle_request(None, contract().find_operation("say"), notes) as exchanges:
        exchanges.append(exchange_of(200))
    assert notes.calls == []


class FullDisk(Notes):
    """An observer that cannot write."""

    def before_submit(self, idempotency_key: str | None = None) -> None:
        raise StorageError("no space left")


async def test_a_request_that_cannot_be_noted_is_not_sent(contract: Callable[..., Contract], settled: Settled) -> None:
    with pytest.raises(StorageError, match="no space left"):
        await settled.settle(contract(), AssertionError("sent"), submit_observer=FullDisk())
    assert settled.spent_usd == 0.0
