"""Loads saved runs."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voicegauge.api.options import PathLike
from voicegauge.bench import running
from voicegauge.errors import UsageError
from voicegauge.model import Run


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Switch the garbage collector off while the context lasts.

    The records of a run form no reference cycles, and the search for cycles takes a sixth of the time of loading.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def load_run(path: PathLike) -> Run:
    """Load a saved run.

    >>> run = voicegauge.load_run(saved_run)
    >>> run.manifest.provenance.value
    'emulated'

    Args:
        path: the run's folder, or its run.json.

    Returns:
        The manifest, the samples and the scores; its `to_data_frame()` returns a row per sample. If the process that
        measured the run was killed, the samples are read from the run's journal.

    Raises:
        DataError: the run is missing, is damaged, or has another version of the format.
        UsageError: `path` is not a path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError(f"load_run takes the path of a run's folder or of its run.json, not {type(path).__name__}")
    return running.load_run(Path(path))
