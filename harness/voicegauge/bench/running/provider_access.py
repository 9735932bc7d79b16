"""Collects addresses, API keys and rate limits of the providers of a run, and opens clients that use them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from voicegauge.client import (
    Client,
    Ledger,
    RateLimiter,
    create_rate_limiter,
    find_account_plan_limits,
    read_client_key,
)
from voicegauge.contract import Contract
from voicegauge.emulator import RunningEmulator
from voicegauge.transport import Clock, Transport


@dataclass(frozen=True)
class ProviderAccess:
    """Base URLs, API key and limits for one provider."""

    base_urls: Mapping[str, str] = field(default_factory=dict)
    """Base URLs by the contract's server name, or "" for all servers; empty to use the contract's own URLs."""
    api_key: str | None = field(default=None, repr=False)
    """API key that is sent with each request; `None` to send none."""
    max_concurrency: int | None = None
    """Number of requests that the account plan allows in flight; `None` if no document states a limit."""
    rate_limiter: RateLimiter | None = None
    """Limits the requests per minute to what the account plan allows; `None` if there is no limit."""


def build_live_access(
    contracts: Sequence[Contract], base_urls: Mapping[str, str], account_plan_names: Collection[str] = ()
) -> dict[str, ProviderAccess]:
    """Return the access to live services by provider id, with keys from the environment.

    Args:
        contracts: contracts of the providers.
        base_urls: the user's own base URLs by server name; empty to use the contracts' URLs.
        account_plan_names: names of the user's account plans; for a provider without a named plan, its smallest plan
            is used.

    Raises:
        MissingKeyError: an API key is not set.
        UnknownNameError: no provider has a plan of that name.
    """
    chosen = find_account_plan_limits(contracts, account_plan_names)
    return {
        contract.id: ProviderAccess(
            base_urls,
            read_client_key(contract),
            chosen[contract.id].max_concurrent_requests,
            create_rate_limiter(chosen[contract.id], base_urls),
        )
        for contract in contracts
    }


def build_emulated_access(contracts: Iterable[Contract], emulator: RunningEmulator) -> dict[str, ProviderAccess]:
    """Return the access to a running emulator by provider id; the emulator accepts any key."""
    return {contract.id: ProviderAccess({"": emulator.base_url(contract.id)}, "emulated") for contract in contracts}


def open_clients(
    contracts: Iterable[Contract],
    access_by_provider: Mapping[str, ProviderAccess],
    transport: Transport,
    ledger: Ledger | None,
    seed: int,
    *,
    clock: Clock | None = None,
    max_wait_s: float | None = None,
    staggers_polls: bool = False,
) -> dict[str, Client]:
    """Open one client per provider; all clients share one transport, one ledger, one clock and one time limit."""
    return {
        contract.id: Client(
            contract,
            transport,
            base_urls=access_by_provider[contract.id].base_urls,
            key=access_by_provider[contract.id].api_key,
            ledger=ledger,
            rate_limiter=access_by_provider[contract.id].rate_limiter,
            seed=seed,
            clock=clock,
            max_wait_s=max_wait_s,
            staggers_polls=staggers_polls,
        )
        for contract in contracts
    }


def create_provider_semaphores(
    access_by_provider: Mapping[str, ProviderAccess], concurrency: int
) -> dict[str, asyncio.Semaphore]:
    """Return semaphores, by provider id, that limit the requests in flight.

    The limit is the smaller of `concurrency` and the limit of the account plan.
    """
    return {
        provider: asyncio.Semaphore(min(one.max_concurrency or concurrency, concurrency))
        for provider, one in access_by_provider.items()
    }
