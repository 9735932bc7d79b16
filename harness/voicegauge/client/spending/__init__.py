"""Bounded spending: the ledger, a budget shared between processes, and rate limits."""
