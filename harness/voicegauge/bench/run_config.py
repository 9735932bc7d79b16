"""Defines how a run is sent, what its result contains, and when it ends early because targets are known to differ.

A run ends early by the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences" (Annals of Statistics 52(6), 2024, theorem 2.2): with a
probability of 1 - alpha, the mean lies in every interval that is computed while observations arrive. An ordinary
confidence interval is valid for one number of observations only, which must be chosen before.

Targets are compared by the total latency of the same text in the same round, so that variation that they share cancels
out. Pairs are added in the order of the plan. In the order in which they finish, slow requests would be added last, and
the decision would come without them.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from voicegauge.bench import DEFAULT_EQUIVALENCE_MARGIN
from voicegauge.bench.benchmark_plan import BenchPlan, SampleRound
from voicegauge.bench.ramp import Goal
from voicegauge.bench.request_building import DeliverySettings
from voicegauge.bench.timing_error import TimingProbes
from voicegauge.client.client import Client
from voicegauge.client.connection import RateLimiter, create_rate_limiter, find_account_plan_limits, read_permitted_key
from voicegauge.client.daily_spending import DailyBudget
from voicegauge.client.ledger import Ledger
from voicegauge.contract.contract import BaseSocketTarget, BaseTarget, Contract
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator
from voicegauge.errors import VoicegaugeError
from voicegauge.model.base import Provenance, TextPacing, VoiceSample
from voicegauge.model.exchange import AmbiguousRequest, OpenJob
from voicegauge.model.ramp import EarlyStop, RampResult, TargetDecision
from voicegauge.model.run import MeasuringWorker, TimingError
from voicegauge.model.sample import Sample
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import HAS_PACKET_TIMES, Clock

# Computes an interval of a mean that is valid after every observation, so that sampling may stop at any time.


MIN_OBSERVATIONS_FOR_INTERVAL = 20
"""Smallest number of observations for which an interval is computed, because it is an asymptotic one."""


class ConfidenceSequence:
    """A confidence sequence: an interval of the mean of the observations so far."""

    def __init__(self, alpha: float, tightest_observation_count: int) -> None:
        """Create a sequence that has no observations yet.

        Args:
            alpha: probability that the interval ever excludes the true mean.
            tightest_observation_count: number of observations at which the interval is tightest. It is chosen before
                the first observation.
        """
        self._alpha = alpha
        # The parameter of the mixture that is best for one number of observations (the same paper, appendix B.2).
        log_odds = -2 * math.log(alpha)
        self._mixture = (log_odds + math.log(log_odds + 1)) / max(
            tightest_observation_count, MIN_OBSERVATIONS_FOR_INTERVAL
        )
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add_observation(self, observation: float) -> None:
        """Include one more observation in the mean and the variance."""
        # Welford's algorithm: a sum of squares less the square of the sum would lose digits.
        self.count += 1
        deviation = observation - self.mean
        self.mean += deviation / self.count
        self._squares += deviation * (observation - self.mean)

    def compute_interval(self) -> tuple[float, float] | None:
        """Return the lower and the upper bound of the confidence interval of the mean.

        The result is `None` with fewer than `MIN_OBSERVATIONS_FOR_INTERVAL` observations.
        """
        if self.count < MIN_OBSERVATIONS_FOR_INTERVAL:
            return None
        deviation = math.sqrt(self._squares / (self.count - 1))
        growth = self.count * self._mixture + 1
        # Theorem 2.2. It holds asymptotically, because the standard deviation is estimated. Sequences that hold for any
        # number of observations, such as empirical Bernstein bounds of the clipped ratios, are wider, so that sampling
        # would end later.
        margin = math.sqrt(2 * growth / (self.count**2 * self._mixture) * math.log(math.sqrt(growth) / self._alpha))
        return self.mean - deviation * margin, self.mean + deviation * margin


# Ends sampling as soon as each target is known to be faster, slower or as fast as the one that it is compared with.


EARLY_STOP_ALPHA = 0.01
"""Probability that the decision about any target is wrong, however often the targets are compared."""
MAX_UNCLIPPED_LOG_RATIO = math.log(2)
"""Largest absolute log ratio of a pair; larger ones are clipped, so that a single outlier does not widen the
interval."""


class StopRule:
    """Decides when a run may stop early.

    It compares each target with the baseline target while samples arrive, until every comparison is decided.
    """

    def __init__(
        self,
        rounds: Sequence[SampleRound],
        baseline_target: str,
        *,
        equivalence_margin: float = DEFAULT_EQUIVALENCE_MARGIN,
    ) -> None:
        """Create a rule that has no samples yet.

        Args:
            rounds: all planned requests, in the order of sending.
            baseline_target: id of the target that the others are compared with.
            equivalence_margin: relative difference of total latency that does not matter; 0.1 is 10%.
        """
        self._baseline, self._margin = baseline_target, equivalence_margin
        self._planned_requests = sum(map(len, rounds))
        targets = dict.fromkeys(one.target for row in rounds for one in row if one.target != baseline_target)
        # Each target gets an equal part of the probability of a wrong decision (Bonferroni).
        self._comparisons = [
            _TargetComparison(
                target,
                _pair_sample_ids(rounds, baseline_target, target),
                EARLY_STOP_ALPHA / len(targets),
                equivalence_margin,
            )
            for target in targets
        ]
        self._log_latency_by_sample: dict[str, float | None] = {}

    @property
    def is_decided(self) -> bool:
        """Whether every comparison is decided, so that nothing more needs to be sent."""
        return all(comparison.decision is not None for comparison in self._comparisons)

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Pair finished samples of other targets with those of the baseline target, and leave out pairs that failed."""
        for sample in samples:
            total_ms = sample.latency.total_latency_ms if sample.latency and sample.failure is None else None
            self._log_latency_by_sample[sample.id] = math.log(total_ms) if total_ms else None
        for comparison in self._comparisons:
            comparison.add_finished_pairs(self._log_latency_by_sample)

    def build_early_stop(self, request_count: int) -> EarlyStop:
        """Return what is decided about the targets after `request_count` requests of the run."""
        return EarlyStop(
            baseline_target=self._baseline,
            equivalence_margin=self._margin,
            false_decision_probability=EARLY_STOP_ALPHA,
            has_stopped_early=self.is_decided and request_count < self._planned_requests,
            sent_request_count=request_count,
            planned_request_count=self._planned_requests,
            targets=tuple(comparison.build_decision() for comparison in self._comparisons),
        )


