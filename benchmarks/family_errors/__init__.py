"""Measures how often a run of equal targets has a false statement."""
