"""Sends the rounds of one session as its run is configured: in a closed loop, at a fixed rate, or as a ramp."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voicegauge.bench.load import (
    ProviderLimit,
    RampStepListener,
    SampleCollector,
    SampleSender,
    send_closed_loop,
    send_open_loop,
    send_ramp,
)
from voicegauge.bench.planning import SampleRound
from voicegauge.bench.running.run_config import RunConfig
from voicegauge.model import RampResult
from voicegauge.transport import Clock


async def send_rounds(
    rounds: Sequence[SampleRound],
    config: RunConfig,
    send_sample: SampleSender,
    collect_samples: SampleCollector,
    *,
    clock: Clock,
    should_stop_sending: Callable[[], bool],
    on_ramp_step: RampStepListener,
) -> RampResult | None:
    """Send rounds as `config` says.

    Args:
        rounds: the samples that remain.
        config: the configuration of the run.
        send_sample: sends one sample.
        collect_samples: returns the samples of one step of a ramp.
        clock: the clock of due times and durations.
        should_stop_sending: returns whether no further sample is to be sent at a fixed rate.
        on_ramp_step: called when a step of a ramp begins.

    Returns:
        What a ramp found; `None` without one.
    """
    seed = config.plan.settings.seed
    if config.ramp_settings is not None:
        return await send_ramp(
            rounds,
            config.ramp_settings,
            send_sample,
            collect_samples,
            clock=clock,
            seed=seed,
            on_ramp_step=on_ramp_step,
        )
    if config.arrival_rate is None:
        await send_with_concurrency(rounds, config, send_sample)
    else:
        await send_open_loop(
            rounds, config.arrival_rate, send_sample, clock=clock, seed=seed, should_stop_sending=should_stop_sending
        )
    return None


async def send_with_concurrency(rounds: Sequence[SampleRound], config: RunConfig, send_sample: SampleSender) -> None:
    """Send rounds with as many requests in flight as `config` says, within the limits of account plans."""
    await send_closed_loop(rounds, config.concurrency, send_sample, limit_by_target=_find_provider_limits(config))


def _find_provider_limits(config: RunConfig) -> dict[str, ProviderLimit]:
    """Return, by target id, the limits of account plans."""
    limits = {name: access.max_concurrency for name, access in config.access_by_provider.items()}
    return {
        target.id: ProviderLimit(target.contract.id, limit)
        for target in config.targets.values()
        if (limit := limits[target.contract.id]) is not None
    }
