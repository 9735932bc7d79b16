"""Forked processes that write their result to a pipe."""

from __future__ import annotations

import os
from collections.abc import Callable


def fork(task: Callable[[int], None]) -> tuple[int, int]:
    """Run `task` in a forked process of a process group of its own, without output.

    Args:
        task: is called with the end of the pipe to write to. The exit status is 0 if it returns.

    Returns:
        The id of the process, and the end of the pipe to read from.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        os.setpgid(0, 0)
        os.close(reading)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (1, 2):
            os.dup2(nothing, descriptor)
        task(writing)
        status = 0
    finally:
        os._exit(status)
