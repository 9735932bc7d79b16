"""Building requests: neutral speech requests mapped to a contract, keys, and curl commands."""
