"""Computes the metrics of one saved run for a history of runs: one value for each target and metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec
import numpy as np

from voicegauge.bench.analysis import (
    DEFAULT_TEXT_LENGTH,
    TargetSamples,
    compute_target_cost,
    group_target_samples,
)
from voicegauge.errors import DataError
from voicegauge.model import Latency, Provenance, Record, Run, ScoreSet, TargetRef

HistoryMetric = Literal["total_latency_ms", "ttfa_ms", "wer", "cer", "failures", "usd_per_1m_characters"]
HistoryUnit = Literal["ms", "rate", "usd"]

_FAULTS_PREFIX = "faults "
MAX_OBSERVATION_COUNT = 2**53
"""Largest number of samples, words or characters that is accepted: a damaged run may contain any number."""

UNIT_BY_METRIC: dict[HistoryMetric, HistoryUnit] = {
    "total_latency_ms": "ms",
    "ttfa_ms": "ms",
    "wer": "rate",
    "cer": "rate",
    "failures": "rate",
    "usd_per_1m_characters": "usd",
}


class HistoryValue(Record, frozen=True, kw_only=True):
    """One metric of one target in one run."""

    metric: HistoryMetric
    value: float
    """Median time in milliseconds, share from 0 to 1, or US dollars per million characters."""
    observation_count: int = msgspec.field(name="n")
    """Number of samples; for error rates, of words or characters."""
    unit: HistoryUnit


class HistoryTarget(Record, frozen=True, kw_only=True):
    """One target of a run: its metrics, and what its contract stated at the time."""

    target_id: str = msgspec.field(name="target")
    contract_version: str
    contract_sha256: str
    price_text: str = msgspec.field(name="price")
    """The documented price as text, such as "$0.015 / request"."""
    metrics: tuple[HistoryValue, ...]


class HistoryRun(Record, frozen=True, kw_only=True):
    """The metrics of one run, and the facts that decide with which other runs they can be compared."""

    run_file_path: str = msgspec.field(name="path")
    """Path of the run's run.json, relative to the folder of the history."""
    run_id: str
    created_at: str
    """Time at which the run was started: UTC, in ISO 8601 format."""
    provenance: Provenance
    region: str | None
    """The region that the run names; `None` if it names none."""
    configuration_description: str = msgspec.field(name="setup")
    """The configuration of the run in words: suite, number of texts, load, faults and base URLs. Runs are comparable
    only if their configurations are the same."""
    scoring_description: str = msgspec.field(name="scoring")
    """ASR engine and normalizer of the error rates as text; empty if the run was not scored."""
    voicegauge_version: str = msgspec.field(name="voicegauge")
    """Version of voicegauge that measured the run."""
    targets: tuple[HistoryTarget, ...]

    @property
    def night(self) -> str:
        """The calendar day, UTC, on which the run was started, such as "2026-11-23"."""
        return self.created_at[:10]


def compute_run_metrics(run: Run, run_file_path: str) -> HistoryRun:
    """Return the metrics of every target of a run.

    Args:
        run: the run; its counted samples and newest scores are used.
        run_file_path: path of its run.json, relative to the folder of the history.

    Raises:
        DataError: the run has no sample, or the scores do not contain every sample of the run.
    """
    manifest = run.manifest
    scores = run.score_sets[-1] if run.score_sets else None
    if not any(sample.is_counted for sample in run.samples):
        reason = "nothing succeeded" if any(sample.failure for sample in run.samples) else "it was stopped too early"
        raise DataError(f"has no sample: {reason}")
    samples = group_target_samples(run, scores)
    return HistoryRun(
        run_file_path=run_file_path,
        run_id=manifest.run_id,
        created_at=datetime.fromisoformat(manifest.created_at).astimezone(UTC).isoformat(),
        provenance=manifest.provenance,
        region=manifest.region,
        configuration_description=_describe_configuration(run),
        scoring_description=_describe_scoring(scores),
        voicegauge_version=manifest.voicegauge_version,
        targets=tuple(
            _compute_target_metrics(samples[target.id], target, takes_audio=manifest.kind != "speech")
            for target in manifest.targets
        ),
    )


