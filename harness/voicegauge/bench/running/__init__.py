"""Running a benchmark plan: sending requests, the journal, timings and the saved run."""
