"""Transcribes with faster-whisper."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voicegauge.errors import MissingExtraError, UnknownNameError, UsageError
from voicegauge.speech.asr_interface import (
    WINDOW_DURATION_S,
    Samples,
    WindowedWhisper,
    compute_short_sha256,
    fits_into_window,
    read_package_versions,
)
from voicegauge.speech.transcripts import get_base_language

_WEIGHTS_FILE_NAME = "model.bin"
_REQUIRED_MODEL_FILE_NAMES = {
    _WEIGHTS_FILE_NAME: "convert a model with ct2-transformers-converter, or give its folder",
    "tokenizer.json": "without it faster-whisper downloads one: convert with --copy_files tokenizer.json",
}


@dataclass
class FasterWhisperAsr(WindowedWhisper):
    """A Whisper model in CTranslate2's format."""

    model_name: str
    model_folder: Path
    short_weights_sha256: str
    """First hex digits of the SHA-256 of the weights."""

    @property
    def id(self) -> str:
        """Engine, model and digest of the weights, such as "faster-whisper:base.en@8e1a1b2c"."""
        return f"faster-whisper:{self.model_name}@{self.short_weights_sha256}"

    @property
    def settings(self) -> dict[str, str]:
        """The decoding options and the package versions that determine the transcripts."""
        return {
            "temperature": "0.0",
            "fallback": "none",
            "beam_size": "1",
            "condition_on_previous_text": "False",
            "compute_type": "float32",
            "max_new_tokens": self.token_limit_text,
            "timestamps": f"beyond {WINDOW_DURATION_S} s",
            "no_speech_threshold": str(self.no_speech_threshold),
            "whole_windows": str(self.pads_to_whole_windows),
            "vad_filter": "False",
            "threads": "1",
            **read_package_versions("faster-whisper", "ctranslate2"),
        }

    def supports_language(self, language: str) -> bool:
        """Whether the model was trained for `language`."""
        return get_base_language(language) in self._model.supported_languages

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe samples at 16 kHz."""
        segments, _ = self._model.transcribe(
            self.pad_to_whole_windows(samples),
            language=get_base_language(language),
            task="transcribe",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=self.no_speech_threshold,
            max_new_tokens=self.compute_max_tokens(samples),
            without_timestamps=fits_into_window(samples),
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments)

    @cached_property
    def _model(self) -> Any:
        import faster_whisper

        try:
            return faster_whisper.WhisperModel(
                str(self.model_folder), device="cpu", compute_type="float32", cpu_threads=1, num_workers=1
            )
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"faster-whisper:{self.model_folder}: cannot be loaded: {error}") from error


def create_faster_whisper_asr(model_name_or_folder: str) -> FasterWhisperAsr:
    """Create the engine for a model. If the model is not in the Hugging Face cache, it is downloaded.

    Args:
        model_name_or_folder: the folder of a converted model, with a "/" in it, or the name of a model.

    Raises:
        MissingExtraError: faster-whisper is not installed.
        UnknownNameError: `model_name_or_folder` is neither an existing folder nor the name of a model.
        UsageError: the folder or one of its files is missing, or the weights could not be downloaded.
    """
    require_faster_whisper()
    folder = Path(model_name_or_folder).expanduser()
    # A folder in the current folder never replaces a model of that name.
    if "/" not in model_name_or_folder or not folder.is_dir():
        if model_name_or_folder.startswith(("/", "./", "../", "~")):
            raise UsageError(f"faster-whisper:{model_name_or_folder}: there is no such folder")
        cached_folder = list_cached_models().get(model_name_or_folder)
        return _create_asr_from_folder(model_name_or_folder, cached_folder or _download_model(model_name_or_folder))
    return _create_asr_from_folder(folder.resolve().name, folder)


def require_faster_whisper() -> None:
    """Check that faster-whisper is installed.

    Raises:
        MissingExtraError: faster-whisper is not installed.
    """
    if importlib.util.find_spec("faster_whisper") is None:
        raise MissingExtraError("faster-whisper", "faster-whisper")


def list_cached_models() -> dict[str, Path]:
    """Folders of the models in the Hugging Face cache, by model name."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folders = {}
    for weights in sorted(hub.glob(f"models--Systran--faster-whisper-*/snapshots/*/{_WEIGHTS_FILE_NAME}")):
        folders[weights.parents[2].name.removeprefix("models--Systran--faster-whisper-")] = weights.parent
    return folders


def _create_asr_from_folder(model_name: str, folder: Path) -> FasterWhisperAsr:
    for file, remedy in _REQUIRED_MODEL_FILE_NAMES.items():
        if not (folder / file).is_file():
            raise UsageError(f"faster-whisper:{folder}: has no {file}: {remedy}")
    return FasterWhisperAsr(model_name, folder, compute_short_sha256(folder / _WEIGHTS_FILE_NAME))


def _download_model(model_name: str) -> Path:
    from faster_whisper.utils import available_models, download_model

    if model_name not in available_models() and "/" not in model_name:
        raise UnknownNameError("faster-whisper model", model_name, available_models())
    try:
        return Path(download_model(model_name))
    except (OSError, ValueError, RuntimeError) as error:  # base classes of all errors of huggingface_hub
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"faster-whisper:{model_name}: the weights are not installed and could not be downloaded ({reason}): "
            "give the folder of a converted model, such as --asr faster-whisper:/path/model"
        ) from error