def has_injected_faults(configuration_description: str) -> bool:
    """Whether a configuration, as `HistoryRun` describes it, has faults that were injected into the emulator."""
    return any(part.startswith(_FAULTS_PREFIX) for part in configuration_description.split(", "))


def _describe_configuration(run: Run) -> str:
    manifest, suite = run.manifest, run.manifest.suite
    parts = [
        *([manifest.kind] if manifest.kind != "speech" else []),
        f"{suite.id}/{suite.version} ({suite.sha256[:8]})",
        f"{suite.text_count} texts",
        run.describe_load(),
        *(["HTTP/2"] if manifest.uses_http2 else []),
        *([f"{_FAULTS_PREFIX}{' + '.join(manifest.fault_ids)}"] if manifest.fault_ids else []),
        *(f"{name} at {url}" for name, url in sorted(manifest.base_urls.items())),
    ]
    return ", ".join(parts)


def _describe_scoring(scores: ScoreSet | None) -> str:
    if scores is None:
        return ""
    settings = "".join(f", {name} {value}" for name, value in sorted(scores.settings.items()))
    return f"{scores.asr}, {scores.normalizer}{settings}"


def _compute_target_metrics(target_samples: TargetSamples, target: TargetRef, *, takes_audio: bool) -> HistoryTarget:
    failures, samples = target_samples.count_failures_and_samples()
    is_streamed = any(sample.streaming is not None for sample in target_samples.samples)
    metrics = [
        _compute_median_time(target_samples, "total_latency_ms", lambda latency: latency.total_latency_ms),
        _compute_median_time(target_samples, "ttfa_ms", lambda latency: latency.ttfa_ms) if is_streamed else None,
        # Without any delivery there is no error rate, only failures.
        _compute_error_rate(target_samples, "wer") if failures < samples else None,
        _compute_error_rate(target_samples, "cer") if failures < samples else None,
        _build_history_value("failures", failures / samples, samples) if samples else None,
        # Targets that take audio are not priced by characters; a changed price is an event all the same.
        None if takes_audio else _compute_price(target_samples, target),
    ]
    return HistoryTarget(
        target_id=target.id,
        contract_version=target.contract_version,
        contract_sha256=target.contract_sha256,
        price_text=target.price.description,
        metrics=tuple(metric for metric in metrics if metric is not None),
    )


def _build_history_value(metric: HistoryMetric, value: float, sample_count: int) -> HistoryValue:
    if not math.isfinite(value) or sample_count > MAX_OBSERVATION_COUNT:
        raise DataError(f"{metric} is not a plausible number")
    return HistoryValue(metric=metric, value=float(value), observation_count=sample_count, unit=UNIT_BY_METRIC[metric])


def _compute_median_time(
    samples: TargetSamples, metric: HistoryMetric, select_time: Callable[[Latency], float | None]
) -> HistoryValue | None:
    times = [timed.time_ms for timed in samples.collect_times(select_time)]
    return _build_history_value(metric, float(np.median(times)), len(times)) if times else None


def _compute_error_rate(samples: TargetSamples, metric: Literal["wer", "cer"]) -> HistoryValue | None:
    counts = samples.count_errors_by_sample("word" if metric == "wer" else "character")
    units = sum(count.reference_units for count in counts)
    return _build_history_value(metric, sum(count.errors for count in counts) / units, units) if units else None


def _compute_price(samples: TargetSamples, target: TargetRef) -> HistoryValue | None:
    price = compute_target_cost(target, samples.samples, DEFAULT_TEXT_LENGTH).usd_per_1m_characters
    return None if price is None else _build_history_value("usd_per_1m_characters", price, len(samples.samples))
