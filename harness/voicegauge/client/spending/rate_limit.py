"""Keeping to the requests a minute that an account's plan allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping

from voicegauge.contract import Contract
from voicegauge.contract.extension import PlanLimits
from voicegauge.errors import UnknownNameError
from voicegauge.transport import Clock, RealClock

WINDOW_S = 60.0


class RateLimiter:
    """Holds requests back, so that no 60 seconds see more of them than a plan allows.

    As many as are allowed are let through at once, in the order they came. One rate limiter
    belongs to one account and one event loop.
    """

    def __init__(self, requests_per_minute: int, clock: Clock | None = None) -> None:
        """`clock` is the one to wait by; the real one if left out."""
        self.requests_per_minute = requests_per_minute
        self._clock: Clock = clock or RealClock()
        self._times: deque[float] = deque(maxlen=requests_per_minute)
        """When the last requests were let through; as many as are allowed in a minute."""
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        """Return when one more request may be sent; it counts as sent then."""
        async with self._turn:
            if len(self._times) == self._times.maxlen:
                left = self._times[0] + WINDOW_S - self._clock.monotonic()
                if left > 0:
                    await self._clock.sleep(left)
            self._times.append(self._clock.monotonic())


def account_plans(contracts: Iterable[Contract], names: Collection[str] = ()) -> dict[str, PlanLimits]:
    """The plan of the account with each provider, by provider id: the one that `names` name, else the smallest.

    Raises:
        UnknownNameError: no document has a plan of that name.
    """
    limits = {contract.id: contract.limits for contract in contracts}
    known = [name for one in limits.values() for name in one.plans]
    for name in names:
        if name not in known:
            raise UnknownNameError("plan", name, known)
    return {provider: one.plan(names) for provider, one in limits.items()}


def rate_limiter_for(plan: PlanLimits, base_urls: Mapping[str, str]) -> RateLimiter | None:
    """What keeps to `plan`; `None` where it has no rate, or where other servers than the provider's are asked."""
    return RateLimiter(plan.requests_per_minute) if plan.requests_per_minute and not base_urls else None
