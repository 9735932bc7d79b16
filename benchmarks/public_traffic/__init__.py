"""Judges recordings that other projects have published, and counts what is found in them."""
