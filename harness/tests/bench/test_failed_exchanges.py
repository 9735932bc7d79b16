"""A run keeps one exchange for each cause of failure, without keys and of bounded size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from voicegauge.bench._sample_building import MAX_QUOTED_BODY_CHARACTERS, FailedExchangeQuoter
from voicegauge.bench.runner import run_plan
from voicegauge.bench.suites import Suite
from voicegauge.contract.contract import Target
from voicegauge.model.exchange import Delivery, Exchange, Failure
from voicegauge.model.exchange import Request as SentRequest
from voicegauge.model.exchange import Response as ReceivedResponse

from ..builders.scripted_provider import Script
from ..builders.servers import serving
from .test_runner import order

KEY = "acme-key-5f0c91d2b7e84a36"


def deliver(status: int, response_body: bytes, kind: str = "rejected", content_type: str = "text/html") -> Delivery:
    exchange = Exchange(
        provider="acme",
        operation="now",
        request=SentRequest(
            method="POST",
            url=f"https://api.acme.test/now?api_key={KEY}",
            headers=(("Authorization", f"Bearer {KEY}"), ("Content-Type", "application/json")),
            body=b'{"text": "Hello"}',
        ),
        response=ReceivedResponse(status=status, headers=(("Content-Type", content_type),), body=response_body),
    )
    failure = Failure(kind=kind, message="no", http_status=status)  # type: ignore[arg-type]  # one of the kinds
    return Delivery(target="acme/now", exchanges=(exchange,), submit_count=1, failure=failure)


@pytest.fixture
def failed_exchanges() -> FailedExchangeQuoter:
    return FailedExchangeQuoter({"acme": KEY}, ())


def test_one_exchange_is_quoted_for_each_kind_and_status(
    failed_exchanges: FailedExchangeQuoter, targets: dict[str, Target]
) -> None:
    target = targets["acme/now"]
    deliveries = [deliver(400, b"no"), deliver(400, b"no"), deliver(500, b"no", "server_error")]
    quoted = [failed_exchanges.quote_exchange_if_cause_is_new(target, one) for one in deliveries]
    assert [one and one.status for one in quoted] == [400, None, 500]


def test_the_key_is_masked_wherever_it_appears(
    failed_exchanges: FailedExchangeQuoter, targets: dict[str, Target]
) -> None:
    body = json.dumps({"error": f"bad key {KEY}"}).encode()
    quoted = failed_exchanges.quote_exchange_if_cause_is_new(
        targets["acme/now"], deliver(401, body, content_type="application/json")
    )
    assert quoted
    assert quoted.request_body.text == '{"text": "Hello"}'
    assert KEY not in repr(quoted)
    assert ("Authorization", "Bearer [redacted]") in quoted.request_headers


@pytest.mark.parametrize(
    ("body", "content_type", "text_start", "note"),
    [
        (b"<p>" + b"no " * 130_000, "text/html", "<p>no no", "only the beginning"),
        (b'{"a": "' + b"x" * 400_000, "application/json", "", "not quoted: too large to be searched for secrets"),
        (b"\xff\xfe\x00", "audio/wav", "", "binary"),
        (b"", "text/html", "", ""),
    ],
)
def test_a_body_is_quoted_as_far_as_it_is_text_and_small(
    failed_exchanges: FailedExchangeQuoter,
    targets: dict[str, Target],
    body: bytes,
    content_type: str,
    text_start: str,
    note: str,
) -> None:
    quoted = failed_exchanges.quote_exchange_if_cause_is_new(
        targets["acme/now"], deliver(500, body, content_type=content_type)
    )
    assert quoted
    assert quoted.response_body.text.startswith(text_start)
    assert len(quoted.response_body.text) <= MAX_QUOTED_BODY_CHARACTERS
    assert (quoted.response_body.size_bytes, quoted.response_body.omission_reason) == (len(body), note)


async def test_a_run_saves_the_exchange_of_the_first_rejection(
    suite: Suite, targets: dict[str, Target], tmp_path: Path
) -> None:
    async def reject(_request: Request) -> JSONResponse:
        return JSONResponse({"detail": "unknown voice"}, status_code=422)

    async with serving(Script().on("POST /now", reject)) as url:
        config = order(suite, targets, url, "now")
        outcome = await run_plan(config, tmp_path)
    exchanges = [sample.failed_exchange for sample in outcome.samples]
    assert [exchange is not None for exchange in exchanges] == [True] + [False] * (len(exchanges) - 1)
    assert exchanges[0]
    assert (exchanges[0].status, exchanges[0].response_body.text) == (422, '{"detail":"unknown voice"}')


async def test_a_page_instead_of_audio_is_quoted_too(suite: Suite, targets: dict[str, Target], tmp_path: Path) -> None:
    async def answer(_request: Request) -> HTMLResponse:
        return HTMLResponse("<h1>Bad gateway</h1>", media_type="audio/wav")

    async with serving(Script().on("POST /now", answer)) as url:
        outcome = await run_plan(order(suite, targets, url, "now"), tmp_path)
    exchange = outcome.samples[0].failed_exchange
    assert exchange
    assert exchange.response_body.text == "<h1>Bad gateway</h1>"
