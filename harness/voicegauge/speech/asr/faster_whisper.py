"""Whisper by faster-whisper (CTranslate2), pinned as far as its options go."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voicegauge.errors import MissingExtraError, UnknownNameError, UsageError
from voicegauge.speech.asr.base import RATE_HZ, Samples, package_versions, short_sha256
from voicegauge.speech.asr.whisper import WINDOW_S, describe_sample_len, fill_window, sample_len
from voicegauge.speech.transcripts import base_language

_WEIGHTS = "model.bin"
_NEEDED = {
    _WEIGHTS: "convert a model with ct2-transformers-converter, or name its folder",
    "tokenizer.json": "without it faster-whisper asks a hub: convert with --copy_files tokenizer.json",
}


@dataclass
class FasterWhisperAsr:
    """A Whisper model converted for CTranslate2."""

    name: str
    folder: Path
    sha256: str
    """Of the weights; its first hex digits."""
    closed_vocabulary: bool = False
    no_speech_threshold: float | None = None
    """Probability of silence above which a window has no transcript; never where it is `None`."""
    tokens_per_s: float | None = None
    """A window gives at most 12 tokens and so many for each second, so that a loop ends; `SAMPLE_LEN` where `None`."""
    whole_windows: bool = False
    """Whether silence is put behind a clip until it fills its window, as in training. Else Whisper fills the window's
    log mel with zeros, which is louder than silence."""

    @property
    def id(self) -> str:
        """Such as "faster-whisper:base.en@8e1a1b2c"."""
        return f"faster-whisper:{self.name}@{self.sha256}"

    @property
    def settings(self) -> dict[str, str]:
        """Decoding options and package versions."""
        return {
            "temperature": "0.0",
            "fallback": "none",
            "beam_size": "1",
            "condition_on_previous_text": "False",
            "compute_type": "float32",
            "max_new_tokens": describe_sample_len(self.tokens_per_s),
            "timestamps": f"beyond {WINDOW_S} s",
            "no_speech_threshold": str(self.no_speech_threshold),
            "whole_windows": str(self.whole_windows),
            "vad_filter": "False",
            "threads": "1",
            **package_versions("faster-whisper", "ctranslate2"),
        }

    def supports_language(self, language: str) -> bool:
        """Whether the model was trained for `language`."""
        return base_language(language) in self._model.supported_languages

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe samples at 16 kHz."""
        segments, _ = self._model.transcribe(
            fill_window(samples) if self.whole_windows else samples,
            language=base_language(language),
            task="transcribe",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=self.no_speech_threshold,
            max_new_tokens=sample_len(len(samples), self.tokens_per_s),
            without_timestamps=len(samples) <= WINDOW_S * RATE_HZ,
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded model behind: it cannot be sent to another process."""
        return {key: value for key, value in vars(self).items() if key != "_model"}

    @cached_property
    def _model(self) -> Any:
        import faster_whisper

        try:
            return faster_whisper.WhisperModel(
                str(self.folder), device="cpu", compute_type="float32", cpu_threads=1, num_workers=1
            )
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"faster-whisper:{self.folder}: cannot be loaded: {error}") from error


def faster_whisper_asr(model: str) -> FasterWhisperAsr:
    """Make the recogniser of `model`: the folder of a converted model, or a name.

    A name whose weights are not in the hub's cache is downloaded.

    Raises:
        MissingExtraError: faster-whisper is not installed.
        UnknownNameError: neither a folder nor a name of a model.
        UsageError: the folder lacks a file, or the weights could not be downloaded.
    """
    require_faster_whisper()
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.startswith(("/", "./", "../", "~")):
            raise UsageError(f"faster-whisper:{model}: there is no such folder")
        return _of_folder(model, cached_models().get(model) or _download(model))
    return _of_folder(folder.resolve().name, folder)


def require_faster_whisper() -> None:
    """Refuse where faster-whisper is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("faster_whisper") is None:
        raise MissingExtraError("faster-whisper", "faster-whisper")


def cached_models() -> dict[str, Path]:
    """Give the models in the hub's cache, by name, with their folders."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    found = {}
    for weights in sorted(hub.glob(f"models--Systran--faster-whisper-*/snapshots/*/{_WEIGHTS}")):
        found[weights.parents[2].name.removeprefix("models--Systran--faster-whisper-")] = weights.parent
    return found


def _of_folder(name: str, folder: Path) -> FasterWhisperAsr:
    for file, mend in _NEEDED.items():
        if not (folder / file).is_file():
            raise UsageError(f"faster-whisper:{folder}: has no {file}: {mend}")
    return FasterWhisperAsr(name, folder, short_sha256(folder / _WEIGHTS))


def _download(model: str) -> Path:
    from faster_whisper.utils import available_models, download_model

    if model not in available_models() and "/" not in model:
        raise UnknownNameError("faster-whisper model", model, available_models())
    try:
        return Path(download_model(model))
    except (OSError, ValueError, RuntimeError) as error:  # the hub's errors are of these families
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"faster-whisper:{model}: the weights are not here and could not be downloaded ({reason}): "
            "give the folder of a converted model, such as --asr faster-whisper:/path/model"
        ) from error
