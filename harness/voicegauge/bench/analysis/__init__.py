"""Statistics over saved runs: summaries with intervals, cost, and comparison of two runs."""
