"""Runs voicegauge commands as real processes. A server that has imported voicegauge forks them, which saves seconds."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import NamedTuple

LIMIT_S = 120.0
"""Time limit of one command."""
_TICK_S = 0.005


class Moment(NamedTuple):
    """The moment of a kill: some time after a condition holds."""

    is_reached: Callable[[], bool]
    delay_s: float


class Command:
    """A running command."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        """Start `voicegauge` with `arguments` and more environment variables. Its error output is kept in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._errors = folder / "errors.txt"
        run = (list(arguments), dict(environment), str(self._errors))
        self._process = _server().Process(target=_run_command, args=run)
        self._process.start()

    def kill(self, moment: Moment) -> bool:
        """Kill the process at a moment; return whether it still ran then."""
        deadline_s = time.monotonic() + LIMIT_S
        while self._process.is_alive() and not moment.is_reached():
            if time.monotonic() > deadline_s:
                break
            time.sleep(_TICK_S)
        self._process.join(moment.delay_s)
        if not self._process.is_alive():
            return False
        self._process.kill()
        self._process.join()
        return self._process.exitcode == -signal.SIGKILL

    def finish(self, statuses: Collection[int] = (0,)) -> int:
        """Wait for the end of the command, and return its exit status.

        Raises:
            RuntimeError: the command did not end in time, or not with one of `statuses`.
        """
        self._process.join(LIMIT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
            raise RuntimeError(f"the command did not end within {LIMIT_S:g} s")
        status = self._process.exitcode
        if status is None or status not in statuses:
            with contextlib.suppress(OSError):
                print(self._errors.read_text()[-2000:], file=sys.stderr)
            raise RuntimeError(f"the command failed with {status}")
        return status


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["crashes.commands", "voicegauge.api.checking", "voicegauge.api.benchmarking", "voicegauge.cli", *_PRELOADED]
    )
    return context


_PRELOADED = (
    *(
        "scipy.stats",
        "rich.table",
        "rich.progress",
        "soundfile",
        "voicegauge.report.html_page",
        "voicegauge.cli._bench_tables",
    ),
    *(f"voicegauge.cli.{name}" for name in ("bench", "check", "recordings")),
)


def _run_command(arguments: list[str], environment: dict[str, str], errors: str) -> None:
    """Run a command in the forked process."""
    from voicegauge.cli import run

    os.environ.update(environment)
    with open(errors, "wb") as file, open(os.devnull, "wb") as nothing:  # noqa: PTH123 - descriptors are needed
        os.dup2(nothing.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(run(arguments) or 0)
