"""Prepares benchmarks whose requests are sent by the workers of a Dask cluster, from several places."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from voicegauge.api.benchmark_planning import PlannedBenchmark, configure_load
from voicegauge.api.event_loop import run_coroutine
from voicegauge.bench.places import find_places
from voicegauge.bench.run_config import ClusterSettings, RunConfig, build_access_without_keys
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.model.run import MeasuringWorker, TimingError
from voicegauge.printable_text import format_count


def connect_to_places(
    planned_benchmark: PlannedBenchmark, emulator_settings: EmulatorSettings
) -> ClusterSettings | None:
    """Look which places a benchmark is measured from, and tell the listener; `None` if this machine measures it.

    Raises:
        MissingExtraError: Dask is not installed.
        UsageError: the cluster cannot be used, or has more places than there may be requests in flight.
    """
    request, listener = planned_benchmark.request, planned_benchmark.listener
    if request.dask_scheduler is None:
        return None
    places = run_coroutine(find_places(request.dask_scheduler))
    live = planned_benchmark.live_options
    listener.notice(f"measured from {format_count(len(places), 'place')}: {', '.join(places)}")
    if live is not None:
        listener.notice("LIVE: the workers send the keys of their own environments to these hosts, not this machine's")
    if request.warmup and request.warmup < len(places):
        listener.notice(
            f"{format_count(request.warmup, 'warm-up request')} for {len(places)} places: --warmup {len(places)} gives "
            "each place one"
        )
    return ClusterSettings(
        address=request.dask_scheduler,
        places=places,
        allowed_keys=tuple(live.allowed_keys) if live is not None else (),
        allows_insecure_http=live is not None and live.allow_insecure_http,
        emulator_settings=emulator_settings if live is None else None,
        on_notice=listener.notice,
    )


def build_cluster_config(
    planned_benchmark: PlannedBenchmark, cluster: ClusterSettings, max_cost_usd: float | None
) -> RunConfig:
    """Return the configuration of a run on a cluster. No key of this machine is read."""
    request, live = planned_benchmark.request, planned_benchmark.live_options
    contracts = {target.contract.id: target.contract for target in planned_benchmark.targets.values()}
    access = build_access_without_keys(
        list(contracts.values()),
        live.find_base_urls if live is not None else lambda _: {},
        live.account_plans if live is not None else (),
        is_live=live is not None,
    )
    config = RunConfig(
        planned_benchmark.plan,
        planned_benchmark.targets,
        access,
        request.concurrency,
        max_cost_usd,
        planned_benchmark.prices,
        planned_benchmark.voice_sample,
        retry_ambiguous=request.retry_ambiguous_requests,
        max_wait_s=request.max_wait_s,
        cluster=cluster,
        fault_ids=cluster.emulator_settings.faults if cluster.emulator_settings is not None else (),
    )
    return dataclasses.replace(configure_load(request, config), timing_probes=None)


def find_largest_timing_error(workers: Sequence[MeasuringWorker]) -> TimingError | None:
    """Return the largest error of the times of any worker; `None` if none is known."""
    errors = [one.timing_error for one in workers if one.timing_error is not None]
    return max(errors, key=lambda one: one.p99_error_ms, default=None)
