"""Transcription on a GPU."""
