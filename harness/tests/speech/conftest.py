from __future__ import annotations

from pathlib import Path

import pytest

from .tiny_whisper import convert, make_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("whisper") / "own.pt")


@pytest.fixture(scope="session")
def converted(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(checkpoint, tmp_path_factory.mktemp("converted") / "own")
