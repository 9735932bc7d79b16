"""Plans, runs and scores benchmarks, and computes the statistics of saved runs."""

from voicegauge.bench.bench_result import BenchPlanResult, BenchResult, summarize_bench_plan

__all__ = [
    "BenchPlanResult",
    "BenchResult",
    "summarize_bench_plan",
]
