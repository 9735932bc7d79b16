"""Computes the lexicon once for all test processes, for tests with a cache folder of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voicegauge.speech import lexicon_engine


def compute_once(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep the lexicon in `folder`, which several processes share, and copy it to each cache."""
    save = lexicon_engine.save_lexicon

    def copy(path: Path) -> None:
        kept = folder / path.name
        if not kept.exists():
            save(path)
            shutil.copy(path, part := folder / f"{path.parent.name}.part")
            part.replace(kept)  # another process may have done the same
            return
        shutil.copy(kept, path)

    patch.setattr(lexicon_engine, "save_lexicon", copy)
