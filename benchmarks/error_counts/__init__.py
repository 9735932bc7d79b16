"""Compares error counts and normalized texts with those of other programs."""
