"""Measures false alerts and found changes of `voicegauge history` on simulated nights whose truth is known."""
