"""Whisper's official weights: where they lie, and how they get there, checked."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from voicegauge.errors import MissingExtraError, UnknownNameError, UsageError

ProgressCallback = Callable[[int, int], None]
"""Called with the bytes had so far and all of them; 0 where nobody said."""
_BLOCK = 1 << 20
_TIMEOUT_S = 30.0
_ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Model names whose weights lie under another name."""


class OfficialWeights(NamedTuple):
    """An official checkpoint."""

    model: str
    url: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name in a folder."""
        return self.url.rpartition("/")[2]


def require_whisper() -> None:
    """Refuse where openai-whisper is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("whisper") is None:
        raise MissingExtraError("openai-whisper", "whisper")


def cached_weights(model: str) -> Path:
    """Give the file that holds the weights of the official `model`, there or not: where openai-whisper looks."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper"
    return folder / f"{_ALIASES.get(model, model)}.pt"


def find_official_weights(model: str) -> OfficialWeights:
    """Look up a model of openai-whisper.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        UnknownNameError: it has no such model.
    """
    require_whisper()
    import whisper

    known: dict[str, str] = whisper._MODELS  # noqa: SLF001 - the one place that has the digests
    if model not in known:
        raise UnknownNameError("Whisper model", model, known)
    url = known[model]
    return OfficialWeights(model, url, url.split("/")[-2])


def install_weights(model: str, source: Path | None = None, progress: ProgressCallback | None = None) -> Path:
    """Bring the official weights of `model` into openai-whisper's cache.

    Args:
        model: an official name.
        source: a folder, or the file itself, to copy from instead of the network.
        progress: told how far it has come.

    Returns:
        the file, whether it was there already or not.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        UnknownNameError: it has no such model.
        UsageError: the weights cannot be had, or are not the official ones.
    """
    weights, path = find_official_weights(model), cached_weights(model)
    if path.is_file() and _sha256(path) == weights.sha256:
        return path
    if source is None:
        return download_weights(weights, path, progress)
    return copy_weights(weights, source / weights.file if source.is_dir() else source, path, progress)


def download_weights(weights: OfficialWeights, path: Path, progress: ProgressCallback | None = None) -> Path:
    """Download to `path`, which is there whole and checked, or not at all.

    Raises:
        UsageError: no network, or other bytes than the official ones came.
    """
    try:
        with urllib.request.urlopen(weights.url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - a URL of openai-whisper's
            return _save(weights, answer, int(answer.headers.get("Content-Length") or 0), path, progress)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise UsageError(
            f"whisper:{weights.model}: the weights are not here and could not be downloaded ({reason}): "
            f"get {weights.url} elsewhere, then `voicegauge asr install {weights.model} --from FOLDER` "
            f"or --asr whisper:/path/{weights.file}"
        ) from error


def copy_weights(weights: OfficialWeights, source: Path, path: Path, progress: ProgressCallback | None = None) -> Path:
    """Copy the file `source` to `path`, which is there whole and checked, or not at all.

    Raises:
        UsageError: the file cannot be read, or holds other bytes than the official ones.
    """
    try:
        with source.open("rb") as file:
            return _save(weights, file, source.stat().st_size, path, progress)
    except OSError as error:
        raise UsageError(f"{error.filename or source}: {error.strerror}") from error


def _save(
    weights: OfficialWeights, source: BinaryIO, total: int, path: Path, progress: ProgressCallback | None
) -> Path:
    made, had = hashlib.sha256(), 0
    with _partial(path) as partial:
        with partial.open("wb") as file:
            while block := source.read(_BLOCK):
                file.write(block)
                made.update(block)
                had += len(block)
                if progress is not None:
                    progress(had, total)
        if made.hexdigest() != weights.sha256:
            raise UsageError(
                f"{weights.model}: {had} bytes came, which are not the official weights: "
                f"their SHA-256 is {made.hexdigest()[:16]}..., not {weights.sha256[:16]}..."
            )
        partial.replace(path)
    return path


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
