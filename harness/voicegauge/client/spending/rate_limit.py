"""Delays requests to respect the rate limit of an account's plan, in requests per minute."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping

from voicegauge.contract import Contract
from voicegauge.contract.extension import PlanLimits
from voicegauge.errors import UnknownNameError
from voicegauge.transport import Clock, RealClock

RATE_LIMIT_WINDOW_S = 60.0
"""Length of the window in seconds, because plans state requests per minute. Providers may count in fixed or sliding
windows; a sliding window satisfies both."""


class RateLimiter:
    """Delays requests so that no window of 60 seconds has more requests than a plan allows.

    A burst up to the limit passes without delay. Requests pass in the order of their arrival. A rate limiter belongs
    to one account and one event loop.
    """

    def __init__(self, requests_per_minute: int, clock: Clock | None = None) -> None:
        """Allow `requests_per_minute`, measured by `clock` (the real clock by default)."""
        self.requests_per_minute = requests_per_minute
        self._clock: Clock = clock or RealClock()
        self._times: deque[float] = deque(maxlen=requests_per_minute)
        """Times of the last requests, at most as many as one window may have."""
        self._queue = asyncio.Lock()

    async def wait_for_request(self) -> None:
        """Wait until one more request may be sent, and count that request."""
        async with self._queue:
            if len(self._times) == self._times.maxlen:
                remaining_s = self._times[0] + RATE_LIMIT_WINDOW_S - self._clock.monotonic()
                if remaining_s > 0:
                    await self._clock.sleep(remaining_s)
            self._times.append(self._clock.monotonic())


def find_account_plan_limits(contracts: Iterable[Contract], plan_names: Collection[str] = ()) -> dict[str, PlanLimits]:
    """Return the limits of the user's plan with each provider, by provider id.

    Args:
        contracts: the contracts of the providers.
        plan_names: names of the user's plans. For a provider without a named plan, the first plan of its contract
            counts.

    Raises:
        UnknownNameError: no contract has a plan of a given name.
    """
    limits = {contract.id: contract.limits for contract in contracts}
    known = {name for spec in limits.values() for name in spec.plan_limits}
    for name in plan_names:
        if name not in known:
            raise UnknownNameError("plan", name, known)
    return {provider: spec.find_plan(plan_names) for provider, spec in limits.items()}


def create_rate_limiter(plan_limits: PlanLimits, base_urls: Mapping[str, str]) -> RateLimiter | None:
    """Return a rate limiter that keeps the documented request rate of an account plan.

    The result is `None` if no rate is documented, or if `base_urls` replaces the URLs of the provider's servers.
    """
    return (
        RateLimiter(plan_limits.max_requests_per_minute)
        if plan_limits.max_requests_per_minute and not base_urls
        else None
    )
