"""Simulates when the requests of a benchmark end, with latencies of different targets and no real time."""

from __future__ import annotations

import asyncio
import selectors

from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.load import send_closed_loop
from voicegauge.bench.suites import SuiteText
from voicegauge.contract.price_computation import PriceQuote

STANDARD_TARGETS, STANDARD_TEXTS = 21, 137
"""Together 2,877 samples, as of the standard suite."""


class _VirtualSelector(selectors.DefaultSelector):
    """Advances the time of its loop instead of waiting for it."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.loop.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers take no time."""

    def __init__(self) -> None:
        selector = _VirtualSelector()
        super().__init__(selector)
        selector.loop, self.now_s = self, 0.0

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now_s


def list_latencies_s(targets: int) -> list[float]:
    """Return one latency for each target: a third are jobs of 4 to 10 s, the others take 0.3 to 1.5 s."""
    return [4 + 6 * n / targets if n % 3 == 0 else 0.3 + 1.2 * n / targets for n in range(targets)]


def simulate_run(latencies_s: list[float], texts: int, concurrency: int) -> float:
    """Return how many seconds a run takes."""
    rounds = [tuple(_plan(f"simulated/{n}", text) for n in range(len(latencies_s))) for text in range(texts)]
    latency_by_target = {f"simulated/{n}": latency_s for n, latency_s in enumerate(latencies_s)}

    async def send(planned: PlannedSample, _due_s: float | None) -> None:
        await asyncio.sleep(latency_by_target[planned.target])

    async def run(plan: list[SampleRound]) -> float:
        await send_closed_loop(plan, concurrency, send)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run(rounds))


def _plan(target: str, text: int) -> PlannedSample:
    return PlannedSample(
        target=target,
        text=SuiteText(id=str(text), category="plain", text="Hello.", language="en"),
        session_number=1,
        repetition_number=1,
        price=PriceQuote(None, None, False),
    )
