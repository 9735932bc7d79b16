"""Stated times of words compared with the audio: how many planted defects are found, and how many true ones accused."""
