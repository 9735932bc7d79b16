"""Benchmarks targets: plans the requests, sends them, and saves, scores and summarizes the run."""

from __future__ import annotations

from voicegauge.api.benchmark_run.benchmarking import benchmark
from voicegauge.api.benchmark_run.planning import plan_benchmark

__all__ = ["benchmark", "plan_benchmark"]
