"""Loads saved runs."""

from __future__ import annotations

from pathlib import Path

from voicegauge.api.options import PathLike
from voicegauge.bench import running
from voicegauge.model import Run


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
    """
    return running.load_run(Path(path))
