"""Computes the lexicon once for all test processes, and reads it once in each: many tests have a cache of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voicegauge.speech import lexicon_engine


def compute_once(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep the lexicon in `folder`, which several processes share, and copy it to each cache."""
    save, read = lexicon_engine.save_lexicon, lexicon_engine._read_lexicon
    lexicon_by_name: dict[str, lexicon_engine.Lexicon] = {}

    def copy(path: Path) -> None:
        kept = folder / path.name
        if not kept.exists():
            save(path)
            shutil.copy(path, part := folder / f"{path.parent.name}.part")
            part.replace(kept)  # another process may have done the same
            return
        shutil.copy(kept, path)

    def read_once(path: Path) -> lexicon_engine.Lexicon:
        if path.name not in lexicon_by_name:  # a name has the digest of everything that determines the content
            lexicon_by_name[path.name] = read(path)
        return lexicon_by_name[path.name]

    patch.setattr(lexicon_engine, "save_lexicon", copy)
    patch.setattr(lexicon_engine, "_read_lexicon", read_once)
