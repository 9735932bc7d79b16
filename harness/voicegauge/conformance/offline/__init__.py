"""Checks that need no service: documented examples and recordings."""
