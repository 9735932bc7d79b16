"""Each account has its own balance, rate limit and allowance."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


async def test_credits_are_charged_by_the_price_until_they_are_used_up(start: Any) -> None:
    api = await start()
    left = [(await api.submit()).json()["left"] for _ in range(3)]
    assert left == [70, 40, 10]
    rejected = await api.submit()
    assert (rejected.status_code, rejected.json()["code"]) == (402, "no-credit")
    assert (await api.submit(key="another")).json()["left"] == 70
    priced_by_length = (await api.submit("Hi ho", model="large")).json()
    assert (priced_by_length["cost"], priced_by_length["left"]) == (5, 5)


async def test_the_settings_determine_the_initial_balance(start: Any) -> None:
    api = await start(credits=1000)
    assert (await api.submit()).json()["left"] == 970


@pytest.mark.parametrize(("plan", "requests"), [(None, 50), ("paid", 50), ("free", 5), ("unknown", 50)])
async def test_the_plan_limits_requests_per_minute(start: Any, plan: str | None, requests: int) -> None:
    api = await start(clock="virtual", account_plan=plan, credits=1e9)
    responses = [await api.submit() for _ in range(requests)]
    assert {response.status_code for response in responses} == {202}
    assert [int(response.headers["X-Left"]) for response in responses] == list(reversed(range(requests)))
    await api.control("POST", "/clock", {"advance_s": 20})
    rejected = await api.submit()
    assert rejected.status_code == 429
    assert rejected.headers["Retry-After"] == "40"
    assert (await api.submit(key="another")).status_code == 202
    await api.control("POST", "/clock", {"advance_s": 40})
    assert (await api.submit()).status_code == 202


async def test_polling_does_not_count_against_the_rate_limit(start: Any) -> None:
    api = await start(clock="virtual", account_plan="free")
    job = (await api.submit()).json()["id"]
    await api.states(job, 20)
    assert (await api.submit()).headers["X-Left"] == "3"


async def test_rate_limits_can_be_disabled(start: Any) -> None:
    api = await start(account_plan="free", enforces_rate_limits=False, credits=1e9)
    assert {(await api.submit()).status_code for _ in range(8)} == {202}


async def test_the_plan_limits_the_text(start: Any) -> None:
    api = await start(account_plan="free")
    assert (await api.submit("x " * 20)).status_code == 202
    assert (await api.submit("x " * 20 + "x")).status_code == 422


async def test_concurrent_requests_are_limited(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["x-limits"]["plan_limits"] = {"only": {"max_concurrent_requests": 2}}
        target = document["paths"]["/speech"]["post"]["x-speech"]["targets"]["small"]
        target["emulation"]["submit_response_ms"] = 2000

    api = await start(edit=edit, clock="real")
    responses = await asyncio.gather(*(api.submit() for _ in range(4)))
    assert sorted(response.status_code for response in responses) == [202, 202, 429, 429]


async def test_keyless_requests_have_a_daily_allowance_per_address(start: Any) -> None:
    api = await start(clock="virtual", time_scale=0)

    async def ask(text: str, address: str = "10.0.0.1") -> Any:
        headers = {"X-Forwarded-For": address}
        return await api.send("POST", "/now", data={"text": text}, key=None, headers=headers)

    first = await ask("twenty characters ok")
    assert (first.status_code, first.headers["X-Cost"]) == (200, "0")
    assert (await ask("eleven char")).status_code == 429
    assert (await ask("ten charac")).status_code == 200
    assert (await ask("hello", "10.0.0.2")).status_code == 200
    assert (await api.send("POST", "/now", data={"text": "eleven char"})).headers["X-Cost"] == "1.1"
    await api.control("POST", "/clock", {"advance_s": 86400})
    assert (await ask("eleven char")).status_code == 200


async def test_a_target_that_needs_a_key_rejects_keyless_requests(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        del document["paths"]["/now"]["post"]["x-speech"]["targets"]["now"]["works_without_key"]
        document["paths"]["/now"]["post"]["security"] = [{"key": []}]

    api = await start(edit=edit)
    assert (await api.send("POST", "/now", data={"text": "Hi"}, key=None)).status_code == 401
    assert (await api.send("POST", "/now", data={"text": "Hi"})).status_code == 200


async def test_the_state_shows_accounts_and_jobs_without_keys(start: Any) -> None:
    api = await start()
    await api.submit(key="very-secret")
    state = await api.control("GET", "/state")
    assert state["acme"]["accounts"][0]["spent"] == 30
    assert state["acme"]["jobs"][0]["target"] == "acme/small"
    assert "very-secret" not in str(state)
