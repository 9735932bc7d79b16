from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..builders.audio import encode_each_time
from ..builders.embedded_weights import unpack_each_time
from .tiny_whisper import convert, make_checkpoint


@pytest.fixture(scope="module", autouse=True)
def audio_is_encoded_each_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        encode_each_time(patch)
        yield


@pytest.fixture(scope="module", autouse=True)
def embedded_weights_are_unpacked_each_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        unpack_each_time(patch)
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("whisper") / "own.pt")


@pytest.fixture(scope="session")
def converted(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(checkpoint, tmp_path_factory.mktemp("converted") / "own")
