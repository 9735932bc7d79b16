"""Builds the manifest of a run, which contains everything needed to interpret the run or to repeat it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata

from voicegauge.bench.running.run_config import RunConfig
from voicegauge.errors import UsageError
from voicegauge.model import RUN_SCHEMA_VERSION, Manifest
from voicegauge.version import __version__

_LIBRARIES_WITH_RECORDED_VERSION = ("httpx", "httpcore", "msgspec", "numpy", "soundfile", "jiwer")
"""Libraries whose version can influence a time, an error count or an interval."""
MAX_REGION_CHARACTERS = 40


def check_region(region: str | None) -> None:
    """Reject a name of a region that cannot be shown beside numbers; `None`, for no name, is accepted.

    Raises:
        UsageError: the name is empty, long, or has control characters or spaces at its ends.
    """
    if region is None:
        return
    if not region or region != region.strip() or not region.isprintable() or len(region) > MAX_REGION_CHARACTERS:
        raise UsageError(
            f"the region {region!r} cannot be used: name it with at most {MAX_REGION_CHARACTERS} characters, "
            "such as eu-central"
        )


def build_manifest(config: RunConfig, run_id: str, created_at: datetime, *, base_urls: Mapping[str, str]) -> Manifest:
    """Build the manifest of a run that is about to start.

    Args:
        config: plan, targets and access of the run.
        run_id: id of the run, unique among the runs of a folder.
        created_at: current time, with time zone.
        base_urls: base URLs set by the user, by "<provider>" or "<provider>/<server>".
    """
    plan, settings = config.plan, config.plan.settings
    return Manifest(
        schema_version=RUN_SCHEMA_VERSION,
        run_id=run_id,
        created_at=created_at.isoformat(timespec="seconds"),
        is_finished=False,
        voicegauge_version=__version__,
        provenance=plan.provenance,
        suite=plan.suite,
        kind=plan.run_kind,
        targets=plan.targets,
        sessions=settings.sessions,
        repetitions=settings.repetitions,
        warmup_request_count=settings.warmup,
        concurrency=config.concurrency,
        requests_per_s=config.arrival_rate.requests_per_s if config.arrival_rate is not None else None,
        arrival_process=config.arrival_rate.arrival_process if config.arrival_rate is not None else "constant",
        ramp_load_type=config.ramp_settings.load_type if config.ramp_settings is not None else None,
        uses_http2=config.uses_http2,
        timing_error=config.timing_error,
        seed=settings.seed,
        base_urls=dict(base_urls),
        fault_ids=tuple(sorted(set(config.fault_ids))),
        region=config.region,
        environment=collect_environment(),
        max_cost_usd=config.max_cost_usd,
        plan_sha256=plan.sha256,
    )


def collect_environment() -> dict[str, str]:
    """Return Python version, platform, processor, number of processors and library versions."""
    system = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "processors": str(os.cpu_count()),
    }
    return system | {name: metadata.version(name) for name in _LIBRARIES_WITH_RECORDED_VERSION}
