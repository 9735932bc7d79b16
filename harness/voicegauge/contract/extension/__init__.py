"""Defines the records of the `x-` keys, which describe what OpenAPI cannot."""
