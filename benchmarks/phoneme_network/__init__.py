"""Trains the phoneme network, with which voicegauge aligns a text to its audio."""
