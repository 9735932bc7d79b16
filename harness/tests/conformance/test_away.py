"""A service that takes every connection and never says a word."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from voicegauge.checks import RULES
from voicegauge.client import Client
from voicegauge.conformance import Collector, plan_cases
from voicegauge.conformance.running import MAX_UNREACHABLE, Runner, Service
from voicegauge.contract import load_contract
from voicegauge.errors import TimedOutError
from voicegauge.transport import Timeouts, Transport


def test_a_service_that_never_answers_is_given_up_soon(acme_contracts: Callable[..., Path]) -> None:
    contract = load_contract(acme_contracts() / "acme" / "openapi.yaml")
    cases = plan_cases(list(contract.targets.values()), emulated=False, every=False).cases
    collector = Collector([], 0)

    async def check(url: str) -> None:
        async with Transport(timeouts=Timeouts(read_s=0.05)) as transport:
            client = Client(contract, transport, base_urls={"": url}, key="sk-acme")
            await Runner(Service(contract, client), RULES, collector).run(cases)

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimedOutError):
        asyncio.run(check(f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert len(cases) > MAX_UNREACHABLE
    assert len(collector.report().cases) == MAX_UNREACHABLE - 1
