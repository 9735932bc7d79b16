"""Unpacks the weights of the embedded Whisper once per test process, for all tests with a cache folder of their own."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from voicegauge.speech import whisper_installation as embedded
from voicegauge.speech.whisper_installation import WhisperCheckpoint

Save = Callable[[WhisperCheckpoint, Path], None]
_load, _save_checkpoint = embedded.load_embedded_checkpoint, embedded._save_checkpoint
_save_ctranslate2_folder = embedded._save_ctranslate2_folder


def unpack_once(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep what is unpacked in `folder`, and copy it to each cache."""
    patch.setattr(embedded, "load_embedded_checkpoint", functools.cache(_load))
    patch.setattr(embedded, "_save_checkpoint", _save_once(_save_checkpoint, folder))
    patch.setattr(embedded, "_save_ctranslate2_folder", _save_once(_save_ctranslate2_folder, folder))


def unpack_each_time(patch: pytest.MonkeyPatch) -> None:
    """Unpack the weights as for users, for tests of the unpacking."""
    patch.setattr(embedded, "load_embedded_checkpoint", _load)
    patch.setattr(embedded, "_save_checkpoint", _save_checkpoint)
    patch.setattr(embedded, "_save_ctranslate2_folder", _save_ctranslate2_folder)


def _save_once(save: Save, folder: Path) -> Save:
    lock = threading.Lock()

    def copy(checkpoint: WhisperCheckpoint, path: Path) -> None:
        kept = folder / path.name
        with lock:
            if not kept.exists():
                save(checkpoint, kept)
        (shutil.copytree if kept.is_dir() else shutil.copy)(kept, path)

    return copy
