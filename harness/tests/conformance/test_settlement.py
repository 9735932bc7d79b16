"""A single request of a check is settled by the same rule as a delivery (`harness/tests/client/test_settlement.py`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import plan_cases
from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance.check_settings import CheckedService, CheckSettings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.errors import TransportError
from voicegauge.model.base import Provenance
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from .conftest import ACME_KEY

PRICE_USD = 0.001
CHARGED = "response: {charge_location: header.X-Charged, audio:"


@pytest.fixture
def acme_contract(acme_contracts: Callable[..., Path]) -> Contract:
    file = acme_contracts() / "acme" / "openapi.yaml"
    file.write_text(file.read_text().replace("response: {audio:", CHARGED))
    return load_contract(file)


def single_request(contract: Contract) -> ConformanceCase:
    """A valid request of the plan that is sent once and not followed."""
    cases = plan_cases(list(contract.targets.values()), is_emulated=False, include_all_billable_cases=True).cases
    return next(case for case in cases if case.expected_response.case_kind == "valid" and case.speech_request is None)


async def run_case(contract: Contract, ledger: Ledger, app: Starlette | None = None, url: str = "http://acme") -> None:
    """Run one single-request case against `app`, or the server at `url`."""
    async with Transport(app=app) as transport:
        client = Client(contract, transport, base_urls={"": url}, key=ACME_KEY, clock=VirtualClock(), ledger=ledger)
        service = CheckedService(contract, client, CheckSettings(provenance=Provenance.LIVE), ledger)
        await CaseRunner(service, RULE_BY_ID, ResultCollector(["acme"], 0)).judge_case(single_request(contract))


def responding(response: Response) -> Starlette:
    async def speak(_: Request) -> Response:
        return response

    return Starlette(routes=[Route("/speak", speak, methods=["POST"])])


@pytest.mark.parametrize(
    ("response", "spent_usd"),
    [
        (Response(b"RIFF", media_type="audio/wav"), PRICE_USD),
        (JSONResponse({"error": "not valid"}, 400), 0.0),
        (JSONResponse({"error": "slow down"}, 429), 0.0),
        (JSONResponse({"error": "internal"}, 500), PRICE_USD),
        # Sent twice; no document says that such a request was not performed.
        (JSONResponse({"error": "upstream"}, 502), 2 * PRICE_USD),
        (JSONResponse({"error": "busy"}, 503), 2 * PRICE_USD),
        (Response(b"RIFF", media_type="audio/wav", headers={"X-Charged": "0.0004"}), 0.0004),
        (Response(b"RIFF", media_type="audio/wav", headers={"X-Charged": "0.5"}), 0.5),
        (Response(b"RIFF", media_type="audio/wav", headers={"X-Charged": "0"}), 0.0),
    ],
)
async def test_a_single_request_is_settled_by_its_response(acme_contract, response, spent_usd) -> None:
    ledger = Ledger(1.0)
    await run_case(acme_contract, ledger, responding(response))
    assert (ledger.spent_usd, ledger.reserved_usd) == (spent_usd, 0)


async def test_a_single_request_whose_connection_was_lost_is_spent(acme_contract, disconnecting_server) -> None:
    ledger = Ledger(1.0)
    with pytest.raises(TransportError):
        await run_case(acme_contract, ledger, url=disconnecting_server)
    assert (ledger.spent_usd, ledger.reserved_usd) == (PRICE_USD, 0)


async def test_a_single_request_that_could_not_connect_costs_nothing(acme_contract) -> None:
    ledger = Ledger(1.0)
    with pytest.raises(TransportError):
        await run_case(acme_contract, ledger, url="http://127.0.0.1:1")
    assert (ledger.spent_usd, ledger.reserved_usd) == (0, 0)
