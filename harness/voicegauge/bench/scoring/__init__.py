"""Transcribing the samples of a run and counting recognition errors."""
