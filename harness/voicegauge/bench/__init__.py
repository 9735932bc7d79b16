"""Benchmarks: what is planned, run, stored, scored, summed up and compared."""

from voicegauge.bench.result import BenchPlanResult, BenchResult, summarize_plan

__all__ = [
    "BenchPlanResult",
    "BenchResult",
    "summarize_plan",
]
