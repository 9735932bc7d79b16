"""Frozen, typed records that all packages share: exchanges, findings, jobs, samples and runs."""
