"""Runs the server of a benchmark in a process of its own, so that it does not share the interpreter with the client."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def running_server(module: str) -> Iterator[int]:
    """Run a module that prints its port, and yield the port."""
    process = subprocess.Popen([sys.executable, "-m", module], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
