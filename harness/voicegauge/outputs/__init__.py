"""Writes findings as JUnit XML, SARIF, GitHub annotations and badges, and handles baselines of accepted findings."""
