from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.transport.timing import RealClock, VirtualClock

from ..builders.virtual_time import in_virtual_time


@in_virtual_time
async def test_the_real_clock_passes_as_long_as_it_sleeps():
    clock = RealClock()
    started_s = clock.monotonic()
    await clock.sleep(0.05)
    assert clock.monotonic() - started_s == pytest.approx(0.05)


@in_virtual_time
async def test_a_virtual_hour_costs_no_time():
    clock, real = VirtualClock(), RealClock()
    await clock.sleep(3600)
    assert clock.monotonic() == 3600
    assert real.monotonic() == 0
    assert clock.sleeps == [3600]


@given(st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=4), min_size=1, max_size=5))
def test_virtual_sleepers_wake_in_order_at_their_hours(plans):
    async def run() -> list[tuple[float, float]]:
        clock = VirtualClock()
        woken: list[tuple[float, float]] = []

        async def sleeper(waits: list[float]) -> None:
            due = 0.0
            for wait in waits:
                due = clock.monotonic() + wait
                await clock.sleep(wait)
                woken.append((clock.monotonic(), due))

        await asyncio.gather(*(sleeper(waits) for waits in plans))
        return woken

    woken = asyncio.run(run())
    assert [now for now, _ in woken] == sorted(now for now, _ in woken)
    assert all(now == due for now, due in woken)


async def test_a_cancelled_sleeper_holds_nobody_up():
    clock = VirtualClock()
    first = asyncio.create_task(clock.sleep(1))
    second = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert clock.monotonic() == 5
