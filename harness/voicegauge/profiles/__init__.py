"""Judges servers by profiles: published lists of requirements for any server that claims to have an API."""
