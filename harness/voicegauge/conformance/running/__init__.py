"""Sending planned cases to a service, within a budget, and judging the responses."""
