"""Reads data formats independently of contracts: JSON and form bodies, locations, SSE, YAML with line numbers."""
