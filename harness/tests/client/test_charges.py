"""What a request costs is reserved before it is sent and settled by its outcome."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import JSONResponse, Response

from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.errors import BudgetError, UsageError
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import Timeouts

from ..builders.scripted_provider import HELLO, KEY, WAV, audio_at, job_script


def credits(document):
    document["x-provider"]["credits"] = {"name": "credits", "usd_per_credit": 0.001}


async def test_charges_are_read_from_the_last_word(speak, script, status):
    job_script(script, speak.base, status, cost="7")
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued", "cost": 5}, 202))
    delivery, _ = await speak(edit=credits)
    assert delivery.charged_credits == 7
    assert delivery.charged_usd == pytest.approx(0.007)


@pytest.mark.parametrize(
    ("last", "spent"),
    [
        ({"state": "done"}, 0.01),
        ({"state": "done", "cost": 2}, 0.002),
        ({"state": "done", "cost": 1e305}, 0.01),
        ({"state": "failed"}, 0.01),
        ({"state": "void"}, 0.0),
    ],
)
async def test_the_ledger_settles_what_became_of_it(speak, script, status, last, spent):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status(**last, audio=audio_at(speak.base)))
    ledger = Ledger(1.0)
    await speak(edit=credits, ledger=ledger)
    assert (ledger.spent_usd, ledger.reserved_usd) == (spent, 0)


TOKEN_USD, BOUND_USD = 0.001, 0.1


def price_by_token(document):
    usage = {"max_per_request": 100, "reported_usage_location": "body#/tokens"}
    price = {"unit": "1m_tokens", "usd_per_unit": TOKEN_USD * 1_000_000, "usage": usage}
    document["paths"]["/speech"]["post"]["x-pricing"] = price


@pytest.mark.parametrize(
    ("submitted", "last", "spent_usd"),
    [
        ({}, {"state": "done"}, BOUND_USD),
        ({}, {"state": "done", "tokens": 7}, 0.007),
        ({"tokens": 5}, {"state": "done"}, 0.005),
        ({"tokens": 5}, {"state": "done", "tokens": 7}, 0.007),
        ({"tokens": 5}, {"state": "failed", "tokens": 7}, 0.007),
        ({}, {"state": "void", "tokens": 7}, 0.0),
        ({}, {"state": "done", "tokens": 7, "cost": 0.25}, 0.25),
    ],
)
async def test_the_usage_that_a_response_reports_is_spent(speak, script, status, submitted, last, spent_usd):
    job_script(script, speak.base, status)
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued", **submitted}, 202))
    script.on("GET /jobs/j1", status(**last, audio=audio_at(speak.base)))
    ledger = Ledger(1.0)
    await speak(edit=price_by_token, ledger=ledger)
    assert (ledger.spent_usd, ledger.reserved_usd) == (spent_usd, 0)


async def test_a_rejected_request_has_no_usage(speak, script):
    script.on("POST /speech", JSONResponse({"error": "too long", "tokens": 5}, 422))
    ledger = Ledger(1.0)
    delivery, _ = await speak(edit=price_by_token, ledger=ledger)
    assert (ledger.spent_usd, delivery.charged_usd) == (0, None)


async def test_the_usage_in_the_response_with_the_result_is_spent(speak, script, status):
    def fetch_result(document):
        price_by_token(document)
        spec = document["paths"]["/jobs/{job_id}"]["get"]["x-job"]
        spec.update(result_operation_id="result", audio={"location": "body#/audio", "delivery_method": "url"})
        document["paths"]["/results/{job_id}"]["get"]["responses"]["200"]["content"] = {"application/json": {}}

    job_script(script, speak.base, status)
    script.on("GET /results/j1", JSONResponse({"audio": audio_at(speak.base), "tokens": 9}))
    ledger = Ledger(1.0)
    delivery, _ = await speak(edit=fetch_result, ledger=ledger)
    assert (delivery.audio, ledger.spent_usd) == (WAV, 0.009)


async def test_a_spent_budget_sends_nothing(speak, script):
    with pytest.raises(BudgetError):
        await speak(ledger=Ledger(0.009))
    assert script.requests == []


async def test_an_unknown_price_sends_nothing_unless_the_user_names_one(speak, script):
    script.on("POST /say", Response(WAV, media_type="audio/wav"))
    with pytest.raises(UsageError, match="no document states the price of acme/sync"):
        await speak("sync", ledger=Ledger(1.0))
    assert script.requests == []
    ledger = Ledger(1.0)
    delivery, _ = await speak("sync", ledger=ledger, price_usd=0.25)
    assert delivery.audio == WAV
    assert ledger.spent_usd == 0.25


async def test_many_requests_share_a_client_and_a_budget(contract, script, serve):
    script.on("POST /speech", Response(WAV, media_type="audio/wav"))
    base, loaded, ledger = await serve(script), contract(), Ledger(0.1)
    async with Transport(timeouts=Timeouts(total_s=30)) as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, ledger=ledger)
        asked = (client.speak(loaded.find_target_by_name("one"), HELLO) for _ in range(25))
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(result, BudgetError) for result in results) == 15
    assert len(script.requests) == 10
    assert ledger.spent_usd == 0.1
