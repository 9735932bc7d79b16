"""One rule for money: what may have been charged is spent until it is known that it was not."""

from __future__ import annotations

import pytest
from starlette.responses import JSONResponse, Response

from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.scripted_provider import HELLO, KEY, WAV

PRICE_USD = 0.01


@pytest.mark.parametrize(
    ("response", "spent_usd"),
    [
        (Response(WAV, media_type="audio/wav"), PRICE_USD),
        (JSONResponse({"error": "text is too long"}, 422), 0.0),
        (JSONResponse({"error": "out of credit"}, 402), 0.0),
        (JSONResponse({"error": "slow down"}, 429), 0.0),
        (Response(status_code=300), 0.0),
        (Response(status_code=302, headers={"Location": "/elsewhere"}), 0.0),
        (JSONResponse({"error": "internal"}, 500), PRICE_USD),
        (JSONResponse({"error": "upstream"}, 502), PRICE_USD),
        (JSONResponse({"error": "busy"}, 503), 0.0),  # the contract documents that it may be sent again
    ],
)
async def test_a_delivery_is_settled_by_the_response_to_its_submit(speak, script, response, spent_usd):
    script.on("POST /speech", response)
    ledger = Ledger(1.0)
    await speak(ledger=ledger)
    assert (ledger.spent_usd, ledger.reserved_usd) == (spent_usd, 0)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_without_a_documented_refusal_is_spent_and_not_sent_again(speak, script, status):
    script.on("POST /speech", JSONResponse({"error": "try again"}, status))
    ledger = Ledger(1.0)
    delivery, _ = await speak(ledger=ledger, edit=lambda data: data["x-provider"].update(retry_policy={}))
    assert (ledger.spent_usd, delivery.submit_count) == (PRICE_USD, 1)


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_server_error_documented_for_retries_may_have_been_charged(speak, script, status):
    """Such a request may have been performed before it failed, unlike one with 503."""
    script.on("POST /speech", JSONResponse({"error": "try again"}, status))
    ledger = Ledger(1.0)
    delivery, _ = await speak(
        ledger=ledger, edit=lambda data: data["x-provider"]["retry_policy"].update(retried_statuses=[status])
    )
    assert (ledger.spent_usd, delivery.submit_count) == (PRICE_USD, 1)


async def test_a_delivery_whose_connection_was_lost_is_spent(contract, disconnecting_server):
    loaded, ledger = contract(), Ledger(1.0)
    async with Transport() as transport:
        client = Client(
            loaded, transport, base_urls={"": disconnecting_server}, key=KEY, clock=VirtualClock(), ledger=ledger
        )
        await client.speak(loaded.find_target_by_name("one"), HELLO)
    assert (ledger.spent_usd, ledger.reserved_usd) == (PRICE_USD, 0)


async def test_a_delivery_that_could_not_connect_costs_nothing(contract):
    loaded, ledger = contract(), Ledger(1.0)
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": "http://127.0.0.1:1"}, clock=VirtualClock(), ledger=ledger)
        await client.speak(loaded.find_target_by_name("one"), HELLO)
    assert (ledger.spent_usd, ledger.reserved_usd) == (0, 0)


@pytest.mark.parametrize(("charged", "status"), [("0.002", 200), ("0.5", 200), ("0", 200)])
async def test_a_reported_charge_replaces_the_price_of_a_delivery(speak, script, charged, status):
    script.on("POST /say", Response(WAV, status, media_type="audio/wav", headers={"X-Charged": charged}))
    ledger = Ledger(1.0)
    await speak("sync", ledger=ledger, price_usd=0.25)
    assert (ledger.spent_usd, ledger.reserved_usd) == (float(charged), 0)


class LostResponse(Response):
    """A response that ends in the middle."""

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})


def with_idempotency(data):
    data["paths"]["/speech"]["post"]["x-idempotency"] = {"header_name": "Idempotency-Key"}


async def test_retries_have_the_same_idempotency_key(speak, script):
    script.on("POST /speech", JSONResponse({}, 429), LostResponse(), Response(status_code=422))
    ledger = Ledger(1.0)
    delivery, _ = await speak(ledger=ledger, edit=with_idempotency)
    keys = [request.headers["idempotency-key"] for _, request, _ in script.requests]
    assert (len(keys), len(set(keys)), delivery.submit_count) == (3, 1, 3)
    # The rejection of the last attempt says nothing about the lost one.
    assert (ledger.spent_usd, ledger.reserved_usd) == (PRICE_USD, 0)


async def test_two_requests_have_different_idempotency_keys(speak, script):
    script.on("POST /speech", Response(status_code=422))
    for _ in range(2):
        await speak(edit=with_idempotency)
    assert len({request.headers["idempotency-key"] for _, request, _ in script.requests}) == 2


async def test_no_idempotency_key_is_sent_unless_it_is_documented(speak, script):
    script.on("POST /speech", LostResponse())
    delivery, _ = await speak()
    assert delivery.submit_count == 1
    assert "idempotency-key" not in script.requests[0][1].headers
