"""The interface of ASR engines, the transcription of long audio in windows, and the folder of unpacked weights."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from shutil import rmtree
from typing import Any, Protocol

import numpy as np

from voicegauge.data_folders import CACHE_VARIABLE, get_cache_folder
from voicegauge.errors import UsageError
from voicegauge.files import open_file
from voicegauge.speech.decoding import Samples


def find_or_create_in_cache(folder_name: str, name: str, save: Callable[[Path], None]) -> Path:
    """Return the path of the file or folder `name` in a folder of the cache; if it is missing, create it with `save`.

    The file or folder does not appear in the cache before it is complete, and several processes may create it at once.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    home = get_cache_folder() / folder_name
    path = home / name
    if path.exists():
        return path
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _create_temporary_folder(home) as scratch:
            save(scratch / name)
            (scratch / name).replace(path)
    except OSError as error:
        if path.exists():  # another process created it at the same time
            return path
        raise UsageError(f"{home}: cannot be written ({error.strerror}): set {CACHE_VARIABLE}") from error
    return path


@contextlib.contextmanager
def _create_temporary_folder(parent_folder: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=parent_folder))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


# Defines the interface of all ASR engines, and functions that more than one engine uses.


ASR_SAMPLE_RATE_HZ = 16_000
"""Sample rate of the mono float32 samples that every engine expects. Whisper was trained with this rate."""


class Asr(Protocol):
    """An ASR engine. Its weights and settings are pinned, so that equal samples give equal transcripts.

    Instances are cheap to create and can be pickled; the model is not loaded before the first transcript.
    """

    @property
    def id(self) -> str:
        """Engine, model and the first hex digits of the SHA-256 of the weights, such as "whisper:base.en@ed3a0b6b"."""

    @property
    def has_closed_vocabulary(self) -> bool:
        """Whether the engine knows only a small number of words.

        These include the words of the bundled suites, so error rates that are measured with the engine are too low.
        """

    @property
    def settings(self) -> Mapping[str, str]:
        """Names and values of everything besides the id that determines the transcripts."""

    def supports_language(self, language: str) -> bool:
        """Whether the engine can transcribe `language`, a tag such as "en" or "pt-BR"."""

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe mono samples of shape (frames,) at `ASR_SAMPLE_RATE_HZ`, full scale at 1.0."""

    @property
    def clips_per_batch(self) -> int:
        """Number of clips that are best transcribed at once; 1 for an engine that runs on the processor."""

    def transcribe_batch(self, clips: Sequence[Samples], language: str) -> list[str]:
        """Transcribe clips in one language, each as `transcribe` does."""


def compute_short_sha256(*paths: Path) -> str:
    """Return the first eight hex digits of the SHA-256 over the contents of `paths`, in that order."""
    sha256 = hashlib.sha256()
    for path in paths:
        with open_file(path) as file:
            while block := file.read(1 << 20):
                sha256.update(block)
    return sha256.hexdigest()[:8]


def read_package_versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package, by its name."""
    return {name: metadata.version(name) for name in packages}


# Defines the windows of 30 seconds in which all engines that run Whisper transcribe, and the options for them.


MAX_WINDOW_TOKENS = 224
"""Maximum number of tokens per window. This is Whisper's default, half of its text context, and is pinned here."""
WINDOW_DURATION_S = 30
"""Length of Whisper's window in seconds. Audio that fits into a window is transcribed without timestamps. Longer audio
needs timestamps to find the start of the next window."""


@dataclass(kw_only=True)
class WindowedWhisper(ABC):
    """Base class of engines that run Whisper, with the options that concern its windows."""

    has_closed_vocabulary: bool = False
    """Whether the model knows only a small number of words."""
    no_speech_threshold: float | None = None
    """Probability of silence above which a window is not transcribed; `None` disables the check."""
    max_tokens_per_s: float | None = None
    """A window has at most 12 tokens plus this number for each second of audio, which ends repetitions. If `None`, the
    limit is `MAX_WINDOW_TOKENS`."""
    pads_to_whole_windows: bool = False
    """Whether clips are padded with silence to complete windows, as in training. Otherwise Whisper pads the log-mel
    spectrogram with zeros, which is louder than silence."""

    @property
    def token_limit_text(self) -> str:
        """A text that states the maximum number of tokens in a window, such as "224" or "12 + 8 per second"."""
        return str(MAX_WINDOW_TOKENS) if self.max_tokens_per_s is None else f"12 + {self.max_tokens_per_s:g} per second"

    def compute_max_tokens(self, samples: Samples) -> int:
        """Return the maximum number of tokens in a window of `samples` at 16 kHz."""
        if self.max_tokens_per_s is None:
            return MAX_WINDOW_TOKENS
        return min(
            MAX_WINDOW_TOKENS,
            12 + round(self.max_tokens_per_s * min(len(samples) / ASR_SAMPLE_RATE_HZ, WINDOW_DURATION_S)),
        )

    def pad_to_whole_windows(self, samples: Samples) -> Samples:
        """Return `samples` at 16 kHz, padded with silence to complete windows if `pads_to_whole_windows` is set."""
        if not self.pads_to_whole_windows:
            return samples
        return np.pad(samples, (0, -len(samples) % (WINDOW_DURATION_S * ASR_SAMPLE_RATE_HZ)))

    @property
    def clips_per_batch(self) -> int:
        """Number of clips that are transcribed at once."""
        return 1

    @abstractmethod
    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe samples at 16 kHz."""

    def transcribe_batch(self, clips: Sequence[Samples], language: str) -> list[str]:
        """Transcribe clips at 16 kHz one after another."""
        return [self.transcribe(samples, language) for samples in clips]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle, without the loaded model, which may not be picklable and can be loaded again."""
        return {key: value for key, value in vars(self).items() if key != "_model"}


def fits_into_window(samples: Samples) -> bool:
    """Whether audio at 16 kHz fits into one window."""
    return len(samples) <= WINDOW_DURATION_S * ASR_SAMPLE_RATE_HZ
