"""No minute sees more requests than the account's plan allows; polls and times are left as they are."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from voicegauge.client.client import Client
from voicegauge.client.connection import RATE_LIMIT_WINDOW_S, RateLimiter, create_rate_limiter, find_account_plan_limits
from voicegauge.errors import UnknownNameError
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.scripted_provider import HELLO, KEY, job_script

PLANS = {"free": {"max_requests_per_minute": 2, "max_concurrent_requests": 1}, "pro": {"max_requests_per_minute": 60}}


def limited(document):
    document["x-limits"] = {"plan_limits": PLANS}


ARRIVALS = st.lists(st.integers(0, 200), max_size=25)


@given(limit=st.integers(1, 5), arrivals=ARRIVALS)
def test_nobody_waits_longer_than_the_limit_asks_for(limit: int, arrivals: list[int]) -> None:
    clock = VirtualClock()
    rate_limiter = RateLimiter(limit, clock)
    passed: list[float] = []

    async def one_after_the_other() -> None:
        for arrival in sorted(arrivals):
            came = max(arrival, clock.monotonic())
            await clock.sleep(came - clock.monotonic())
            await rate_limiter.wait_for_request()
            earliest = passed[-limit] + RATE_LIMIT_WINDOW_S if len(passed) >= limit else 0
            passed.append(clock.monotonic())
            assert passed[-1] == max(came, earliest)

    asyncio.run(one_after_the_other())


@given(limit=st.integers(1, 5), arrivals=ARRIVALS)
def test_no_minute_sees_more_than_the_limit_however_many_ask_at_once(limit: int, arrivals: list[int]) -> None:
    clock = VirtualClock()
    rate_limiter = RateLimiter(limit, clock)
    passed: list[float] = []

    async def one(arrival: float) -> None:
        await clock.sleep(arrival)
        await rate_limiter.wait_for_request()
        passed.append(clock.monotonic())

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, arrivals))

    asyncio.run(all_of_them())
    assert len(passed) == len(arrivals)
    assert all(later - earlier >= RATE_LIMIT_WINDOW_S for earlier, later in zip(passed, passed[limit:], strict=False))


async def test_submits_wait_for_the_minute_polls_and_times_do_not(contract, script, status, serve):
    clock, loaded = VirtualClock(), contract(limited)
    base = await serve(script)
    job_script(script, base, status, "queued", "working")
    async with Transport() as transport:
        client = Client(
            loaded, transport, base_urls={"": base}, key=KEY, clock=clock, rate_limiter=RateLimiter(2, clock)
        )
        deliveries, begun = [], []
        for _ in range(3):
            job_script(script, base, status, "queued", "working")
            deliveries.append(await client.speak(loaded.find_target_by_name("one"), HELLO))
            begun.append(clock.monotonic() - deliveries[-1].job.observations[-1].response_began_ms / 1000)
    assert begun == [0, 7, 60]
    assert [[sighting.requested_ms for sighting in one.job.observations] for one in deliveries] == [
        [0, 1000, 3000, 7000]
    ] * 3
    assert script.routes.count("GET /jobs/j1") == 9


async def test_single_calls_and_submits_that_are_sent_again_count_too(contract, script, serve):
    clock, loaded = VirtualClock(), contract(limited)
    base = await serve(script)
    script.on("POST /speech", JSONResponse({}, 503))
    async with Transport() as transport:
        client = Client(
            loaded, transport, base_urls={"": base}, key=KEY, clock=clock, rate_limiter=RateLimiter(2, clock)
        )
        await client.speak(loaded.find_target_by_name("one"), HELLO)
    assert len(script.requests) == 3
    assert 60 <= clock.monotonic() < 61


def test_the_smallest_plan_counts_unless_the_user_names_a_larger_one(contract):
    limits, none = contract(limited), contract()
    assert find_account_plan_limits([limits])["acme"].max_requests_per_minute == 2
    assert find_account_plan_limits([limits], ["pro"])["acme"].max_requests_per_minute == 60
    with pytest.raises(UnknownNameError, match="unknown plan 'por': did you mean pro"):
        find_account_plan_limits([limits], ["por"])
    assert create_rate_limiter(find_account_plan_limits([none])["acme"], {}) is None


def test_other_servers_than_the_providers_own_are_not_held_to_its_limits(contract):
    plan = find_account_plan_limits([contract(limited)])["acme"]
    assert create_rate_limiter(plan, {}) is not None
    assert create_rate_limiter(plan, {"": "http://127.0.0.1:8080"}) is None
