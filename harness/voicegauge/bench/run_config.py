"""Defines the configuration and the outcome of a run, and collects addresses and API keys of its providers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from voicegauge.bench.benchmark_plan import BenchPlan
from voicegauge.bench.early_stopping import StopRule
from voicegauge.bench.load import ArrivalRate
from voicegauge.bench.ramp import RampSettings
from voicegauge.bench.request_building import DeliverySettings
from voicegauge.bench.timing_error import TimingProbes
from voicegauge.client.client import Client
from voicegauge.client.daily_spending import DailyBudget
from voicegauge.client.key_destinations import read_permitted_key
from voicegauge.client.ledger import Ledger, RateLimiter, create_rate_limiter, find_account_plan_limits
from voicegauge.contract.contract import Contract
from voicegauge.contract.targets import BaseTarget
from voicegauge.emulator.process import RunningEmulator
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.errors import VoicegaugeError
from voicegauge.model.base import Provenance, VoiceSample
from voicegauge.model.job import AmbiguousRequest, OpenJob
from voicegauge.model.run import EarlyStop, MeasuringWorker, RampResult, TimingError
from voicegauge.model.sample import Sample
from voicegauge.model.text_pieces import TextPacing
from voicegauge.transport.clock import Clock
from voicegauge.transport.http import Transport

# Collects addresses, API keys and rate limits of the providers of a run, and opens clients that use them.


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
    contracts: Sequence[Contract],
    find_base_urls: Callable[[Contract], Mapping[str, str]],
    account_plan_names: Collection[str] = (),
    allowed_keys: Collection[str] = (),
) -> dict[str, ProviderAccess]:
    """Return the access to live services by provider id, with keys from the environment.

    Args:
        contracts: contracts of the providers.
        find_base_urls: returns the user's own base URLs for a provider by server name; empty for the contract's URLs.
        account_plan_names: names of the user's account plans; for a provider without a named plan, its smallest plan
            is used.
        allowed_keys: which variable's key may go to which host, see `check_key_consent`.

    Raises:
        MissingKeyError: an API key is not set.
        UsageError: a key would be sent to a host that may not receive it.
        UnknownNameError: no provider has a plan of that name.
    """
    chosen = find_account_plan_limits(contracts, account_plan_names)
    base_urls = {contract.id: find_base_urls(contract) for contract in contracts}
    return {
        contract.id: ProviderAccess(
            base_urls[contract.id],
            read_permitted_key(contract, base_urls[contract.id], allowed_keys),
            chosen[contract.id].max_concurrent_requests,
            create_rate_limiter(chosen[contract.id], base_urls[contract.id]),
        )
        for contract in contracts
    }


def build_access_without_keys(
    contracts: Sequence[Contract],
    find_base_urls: Callable[[Contract], Mapping[str, str]],
    account_plan_names: Collection[str] = (),
    *,
    is_live: bool,
) -> dict[str, ProviderAccess]:
    """Return the base URLs and the limits of providers whose requests other machines send, with their own keys.

    An emulator has no limits. The arguments are those of `build_live_access`.

    Raises:
        UnknownNameError: no provider has a plan of that name.
    """
    if not is_live:
        return {contract.id: ProviderAccess() for contract in contracts}
    chosen = find_account_plan_limits(contracts, account_plan_names)
    base_urls = {contract.id: find_base_urls(contract) for contract in contracts}
    return {
        contract.id: ProviderAccess(
            base_urls[contract.id],
            None,
            chosen[contract.id].max_concurrent_requests,
            create_rate_limiter(chosen[contract.id], base_urls[contract.id]),
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
    ledgers: Mapping[str, Ledger],
    seed: int,
    *,
    clock: Clock | None = None,
    max_wait_s: float | None = None,
    staggers_polls: bool = False,
) -> dict[str, Client]:
    """Open one client per provider; all clients share one transport, one clock and one time limit.

    `ledgers` pays the requests, by provider id; a provider without a ledger costs nothing.
    """
    return {
        contract.id: Client(
            contract,
            transport,
            base_urls=access_by_provider[contract.id].base_urls,
            key=access_by_provider[contract.id].api_key,
            ledger=ledgers.get(contract.id),
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


# Defines the configuration, the stop signal and the outcome of a run.


MIN_SEND_INTERVAL_S = 0.002
"""Minimum time between two requests in seconds: sending one takes a millisecond of work, during which the response to
another would be noticed late."""
MAX_IN_FLIGHT_AT_FIXED_RATE = 512
"""Maximum number of requests in flight of a run at a fixed rate. At this number, no request is sent until one ends."""


def open_transport_with_spaced_requests(*, uses_http2: bool = False) -> Transport:
    """Open the connections of a benchmark, whose requests begin at least `MIN_SEND_INTERVAL_S` apart.

    Raises:
        MissingExtraError: HTTP/2 is requested and not installed.
    """
    return Transport(
        min_send_interval_s=MIN_SEND_INTERVAL_S, max_connections=MAX_IN_FLIGHT_AT_FIXED_RATE, http2=uses_http2
    )


@dataclass(frozen=True)
class ClusterSettings:
    """A Dask cluster whose workers send the requests of a run."""

    address: str
    """Address of the scheduler."""
    places: tuple[str, ...]
    """The places of the workers, sorted."""
    allowed_keys: tuple[str, ...] = ()
    """Which variable's key may go to which host; see `check_key_consent`."""
    allows_insecure_http: bool = False
    emulator_settings: EmulatorSettings | None = None
    """Settings of the emulator that each worker starts; `None` to measure live services."""
    on_notice: Callable[[str], None] = lambda _: None
    """Called with what the user should know about the workers."""


