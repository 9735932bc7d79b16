"""Runs the loopback server in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK_SERVER_FILE = Path(__file__).with_name("loopback_server.py")
"""The script of the server, which needs nothing but Python."""


@contextmanager
def run_loopback_server() -> Iterator[str]:
    """Yield the base URL of a server that runs as long as the context.

    Raises:
        OSError: the server cannot be started.
    """
    with subprocess.Popen(
        [sys.executable, "-I", str(LOOPBACK_SERVER_FILE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise OSError("the loopback server has ended")
            yield f"http://127.0.0.1:{int(port)}"
        finally:
            process.stdin.close()  # which ends the server
            process.terminate()
