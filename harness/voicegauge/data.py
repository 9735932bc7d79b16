"""Where data lies: what ships with voicegauge (contracts, suites, fixtures), and what can be made again."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
CACHE_VARIABLE = "VOICEGAUGE_CACHE"
"""Environment variable: the folder for what can be made again."""


def data_dir(name: str) -> Path:
    """The folder `name` ("contracts", "benchmarks", "fixtures") of the wheel or of the checkout.

    A wheel carries the folders as package data; an editable install reads the
    checkout's own, so that an edit there is seen at once.
    """
    packaged = _PACKAGE / "data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / name


def cache_folder() -> Path:
    """The folder for what can be made again: VOICEGAUGE_CACHE, else one in the user's cache. It need not be there."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicegauge"
