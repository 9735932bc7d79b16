"""Runs conformance checks: applies rules to documented examples, recordings, planned cases and random requests."""