def _pair_sample_ids(rounds: Sequence[SampleRound], baseline_target: str, target: str) -> list[tuple[str, str]]:
    """Return, for each round, the ids of the samples of the baseline target and of the target, without warm-up."""
    pairs = []
    for row in rounds:
        ids = {one.target: one.id for one in row if not one.is_warmup}
        if baseline_target in ids and target in ids:
            pairs.append((ids[baseline_target], ids[target]))
    return pairs


class _TargetComparison:
    """Compares one target with the baseline target until there is a decision, which is final."""

    def __init__(
        self, target: str, sample_id_pairs: list[tuple[str, str]], alpha: float, equivalence_margin: float
    ) -> None:
        self._target, self._pairs, self._limit = target, sample_id_pairs, math.log1p(equivalence_margin)
        # Tightest halfway: an interval that is tightest at the end would hardly ever decide before.
        self._sequence = ConfidenceSequence(alpha, tightest_observation_count=len(sample_id_pairs) // 2)
        self._next_pair = 0
        """Index of the first pair that is not added yet."""
        self.decision: str | None = None
        """"slower", "faster" or "equal"; `None` as long as nothing is decided."""

    def add_finished_pairs(self, log_latency_by_sample: dict[str, float | None]) -> None:
        """Add the next pairs of samples, as long as both samples are finished and nothing is decided.

        Args:
            log_latency_by_sample: logarithm of the total latency in milliseconds by sample id; `None` for a failed
                sample.
        """
        while self.decision is None and self._next_pair < len(self._pairs):
            before, after = self._pairs[self._next_pair]
            if before not in log_latency_by_sample or after not in log_latency_by_sample:
                return
            self._next_pair += 1
            old, new = log_latency_by_sample[before], log_latency_by_sample[after]
            if old is not None and new is not None:
                self._sequence.add_observation(min(max(new - old, -MAX_UNCLIPPED_LOG_RATIO), MAX_UNCLIPPED_LOG_RATIO))
                self.decision = self._decide()

    def _decide(self) -> str | None:
        interval = self._sequence.compute_interval()
        if interval is None:
            return None
        low, high = interval
        if low > 0:
            return "slower"
        if high < 0:
            return "faster"
        return "equal" if -self._limit < low and high < self._limit else None

    def build_decision(self) -> TargetDecision:
        """Return what is decided about the target, with the present interval of its relative change."""
        interval = self._sequence.compute_interval()
        return TargetDecision(
            target=self._target,
            decision=self.decision,  # type: ignore[arg-type]  # one of the words of `_decide`
            pair_count=self._sequence.count,
            latency_change=math.expm1(self._sequence.mean) if self._sequence.count else None,
            change_lower_bound=math.expm1(interval[0]) if interval else None,
            change_upper_bound=math.expm1(interval[1]) if interval else None,
        )


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
    access = build_access_without_keys(contracts, find_base_urls, account_plan_names)
    return {
        contract.id: replace(
            access[contract.id],
            api_key=read_permitted_key(contract, access[contract.id].base_urls, allowed_keys),
        )
        for contract in contracts
    }


def build_access_without_keys(
    contracts: Sequence[Contract],
    find_base_urls: Callable[[Contract], Mapping[str, str]],
    account_plan_names: Collection[str] = (),
) -> dict[str, ProviderAccess]:
    """Return the base URLs and limits of live services by provider id, for requests that other machines send.

    The other machines have their own keys. The arguments are those of `build_live_access`.

    Raises:
        UnknownNameError: no provider has a plan of that name.
    """
    limits = find_account_plan_limits(contracts, account_plan_names)
    base_urls = {contract.id: find_base_urls(contract) for contract in contracts}
    return {
        contract.id: ProviderAccess(
            base_urls[contract.id],
            None,
            limits[contract.id].max_concurrent_requests,
            create_rate_limiter(limits[contract.id], base_urls[contract.id]),
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

    Args:
        contracts: the contracts of the providers.
        access_by_provider: keys, base URLs and rate limiters, by provider id.
        transport: an open transport; the caller closes it.
        ledgers: the budgets from which requests are paid, by provider id; a provider without one costs nothing.
        seed: seed of random waits between attempts.
        clock: clock for waits between polls and retries; `None` for the real one.
        max_wait_s: maximum time of one delivery in seconds; `None` for as long as the contract documents.
        staggers_polls: whether polls of similar jobs are sent at different ages; see `ProviderConnection`.

    Returns:
        The clients by provider id.
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


MAX_PREPARED_CONNECTIONS = 64
"""Largest number of connections to one server that are opened in advance."""


async def prepare_connections_of_targets(
    targets: Iterable[BaseTarget], clients: Mapping[str, Client], request_count: int
) -> None:
    """Open connections for `request_count` requests in flight, which the targets share equally.

    Opening a connection takes time that should not count as latency. No request is sent. Turns over WebSockets open
    their own connections.
    """
    speaking = [target for target in targets if not isinstance(target, BaseSocketTarget)]
    count_by_server = Counter((target.contract.id, target.operation.server.name) for target in speaking)
    operations = {(target.contract.id, target.operation.server.name): target.operation for target in speaking}
    async with asyncio.TaskGroup() as tasks:
        for (provider, server), target_count in count_by_server.items():
            share = min(math.ceil(request_count * target_count / len(speaking)), MAX_PREPARED_CONNECTIONS)
            tasks.create_task(clients[provider].prepare_connections(operations[provider, server], share))


# Defines the configuration, the stop signal and the outcome of a run.


MIN_SEND_INTERVAL_S = 0.002
"""Minimum time between the starts of two requests, in seconds, where the operating system does not say when bytes
arrived. Sending a request takes a millisecond of work, during which the response to another one would be noticed late.
"""
MAX_REQUESTS_IN_FLIGHT_AT_FIXED_RATE = 512
"""Maximum number of requests in flight of a run at a fixed rate. At this number, no request is sent until one ends."""


def open_benchmark_transport(*, uses_http2: bool = False) -> Transport:
    """Open the connections of a benchmark.

    Its requests begin at least `MIN_SEND_INTERVAL_S` apart if the times of packets are not known.

    Raises:
        MissingExtraError: HTTP/2 is requested and not installed.
    """
    has_packet_times = HAS_PACKET_TIMES and not uses_http2  # requests with HTTP/2 share a connection
    return Transport(
        min_send_interval_s=0.0 if has_packet_times else MIN_SEND_INTERVAL_S,
        max_connections=MAX_REQUESTS_IN_FLIGHT_AT_FIXED_RATE,
        http2=uses_http2,
    )


class ArrivalRate(NamedTuple):
    """The rate at which requests are sent to each target, even if earlier requests have not ended."""

    requests_per_s: float
    arrival_process: Literal["constant", "poisson"] = "constant"
    """Whether requests are sent in equal intervals or as a Poisson process."""


class RampSettings(NamedTuple):
    """What a ramp raises, the goal that must be met, and the highest load that it tries."""

    load_type: Literal["concurrency", "rate"]
    goal: Goal
    max_load: float
    """The highest load that may be tried."""
    arrival_process: Literal["constant", "poisson"] = "constant"
    """How requests are spaced if the ramp raises a rate; see `ArrivalRate`."""


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
    """Whether a key may be sent unencrypted to another machine."""
    emulator_settings: EmulatorSettings | None = None
    """Settings of the emulator that each worker starts; `None` to measure live services."""
    on_notice: Callable[[str], None] = lambda _: None
    """Called with each notice about the workers that the user should read."""


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
    """The budgets of a day, which all commands share, by provider id; empty without a budget."""
    max_cost_usd_by_provider: Mapping[str, float] = field(default_factory=dict)
    """Parts of the budget, in dollars, that single providers may use up, by provider id."""
    retry_ambiguous: bool = False
    """Whether samples of a resumed run are bought again if their last request was ambiguous."""
    max_wait_s: float | None = None
    """Maximum time of one delivery in seconds; `None` for as long as the contract documents."""
    ramp_settings: RampSettings | None = None
    """Settings of a ramp, which ends when it has found the highest load; `None` to send the whole plan."""
    stop_rule: StopRule | None = None
    """Ends sampling when each target is known to be faster, slower or as fast as the baseline target; `None` to send
    the whole plan."""
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
    open_transport: Callable[[], Transport] = open_benchmark_transport
    """Function that opens the connections of one session."""
    clock: Clock | None = None
    """Clock for waits between polls and retries; by default the real clock."""

    @property
    def delivery_settings(self) -> DeliverySettings:
        """The part of the configuration that says how samples are requested."""
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
        # A price that is not known is not 0.
        return self.plan.provenance is not Provenance.EMULATED and any(
            (planned.price.price_usd, planned.price.reserved_usd) != (0, 0)
            for row in self.plan.rounds
            for planned in row
        )


class StopSignal:
    """A request to end a run early: no new HTTP request is sent, and the ones in flight are completed."""

    def __init__(self) -> None:
        self.requested = False
        """Whether a stop was requested."""
        self.error: VoicegaugeError | None = None
        """The error that is the reason to stop; `None` if the user stopped the run."""
        self.is_time_over = False
        """Whether the user stopped the run by a time limit."""

    def request_stop(self, error: VoicegaugeError | None = None) -> None:
        """Request the stop because of `error`; `None` if the user stops. The first of several errors is reported."""
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
    """Result of the ramp; `None` if the run is not a ramp."""
    timing_error: TimingError | None = None
    """The measured error of times; `None` if it is not known."""
    workers: tuple[MeasuringWorker, ...] = ()
    """The workers that sent the requests; empty if this machine sent them."""
    early_stop: EarlyStop | None = None
    """What the stop rule decided; `None` if the run has no stop rule."""
