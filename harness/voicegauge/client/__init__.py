"""Async client for any contract: submits, polls and downloads within a budget."""
