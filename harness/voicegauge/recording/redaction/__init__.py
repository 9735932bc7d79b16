"""Keeping secrets and machine-specific URLs out of recordings."""
