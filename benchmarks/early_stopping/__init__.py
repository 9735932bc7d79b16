"""Measures how often `bench --stop-when-decided` decides wrongly, and how many requests it saves."""
