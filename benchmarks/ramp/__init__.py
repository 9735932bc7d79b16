"""Ramps simulated servers of known capacity."""
