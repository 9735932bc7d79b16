"""Packages of PyPI that a test runs and that nobody else here needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INSTALL_LIMIT_S = 240


def install_python_packages(folder: Path, *packages: str) -> None:
    """Install packages of PyPI with all that they depend on in `folder`, which a test names in PYTHONPATH.

    The test is skipped if the index does not respond. No extra has them, because their dependencies would
    restrict the versions of ours.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target", str(folder)]
    try:
        done = subprocess.run(
            [*command, *packages], capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the package index does not respond")
    if done.returncode:
        pytest.skip(f"pip cannot install {' '.join(packages)}: {done.stderr[-200:]}")
