"""Where the data that ships with voicegauge lies: contracts, suites and fixtures."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """The folder `name` ("contracts", "benchmarks", "fixtures") of the wheel or of the checkout.

    A wheel carries the folders as package data; an editable install reads the
    checkout's own, so that an edit there is seen at once.
    """
    packaged = _PACKAGE / "data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / name
