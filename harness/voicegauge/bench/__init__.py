"""Benchmarks: what is planned, run, stored, scored, summed up and compared."""
