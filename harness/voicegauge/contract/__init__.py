"""Loads and checks contracts: OpenAPI 3.1 documents with additional `x-` keys, which describe providers."""
