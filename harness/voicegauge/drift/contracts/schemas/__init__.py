"""Comparing the JSON Schemas of two contracts."""
