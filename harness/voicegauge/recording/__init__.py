"""Saves traffic without secrets in HAR files that state its provenance, and replays, imports and exports such files."""
