"""What is left in an account falls by what a request was charged."""

from __future__ import annotations

import json

import pytest

from voicegauge.contract.loading import load_catalogue
from voicegauge.model.exchange import Exchange, Request, Response, Timing
from voicegauge.rules.call import Call
from voicegauge.rules.charges import BalanceChange, BalancesOfRun
from voicegauge.rules.registry import RULE_BY_ID

TARGET = load_catalogue().find_provider("ttsai").targets["kokoro"]


def submit(started_ms: float, charged: float, remaining: object, *, key: str = "k") -> Call:
    timing = Timing(
        started_at=0, started_ms=started_ms, connection_wait_ms=0, connect_ms=None, tls_ms=None, send_ms=0, ttfb_ms=50,
        receive_ms=50, total_ms=100,
    )  # fmt: skip
    body = json.dumps({"credits_used": charged, "credits_remaining": remaining}).encode()
    headers = (("Content-Type", "application/json"),)
    exchange = Exchange(
        provider="ttsai",
        operation=TARGET.operation.id,
        request=Request(method="POST", url="https://a.invalid", headers=(("Authorization", f"Bearer {key}"),)),
        response=Response(status=200, headers=headers, body=body),
        timing=timing,
    )
    return Call(TARGET.operation, exchange, TARGET)


def judge(*calls: Call) -> list[str]:
    changes = [one for one in BalancesOfRun().add_changes(calls) if isinstance(one, BalanceChange)]
    return [violation.message for one in changes for violation in RULE_BY_ID["balance-wrong"].check(one)]


@pytest.mark.parametrize(
    ("calls", "messages"),
    [
        ([submit(0, 4, 96), submit(200, 4, 92)], []),
        ([submit(0, 4, 96), submit(200, 4, 80)], []),  # others have used the account
        ([submit(0, 4, 96), submit(200, 4, "96")], ["charged 4, but the balance is 96 after 96"]),
        ([submit(0, 4, 96), submit(200, 4, 95)], ["charged 4, but the balance is 95 after 96"]),
        ([submit(0, 4, 96), submit(50, 4, 96)], []),  # in flight at the same time
        ([submit(0, 4, 96), submit(200, 4, 500, key="other")], []),  # of another account
        ([submit(0, 4, 96), submit(200, 4, None)], []),
    ],
)
def test_a_balance_that_does_not_fall_is_found(calls: list[Call], messages: list[str]) -> None:
    assert judge(*calls) == messages
