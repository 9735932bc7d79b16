"""Folders of the data that is bundled with voicegauge (contracts, suites, fixtures), and of the cache."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
CACHE_VARIABLE = "VOICEGAUGE_CACHE"
"""Environment variable with the path of the cache folder."""


def data_dir(name: str) -> Path:
    """Return the folder `name` ("contracts", "benchmarks", "fixtures") of the wheel or the checkout.

    A wheel has the folders as package data. An editable install reads those of the checkout, so that edits take effect
    immediately.
    """
    packaged = _PACKAGE / "data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / name


def cache_folder() -> Path:
    """Return the cache folder: VOICEGAUGE_CACHE, else one in the user's cache folder. It may not exist yet."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicegauge"
