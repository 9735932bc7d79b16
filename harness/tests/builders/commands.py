"""Starts voicegauge commands as processes that tests can kill, without importing the library for each of them.

This file is also the program that does it: it imports the library once, and makes a process for each command by
`fork`, which takes a tenth of the time of a new interpreter. The processes read no standard input, and write what they
print nowhere or into a file.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PRELOADED = (
    "openapi_spec_validator",
    "soundfile",
    "voicegauge.api.recording",
    "voicegauge.api.result_files",
    "voicegauge.cli.check",
    "voicegauge.cli.documents",
)
"""What most commands of tests import, also late: an import after the fork is repeated in each process."""


class RunningCommand:
    """A voicegauge command in a process of its own. As a context manager, it waits for the end."""

    def __init__(self, arguments: Sequence[str], *, output: Path | None = None) -> None:
        """Start `voicegauge` with `arguments`, in the folder and with the environment of the test.

        Both output streams are appended to the file `output`, if it is given.
        """
        command = {
            "arguments": [*arguments],
            "folder": str(Path.cwd()),
            "environment": {**os.environ},
            "output": str(output or os.devnull),
        }
        self.pid: int = _ask("start", command)

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; `None` if the process runs."""
        status: int | None = _ask("poll", self.pid)
        return status

    def wait(self) -> int:
        """Wait for the end of the process, and return its exit status, negative for a signal."""
        status: int = _ask("wait", self.pid)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the process."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the end of the process."""
        self.wait()


def _ask(question: str, value: Any) -> Any:
    server = _start_server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps([question, value]) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


@functools.cache
def _start_server() -> subprocess.Popen[str]:
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)  # the end of its input ends it
    return server


def _run_command(arguments: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream, file in enumerate((os.open(os.devnull, os.O_RDONLY), written, written)):
        os.dup2(file, stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["voicegauge", *arguments]
    runpy.run_module("voicegauge", run_name="__main__", alter_sys=True)


def _serve() -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process with other threads must not fork
    for name in PRELOADED:
        __import__(name)
    status_by_pid: dict[int, int] = {}
    for line in sys.stdin:
        question, value = json.loads(line)
        answer: int | None
        if question == "start":
            answer = os.fork()
            if answer == 0:
                _run_command(**value)
        else:
            if value not in status_by_pid:
                pid, status = os.waitpid(value, 0 if question == "wait" else os.WNOHANG)
                if pid:
                    status_by_pid[pid] = os.waitstatus_to_exitcode(status)
            answer = status_by_pid.get(value)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
