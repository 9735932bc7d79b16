"""The manifest of a run: all that a reader needs to judge it or to repeat it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata

from voicegauge.bench.running.runner import RunConfig
from voicegauge.model import RUN_SCHEMA_VERSION, Manifest
from voicegauge.version import __version__

_LIBRARIES = ("httpx", "httpcore", "msgspec", "numpy", "scipy", "soundfile", "jiwer")
"""What a time, an error count or an interval may depend on."""


def make_manifest(order: RunConfig, run_id: str, created: datetime, *, base_urls: Mapping[str, str]) -> Manifest:
    """The manifest of a run that has just begun.

    Args:
        order: what is carried out.
        run_id: unique among the runs of a folder.
        created: an aware time.
        base_urls: where the user points elsewhere, by the contract's server name or "".
    """
    plan, settings = order.plan, order.plan.settings
    provider = next(iter(order.access), "")
    return Manifest(
        schema_version=RUN_SCHEMA_VERSION,
        run_id=run_id,
        created_at=created.isoformat(timespec="seconds"),
        finished=False,
        voicegauge=__version__,
        provenance=plan.provenance,
        suite=plan.suite,
        kind=plan.kind,
        targets=plan.targets,
        sessions=settings.sessions,
        repetitions=settings.repetitions,
        warmup=settings.warmup,
        concurrency=order.concurrency,
        seed=settings.seed,
        base_urls={f"{provider}/{server}".rstrip("/"): url for server, url in base_urls.items()},
        environment=environment(),
        max_cost_usd=order.max_cost_usd,
        plan_sha256=plan.sha256,
    )


def environment() -> dict[str, str]:
    """Python, platform, processors, and the versions of the libraries that matter."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "processors": str(os.cpu_count()),
    }
    return found | {name: metadata.version(name) for name in _LIBRARIES}
