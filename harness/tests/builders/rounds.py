"""Planned samples, round by round."""

from __future__ import annotations

from voicegauge.bench.benchmark_plan import PlannedSample
from voicegauge.bench.suites import SuiteText
from voicegauge.contract.price_computation import PriceQuote


def build_rounds(texts: int, *targets: str, price_usd: float | None = None) -> list[tuple[PlannedSample, ...]]:
    """Rounds of one text for each target."""
    return [
        tuple(
            PlannedSample(
                target=target,
                text=SuiteText(id=str(number), category="plain", text="Hello.", language="en"),
                session_number=1,
                repetition_number=1,
                price=PriceQuote(price_usd, None, False),
            )
            for target in targets
        )
        for number in range(texts)
    ]
