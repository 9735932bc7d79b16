"""Defines the version of this package, which saved records and the User-Agent header state."""

from __future__ import annotations

__version__ = "0.1.0"
