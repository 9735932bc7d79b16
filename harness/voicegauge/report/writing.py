"""From runs to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicegauge.bench.analysis import TEXT_LENGTH
from voicegauge.files import write_file
from voicegauge.model import Run
from voicegauge.report.gather import gather
from voicegauge.report.page import render_page


def write_report(runs: Sequence[tuple[Path, Run]], out: Path, *, characters: int = TEXT_LENGTH) -> Path:
    """Write `runs` as one HTML page that needs no other file and no network.

    Args:
        runs: each with the folder that its audio lies in.
        out: the file to write, whole or not at all.
        characters: text length at which prices are stated.

    Returns:
        The path written.

    Raises:
        DataError: there are no runs, or a run's scores lack a sample.
        UsageError: the file cannot be written.
    """
    write_file(out, render_page(gather(runs, characters=characters), runs).encode())
    return out
