"""Benchmarks: what is planned, run, stored, scored, summed up and compared."""

from voicegauge.bench.result import BenchResult, priced

__all__ = [
    "BenchResult",
    "priced",
]
