"""The pytest plugin: options and fixtures to test a provider from one's own test files.

Nothing heavy is imported here: pytest loads this module in every run of whoever
has voicegauge installed.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, all with the prefix `--vg-`."""
    group = parser.getgroup("voicegauge", "conformance of speech APIs")
    group.addoption("--vg-target", action="append", default=[], metavar="TARGET", help="only these targets")
    group.addoption("--vg-live", action="store_true", help="ask live services, keys from the environment")
    group.addoption("--vg-seed", type=int, default=0, metavar="N", help="makes everything random repeatable")
    group.addoption("--vg-contracts", action="append", default=[], metavar="DIR", help="your own contracts")