@dataclass(frozen=True)
class RunConfig:
    """A benchmark plan with the targets, access and limits needed to run it."""

    plan: BenchPlan
    targets: Mapping[str, BaseTarget]
    """The targets by target id."""
    access_by_provider: Mapping[str, ProviderAccess]
    """Access to the providers by provider id."""
    concurrency: int = 16
    """Number of requests in flight, of all targets together."""
    max_cost_usd: float | None = None
    """The budget in dollars; `None` for an emulator, which costs nothing."""
    user_price_usd_by_target: Mapping[str, float] = field(default_factory=dict)
    """The user's own prices in dollars per request, by target id."""
    voice_sample: VoiceSample | None = None
    """The user's own voice sample; `None` to use the bundled one."""
    daily_budget_by_provider: Mapping[str, DailyBudget] = field(default_factory=dict)
    """What all commands spend in a day, by provider id; empty without a budget."""
    max_cost_usd_by_provider: Mapping[str, float] = field(default_factory=dict)
    """Parts of the budget, in dollars, that single providers may use up, by provider id."""
    retry_ambiguous: bool = False
    """Whether samples of a resumed run are bought again if their last request was ambiguous."""
    max_wait_s: float | None = None
    """Maximum time of one delivery in seconds; `None` for as long as the contract documents."""
    ramp_settings: RampSettings | None = None
    """Settings of a ramp, which ends when it has found the highest load; `None` to send the whole plan."""
    stop_rule: StopRule | None = None
    """Ends sampling when the targets are known to differ; `None` to send the whole plan."""
    timing_probes: TimingProbes | None = None
    """Measure the error of times during the run; `None` to send the requests of the run alone."""
    cluster: ClusterSettings | None = None
    """The workers that send the requests; `None` to send them from this machine."""
    region: str | None = None
    """Where the run is measured from, as the user named it; `None` if it is not named."""
    fault_ids: tuple[str, ...] = ()
    """Ids of the faults that the emulator injects."""
    arrival_rate: ArrivalRate | None = None
    """Rate at which requests are sent, however many are in flight; `None` to send one when an earlier one ends."""
    text_pacing: TextPacing | None = None
    """How texts are sent over WebSockets; `None` to send them whole."""
    flushes_text: bool = False
    """Whether each text over a WebSocket is flushed before its turn ends, where a message for that is documented."""
    uses_http2: bool = False
    """Whether `open_transport` opens connections with HTTP/2, where a server supports it."""
    open_transport: Callable[[], Transport] = open_transport_with_spaced_requests
    """Function that opens the connections of one session."""
    clock: Clock | None = None
    """Clock for waits between polls and retries; by default the real clock."""

    @property
    def delivery_settings(self) -> DeliverySettings:
        """How samples are requested."""
        return DeliverySettings(
            user_price_usd_by_target=dict(self.user_price_usd_by_target),
            voice_sample=self.voice_sample,
            text_pacing=self.text_pacing,
            flushes_text=self.flushes_text,
            interrupts=self.plan.settings.interrupts,
        )

    @property
    def may_cost_money(self) -> bool:
        """Whether a request may be charged: not by the emulator, and not if all prices are known to be 0."""
        return self.plan.provenance is not Provenance.EMULATED and any(
            (planned.price.price_usd, planned.price.reserved_usd) != (0, 0)
            for row in self.plan.rounds
            for planned in row
        )


class StopSignal:
    """A request to end a run early: no new HTTP request is sent, and the ones in flight are completed."""

    def __init__(self) -> None:
        self.requested = False
        self.error: VoicegaugeError | None = None
        """The error that is the reason to stop; `None` if the user stopped the run."""
        self.is_time_over = False
        """Whether the user stopped the run by a time limit."""

    def request_stop(self, error: VoicegaugeError | None = None) -> None:
        """Request the stop. If it is requested several times, the first error is reported."""
        self.error = self.error or error
        self.requested = True


@dataclass(frozen=True)
class RunOutcome:
    """The samples of a run, whether they are all that was planned, and what was paid for them."""

    samples: tuple[Sample, ...]
    """The samples in the order of the plan, including those of an interrupted run that was resumed."""
    spent_usd: float
    """Dollars that were or may have been charged, according to the journal; 0 if the run has no budget."""
    is_complete: bool
    """Whether no job is open, and every planned sample is measured, or lost because voicegauge was stopped."""
    is_emulated: bool = False
    """Whether a response identified itself as coming from voicegauge's emulator."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests whose price counts as spent although their result is unknown or was not saved."""
    open_jobs: tuple[OpenJob, ...] = ()
    """The jobs that were paid for and may still succeed."""
    ramp: RampResult | None = None
    """Result of the ramp; `None` if the run has none."""
    timing_error: TimingError | None = None
    """The measured error of times; `None` if it is not known."""
    workers: tuple[MeasuringWorker, ...] = ()
    """The workers that sent the requests; empty if this machine sent them."""
    early_stop: EarlyStop | None = None
    """What the stop rule decided; `None` if the run has no stop rule."""
