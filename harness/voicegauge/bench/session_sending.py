"""Sends the rounds of one session as its run is configured: in a closed loop, at a fixed rate, or as a ramp."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from voicegauge.bench.benchmark_plan import SampleRound
from voicegauge.bench.load import (
    ProviderLimit,
    SampleSender,
    find_preparation_s,
    send_closed_loop,
    send_open_loop,
)
from voicegauge.bench.ramp import LoadGate, RampResultListener, RampStepListener, SampleCollector, send_ramp
from voicegauge.bench.run_config import RunConfig
from voicegauge.client.client import Client
from voicegauge.contract.contract import BaseSocketTarget, BaseTarget
from voicegauge.transport.clock import Clock


async def send_rounds(
    rounds: Sequence[SampleRound],
    config: RunConfig,
    send_sample: SampleSender,
    collect_samples: SampleCollector,
    *,
    clock: Clock,
    should_stop_sending: Callable[[], bool],
    load_gate: LoadGate,
    on_ramp_step: RampStepListener,
    on_step_result: RampResultListener,
) -> None:
    """Send all rounds with the load that `config` defines: closed loop, open loop or a ramp.

    Args:
        rounds: the samples that remain.
        config: the configuration of the run.
        send_sample: sends one sample.
        collect_samples: returns the samples of one step of a ramp.
        clock: the clock of due times and durations.
        should_stop_sending: returns whether no further sample is to be sent at a fixed rate.
        load_gate: the gate through which `send_sample` sends each request.
        on_ramp_step: called when a step of a ramp begins.
        on_step_result: called with what a ramp found so far before the first step and after each, and with its result.
    """
    seed = config.plan.settings.seed
    if config.ramp_settings is not None:
        result = await send_ramp(
            rounds,
            config.ramp_settings,
            send_sample,
            collect_samples,
            clock=clock,
            seed=seed,
            load_gate=load_gate,
            on_ramp_step=on_ramp_step,
            on_step_result=on_step_result,
        )
        on_step_result(result)
    elif config.arrival_rate is None:
        await send_with_concurrency(rounds, config, send_sample)
    else:
        await send_open_loop(
            rounds,
            config.arrival_rate,
            send_sample,
            clock=clock,
            seed=seed,
            should_stop_sending=should_stop_sending,
            preparation_s=find_preparation_s(clock),
        )


MAX_PREPARED_CONNECTIONS = 64
"""Number of connections that are opened in advance at the most."""


async def prepare_connections_of_targets(
    targets: Iterable[BaseTarget], clients: Mapping[str, Client], request_count: int
) -> None:
    """Open connections for `request_count` requests in flight, which the targets share equally.

    Opening one takes the service time that no request should show, and none is sent on it. Turns over WebSockets open
    their own connections.
    """
    speaking = [target for target in targets if not isinstance(target, BaseSocketTarget)]
    count_by_server = Counter((target.contract.id, target.operation.server.name) for target in speaking)
    operations = {(target.contract.id, target.operation.server.name): target.operation for target in speaking}
    async with asyncio.TaskGroup() as tasks:
        for (provider, server), target_count in count_by_server.items():
            share = min(math.ceil(request_count * target_count / len(speaking)), MAX_PREPARED_CONNECTIONS)
            tasks.create_task(clients[provider].prepare_connections(operations[provider, server], share))


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
