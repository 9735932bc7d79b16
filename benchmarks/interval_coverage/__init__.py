"""Measures how often the intervals of a run contain the true number."""
