"""Installs Whisper's official weights and verifies their SHA-256."""

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
from voicegauge.files import open_file

ProgressCallback = Callable[[int, int], None]
"""Function (number of bytes received so far, total number of bytes). The total is 0 if it is not known."""
_COPY_BLOCK_BYTES = 1 << 20
_DOWNLOAD_TIMEOUT_S = 30.0
_MODEL_NAME_BY_ALIAS = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""For each alias of a model, the model name under which the weights are saved."""


class OfficialWeights(NamedTuple):
    """An official checkpoint of openai-whisper."""

    model_name: str
    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the checkpoint file."""
        return self.url.rpartition("/")[2]


def require_whisper() -> None:
    """Check that openai-whisper is installed.

    Raises:
        MissingExtraError: openai-whisper is not installed.
    """
    if importlib.util.find_spec("whisper") is None:
        raise MissingExtraError("openai-whisper", "whisper")


def get_weights_cache_path(model_name: str) -> Path:
    """Return the path of the weights of an official model in openai-whisper's cache. The file may be missing."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper"
    return folder / f"{_MODEL_NAME_BY_ALIAS.get(model_name, model_name)}.pt"


def find_official_weights(model_name: str) -> OfficialWeights:
    """Look up the URL and the digest of the weights of an official model of openai-whisper.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        UnknownNameError: `model_name` is not an official model.
    """
    require_whisper()
    import whisper

    known: dict[str, str] = whisper._MODELS  # noqa: SLF001 - the only place with the digests
    if model_name not in known:
        raise UnknownNameError("Whisper model", model_name, known)
    url = known[model_name]
    return OfficialWeights(model_name, url, url.split("/")[-2])  # the digest is part of the URL


def install_weights(model_name: str, source_path: Path | None = None, progress: ProgressCallback | None = None) -> Path:
    """Install the official weights of a model into openai-whisper's cache.

    Args:
        model_name: name of an official model, such as "base.en".
        source_path: folder or file to copy from. If `None`, the weights are downloaded.
        progress: function that is called while copying or downloading.

    Returns:
        The path of the weights. Nothing is copied or downloaded if they were already installed.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        UnknownNameError: `model_name` is not an official model.
        UsageError: the weights could not be read or downloaded, or differ from the official weights.
    """
    weights, path = find_official_weights(model_name), get_weights_cache_path(model_name)
    if path.is_file() and _compute_sha256(path) == weights.sha256:
        return path
    if source_path is None:
        return download_weights(weights, path, progress)
    return copy_weights(
        weights, source_path / weights.file_name if source_path.is_dir() else source_path, path, progress
    )


def download_weights(weights: OfficialWeights, path: Path, progress: ProgressCallback | None = None) -> Path:
    """Download `weights` to `path`. The file does not appear before it is complete and verified.

    Raises:
        UsageError: the download failed, or the received bytes differ from the official weights.
    """
    try:
        with urllib.request.urlopen(weights.url, timeout=_DOWNLOAD_TIMEOUT_S) as response:  # noqa: S310 - a URL of openai-whisper
            return _save_verified_weights(
                weights, response, int(response.headers.get("Content-Length") or 0), path, progress
            )
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise UsageError(
            f"whisper:{weights.model_name}: the weights are not installed and could not be downloaded ({reason}): "
            f"download {weights.url} on another machine, then "
            f"`voicegauge asr install {weights.model_name} --from FOLDER` or --asr whisper:/path/{weights.file_name}"
        ) from error


def copy_weights(
    weights: OfficialWeights, source_path: Path, path: Path, progress: ProgressCallback | None = None
) -> Path:
    """Copy the file `source_path` to `path`. The copy does not appear before it is complete and verified.

    Raises:
        UsageError: the file cannot be read, or differs from the official weights.
    """
    try:
        with open_file(source_path) as file:
            return _save_verified_weights(weights, file, source_path.stat().st_size, path, progress)
    except OSError as error:
        raise UsageError(f"{error.filename or source_path}: {error.strerror}") from error


def _save_verified_weights(
    weights: OfficialWeights, input_stream: BinaryIO, total_bytes: int, path: Path, progress: ProgressCallback | None
) -> Path:
    sha256, received = hashlib.sha256(), 0
    with _choose_temporary_path(path) as partial:
        with partial.open("wb") as file:
            while block := input_stream.read(_COPY_BLOCK_BYTES):
                file.write(block)
                sha256.update(block)
                received += len(block)
                if progress is not None:
                    progress(received, total_bytes)
        if sha256.hexdigest() != weights.sha256:
            raise UsageError(
                f"{weights.model_name}: the {received} bytes received are not the official weights: "
                f"their SHA-256 is {sha256.hexdigest()[:16]}..., not {weights.sha256[:16]}..."
            )
        partial.replace(path)
    return path


@contextlib.contextmanager
def _choose_temporary_path(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _compute_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
