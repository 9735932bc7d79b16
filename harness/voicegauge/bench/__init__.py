"""Plans, runs and scores benchmarks, and computes the statistics of saved runs."""
