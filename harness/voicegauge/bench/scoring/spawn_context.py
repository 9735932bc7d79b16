"""Spawns worker processes that import neither the caller's script nor modules in the current folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType


class _IsolatedProcess(SpawnProcess):
    """A spawned process that does not run the main module of its parent again.

    `multiprocessing` imports the parent's script in each worker. If that script has no `if __name__ == "__main__"`,
    the workers would run the benchmark again, and a live benchmark would be paid for again.
    """

    def start(self) -> None:
        """Start the process."""
        with _hide_main_module_from_children():
            super().start()


@contextmanager
def exclude_current_folder_from_import_path() -> Iterator[None]:
    """Keep the current folder out of the import path of all Python processes that are started in this context.

    The folder may be a stranger's repository, and `multiprocessing` imports its own modules in a new process before it
    sets the import path of the parent.
    """
    variable = "PYTHONSAFEPATH"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


class IsolatedSpawnContext(SpawnContext):
    """A `multiprocessing` context whose processes do not import the caller's script."""

    Process = _IsolatedProcess


@contextmanager
def _hide_main_module_from_children() -> Iterator[None]:
    """Replace the main module, while the context lasts, by an empty module that has no file to import."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
