"""Conformance: documented examples, recordings, planned cases and fuzzing, judged by the checks."""
