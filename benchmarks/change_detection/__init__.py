"""Measures false alarms and detected changes of `voicegauge compare` on simulated runs whose truth is known."""
