"""Detects drift: how an API changed between two contracts, from a contract to traffic, or between two recordings.

Importing this package registers all drift rules.
"""

from voicegauge.drift import _extension_comparison, _rule_catalogue

__all__ = ["_extension_comparison", "_rule_catalogue"]
