"""Defines the configuration, the stop signal and the outcome of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from voicegauge.bench.load import ArrivalRate, RampSettings
from voicegauge.bench.planning import BenchPlan
from voicegauge.bench.running.provider_access import ProviderAccess
from voicegauge.bench.stopping import StopRule
from voicegauge.contract import BaseTarget
from voicegauge.errors import VoicegaugeError
from voicegauge.model import AmbiguousRequest, EarlyStop, OpenJob, RampResult, Sample, TimingError, VoiceSample
from voicegauge.transport import Clock, Transport

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
    retry_ambiguous: bool = False
    """Whether samples of a resumed run are bought again if their last request was ambiguous."""
    max_wait_s: float | None = None
    """Maximum time of one delivery in seconds; `None` for as long as the contract documents."""
    ramp_settings: RampSettings | None = None
    """Settings of a ramp, which ends when it has found the highest load; `None` to send the whole plan."""
    stop_rule: StopRule | None = None
    """Ends sampling when the targets are known to differ; `None` to send the whole plan."""
    timing_error: TimingError | None = None
    """The measured error of times; `None` if it is not known."""
    region: str | None = None
    """Where the run is measured from, as the user named it; `None` if it is not named."""
    fault_ids: tuple[str, ...] = ()
    """Ids of the faults that the emulator injects."""
    arrival_rate: ArrivalRate | None = None
    """Rate at which requests are sent, however many are in flight; `None` to send one when an earlier one ends."""
    uses_http2: bool = False
    """Whether `open_transport` opens connections with HTTP/2, where a server supports it."""
    open_transport: Callable[[], Transport] = open_transport_with_spaced_requests
    """Function that opens the connections of one session."""
    clock: Clock | None = None
    """Clock for waits between polls and retries; by default the real clock."""


class StopSignal:
    """A request to end a run early: no new HTTP request is sent, and the ones in flight are completed."""

    def __init__(self) -> None:
        self.requested = False
        self.error: VoicegaugeError | None = None
        """The error that is the reason to stop; `None` if the user stopped the run."""

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
    early_stop: EarlyStop | None = None
    """What the stop rule decided; `None` if the run has no stop rule."""
