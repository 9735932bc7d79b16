"""OpenAI's Whisper with everything pinned.

Temperature 0 without fallback, no conditioning on earlier text, 32-bit floats, one
thread: a transcript is a function of the samples, the language and the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from voicegauge.errors import UsageError
from voicegauge.speech.asr.base import RATE_HZ, Samples, package_versions, short_sha256
from voicegauge.speech.asr.weights import cached_weights, install_weights, require_whisper
from voicegauge.speech.transcripts import base_language

SAMPLE_LEN = 224
"""Tokens a window may give: half of Whisper's text context, its own default, stated so that it stays."""
WINDOW_S = 30
"""Up to one window timestamps are off; longer audio needs them to find where the next window begins."""


def sample_len(samples: int, tokens_per_s: float | None) -> int:
    """The tokens that a window of `samples` at 16 kHz may give."""
    if tokens_per_s is None:
        return SAMPLE_LEN
    return min(SAMPLE_LEN, 12 + round(tokens_per_s * min(samples / RATE_HZ, WINDOW_S)))


def describe_sample_len(tokens_per_s: float | None) -> str:
    """The same in words, for the settings."""
    return str(SAMPLE_LEN) if tokens_per_s is None else f"12 and {tokens_per_s:g} a second"


def fill_window(samples: Samples) -> Samples:
    """`samples` at 16 kHz with silence behind them, to the end of their last window."""
    return np.pad(samples, (0, -len(samples) % (WINDOW_S * RATE_HZ)))


@dataclass
class WhisperAsr:
    """A checkpoint of openai-whisper."""

    name: str
    """The model's official name, or the file's name without its ending."""
    weights: Path
    sha256: str
    """Its first hex digits."""
    english_only: bool
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
        """Such as "whisper:base.en@25a8566e"."""
        return f"whisper:{self.name}@{self.sha256}"

    @property
    def settings(self) -> dict[str, str]:
        """Decoding options and package versions."""
        return {
            "temperature": "0.0",
            "fallback": "none",
            "condition_on_previous_text": "False",
            "fp16": "False",
            "sample_len": describe_sample_len(self.tokens_per_s),
            "timestamps": f"beyond {WINDOW_S} s",
            "no_speech_threshold": str(self.no_speech_threshold),
            "whole_windows": str(self.whole_windows),
            "threads": "1",
            **package_versions("openai-whisper", "torch"),
        }

    def supports_language(self, language: str) -> bool:
        """Whether the checkpoint was trained for `language`."""
        base = base_language(language)
        if base == "en" or self.english_only:
            return base == "en"
        from whisper.tokenizer import LANGUAGES

        return base in LANGUAGES

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe samples at 16 kHz."""
        import torch

        torch.set_num_threads(1)  # sums in another order can end in another word
        found = self._model.transcribe(
            fill_window(samples) if self.whole_windows else samples,
            language=base_language(language),
            task="transcribe",
            temperature=0.0,
            sample_len=sample_len(len(samples), self.tokens_per_s),
            fp16=False,
            condition_on_previous_text=False,
            compression_ratio_threshold=None,
            logprob_threshold=None,
            no_speech_threshold=self.no_speech_threshold,
            without_timestamps=len(samples) <= WINDOW_S * RATE_HZ,
            verbose=None,
        )
        return str(found["text"]).strip()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded model behind: it is loaded again where it is needed."""
        return {key: value for key, value in vars(self).items() if key != "_model"}

    @cached_property
    def _model(self) -> Any:
        import whisper

        try:
            return whisper.load_model(str(self.weights), device="cpu")
        except (RuntimeError, KeyError, TypeError) as error:  # weights of another shape than stated
            raise UsageError(f"whisper:{self.weights}: is no Whisper checkpoint") from error


def whisper_asr(model: str) -> WhisperAsr:
    """Make the recogniser of `model`, an official name or the path of a checkpoint file.

    A name whose weights are not in the cache is downloaded.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        UnknownNameError: neither a file nor a name of a model.
        UsageError: the file is no checkpoint, or the weights could not be downloaded.
    """
    require_whisper()
    path = Path(model).expanduser()
    if path.is_file():
        return WhisperAsr(path.stem, path, short_sha256(path), _is_english_only(path))
    if "/" in model or model.endswith(".pt"):
        raise UsageError(f"whisper:{model}: there is no such file")
    weights = cached_weights(model)
    if not weights.is_file():
        install_weights(model)
    return WhisperAsr(model, weights, short_sha256(weights), model.endswith(".en"))


def _is_english_only(path: Path) -> bool:
    import torch

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        vocabulary = int(checkpoint["dims"]["n_vocab"])
    except Exception as error:  # torch raises whatever broken bytes lead it into
        raise UsageError(f"whisper:{path}: is no Whisper checkpoint") from error
    return vocabulary < 51865  # whisper.model.Whisper.is_multilingual
