"""When each request is sent, with sends that take virtual time and no sockets."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from voicegauge.bench.benchmark_plan import PlannedSample
from voicegauge.bench.load import MAX_LEAD_ROUNDS, ProviderLimit, compute_due_times, send_closed_loop, send_open_loop
from voicegauge.bench.run_config import ArrivalRate
from voicegauge.transport.timing import RealClock

from ..builders.rounds import build_rounds
from ..builders.virtual_time import in_virtual_time


@in_virtual_time
async def test_one_target_gets_all_requests_in_flight() -> None:
    in_flight, most = 0, 0

    async def send(_planned: PlannedSample, due_s: float | None) -> None:
        nonlocal in_flight, most
        assert due_s is None
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(1)
        in_flight -= 1

    await send_closed_loop(build_rounds(64, "a"), 16, send)
    assert most == 16
    assert asyncio.get_running_loop().time() == pytest.approx(4)


@in_virtual_time
async def test_no_text_is_a_barrier_and_all_targets_stay_near_the_same_text() -> None:
    latency_s = {"slow": 60.0, "medium": 5.0, "fast": 0.3}
    ended: Counter[str] = Counter()
    leads: list[int] = []

    async def send(planned: PlannedSample, _due_s: float | None) -> None:
        leads.append(int(planned.text.id) - min(ended.values(), default=0))
        await asyncio.sleep(latency_s[planned.target])
        ended[planned.target] += 1

    ended.update(dict.fromkeys(latency_s, 0))
    await send_closed_loop(build_rounds(100, *latency_s), 8, send)
    assert ended == dict.fromkeys(latency_s, 100)
    assert max(leads) <= 8, "at most the requests of the slowest target that are in flight"
    total_s = 100 * sum(latency_s.values())
    assert asyncio.get_running_loop().time() == pytest.approx(total_s / 8, abs=60), (
        "no request in flight is left unused"
    )


@in_virtual_time
async def test_a_provider_that_accepts_one_request_holds_no_slot_and_the_others_stay_near() -> None:
    in_flight: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    leads: list[int] = []

    async def send(planned: PlannedSample, _due_s: float | None) -> None:
        in_flight[planned.target] += 1
        assert in_flight["limited"] <= 1
        if planned.target == "free":
            leads.append(int(planned.text.id) - ended["limited"])
        await asyncio.sleep(3 if planned.target == "limited" else 5)
        in_flight[planned.target] -= 1
        ended[planned.target] += 1

    limits = {"limited": ProviderLimit("acme", 1)}
    await send_closed_loop(build_rounds(20, "limited", "free"), 4, send, limit_by_target=limits)
    assert ended == {"limited": 20, "free": 20}
    assert max(leads) <= MAX_LEAD_ROUNDS + 1
    assert asyncio.get_running_loop().time() == pytest.approx(60, abs=5), "as long as the limited provider takes"


@in_virtual_time
async def test_at_a_fixed_rate_requests_are_sent_when_they_are_due() -> None:
    sent: defaultdict[str, list[float]] = defaultdict(list)

    async def send(planned: PlannedSample, due_s: float | None) -> None:
        now_s = asyncio.get_running_loop().time()
        assert due_s == pytest.approx(now_s, abs=1e-6)
        sent[planned.target].append(now_s)
        await asyncio.sleep(100)

    await send_open_loop(build_rounds(10, "a", "b"), ArrivalRate(2.0), send, clock=RealClock(), seed=0)
    assert sent["a"] == pytest.approx([0.5 * n for n in range(10)], abs=1e-6)
    assert sent["b"] == pytest.approx([0.25 + 0.5 * n for n in range(10)], abs=1e-6)


@in_virtual_time
async def test_a_fixed_rate_does_not_wait_for_the_rest_of_a_run_that_is_to_end() -> None:
    """A run of an hour ends soon after Ctrl-C, or after everything is decided."""
    sent = 0

    async def send(_planned: PlannedSample, _due_s: float | None) -> None:
        nonlocal sent
        sent += 1

    await send_open_loop(
        build_rounds(3600, "a"),
        ArrivalRate(1.0),
        send,
        clock=RealClock(),
        seed=0,
        should_stop_sending=lambda: sent == 5,
    )
    assert (sent, asyncio.get_running_loop().time()) == (5, pytest.approx(5))


def test_poisson_arrivals_have_exponential_intervals() -> None:
    due_s = [at_s for at_s, _ in compute_due_times(build_rounds(4000, "a"), ArrivalRate(5.0, "poisson"), seed=1)]
    gaps_s = sorted(after - before for before, after in pairwise(due_s))
    assert sum(gaps_s) / len(gaps_s) == pytest.approx(0.2, rel=0.05)
    assert gaps_s[len(gaps_s) // 2] == pytest.approx(0.1386, rel=0.06), "the median is ln 2 of the mean"
