"""Loads SciPy, which only comparisons of runs need."""

from __future__ import annotations

import importlib
from typing import Any

from voicegauge.errors import MissingExtraError


def load_scipy(submodule: str) -> Any:
    """Import a submodule of SciPy, such as "stats".

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        return importlib.import_module(f"scipy.{submodule}")
    except ModuleNotFoundError as error:
        raise MissingExtraError("SciPy, which compares runs,", "bench") from error
