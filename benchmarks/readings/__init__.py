"""Accepted readings of written text: how many are accepted, and how many with another digit are rejected."""
