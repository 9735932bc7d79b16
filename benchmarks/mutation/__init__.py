"""Faulty providers made from contracts, and how many of them voicegauge finds."""
