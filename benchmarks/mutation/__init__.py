"""Faulty providers derived from contracts, and how many of them voicegauge finds."""
