"""Fuzzing of everything that reads a stranger's bytes: files, recordings, audio, streams."""
