"""Transcribes with openai-whisper, alone, in batches and in windows.

The options are temperature 0 without fallback, no conditioning on earlier text, 32-bit floats and one thread. So
a transcript depends only on the samples, the language and the weights.

If there is a GPU, an official model runs on it and decodes several clips at once. A GPU rounds sums in another order
than a processor, so a transcript may differ where two words are almost equally likely. Therefore, the settings name the
device.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from voicegauge.errors import UsageError
from voicegauge.speech.asr_interface import (
    WINDOW_DURATION_S,
    Asr,
    WindowedWhisper,
    compute_short_sha256,
    fits_into_window,
    read_package_versions,
)
from voicegauge.speech.decoding import Samples
from voicegauge.speech.transcripts import get_base_language
from voicegauge.speech.whisper_installation import get_weights_cache_path, install_weights, require_whisper

# Decodes several clips with openai-whisper at once. A GPU needs little more time for them than for one.


MIN_CLIP_SAMPLES = 160
"""Smallest number of samples of a clip: one frame of the spectrogram. `whisper.transcribe` returns no text for shorter
clips."""


def can_be_batched(samples: Samples) -> bool:
    """Whether a clip at 16 kHz can share a batch.

    A clip that is longer than one window cannot, because the end of a transcript decides where the next window begins.
    """
    return len(samples) >= MIN_CLIP_SAMPLES and fits_into_window(samples)


def decode_windows(
    model: Any, clips: Sequence[Samples], *, language: str, max_tokens: int, no_speech_threshold: float | None
) -> list[str | None]:
    """Return the transcript of each clip, with the options and the result that `whisper.transcribe` has for one clip.

    If the memory of the GPU is too small for all clips, each half is decoded on its own.

    Args:
        model: a model of openai-whisper.
        clips: clips at 16 kHz for which `can_be_batched` is true.
        language: language of all clips, as Whisper names it: "en".
        max_tokens: maximum number of tokens of each transcript.
        no_speech_threshold: probability of silence above which the transcript is empty; `None` disables the check.

    Returns:
        The transcripts in the order of the clips; `None` for a clip that has to be transcribed alone, because the model
        has written timestamps although none were requested.
    """
    import torch
    import whisper
    from whisper.audio import N_FRAMES, N_SAMPLES
    from whisper.tokenizer import get_tokenizer

    tokenizer = get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language=language, task="transcribe"
    )
    options = whisper.DecodingOptions(
        task="transcribe",
        language=language,
        temperature=0.0,
        sample_len=max_tokens,
        without_timestamps=True,
        fp16=False,
    )

    def compute_window(samples: Samples) -> Any:
        # As whisper.transcribe does: with silence after the clip, which is then replaced by zeros.
        spectrogram = whisper.log_mel_spectrogram(samples, model.dims.n_mels, padding=N_SAMPLES)
        return whisper.pad_or_trim(spectrogram[:, : spectrogram.shape[-1] - N_FRAMES], N_FRAMES)

    def read_transcript(result: Any) -> str | None:
        if no_speech_threshold is not None and result.no_speech_prob > no_speech_threshold:
            return ""
        if any(token >= tokenizer.timestamp_begin for token in result.tokens):
            return None
        return str(result.text)

    def decode(windows: Any) -> list[Any]:
        try:
            return list(whisper.decode(model, windows, options))
        except torch.cuda.OutOfMemoryError:
            if len(windows) == 1:
                raise
        torch.cuda.empty_cache()
        middle = len(windows) // 2
        return decode(windows[:middle]) + decode(windows[middle:])

    windows = torch.stack([compute_window(samples) for samples in clips]).to(model.device)
    return [read_transcript(result) for result in decode(windows)]


# Runs the ASR engine openai-whisper with all options pinned.


GPU_DEVICE = "cuda"
"""Name that torch gives to the device of a GPU, of NVIDIA or AMD."""
GPU_CLIPS_PER_BATCH = 8
"""Number of clips that a GPU decodes at once: in 32-bit floats, a clip takes 0.6 GB with the largest model."""


@dataclass
class WhisperAsr(WindowedWhisper):
    """A model of openai-whisper."""

    model_name: str
    """The official model name, or the file name of the checkpoint without its suffix."""
    weights_path: Path
    short_weights_sha256: str
    """First hex digits of the SHA-256 of the weights."""
    is_english_only: bool
    uses_gpu: bool = False

    @property
    def id(self) -> str:
        """Engine, model and digest of the weights, such as "whisper:base.en@25a8566e"."""
        return f"whisper:{self.model_name}@{self.short_weights_sha256}"

    @property
    def settings(self) -> dict[str, str]:
        """The decoding options and the package versions that determine the transcripts."""
        gpu = {"device": GPU_DEVICE, "clips_per_batch": str(self.clips_per_batch)}
        return {
            "temperature": "0.0",
            "fallback": "none",
            "condition_on_previous_text": "False",
            "fp16": "False",
            "sample_len": self.token_limit_text,
            "timestamps": f"beyond {WINDOW_DURATION_S} s",
            "no_speech_threshold": str(self.no_speech_threshold),
            "whole_windows": str(self.pads_to_whole_windows),
            **(gpu if self.uses_gpu else {"threads": "1"}),
            **read_package_versions("openai-whisper", "torch"),
        }

    def supports_language(self, language: str) -> bool:
        """Whether the checkpoint was trained for `language`."""
        base = get_base_language(language)
        if base == "en" or self.is_english_only:
            return base == "en"
        from whisper.tokenizer import LANGUAGES

        return base in LANGUAGES

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe samples at 16 kHz."""
        import torch

        torch.set_num_threads(1)  # with more threads, sums are rounded in another order, which can change a word
        result = self._model.transcribe(
            self.pad_to_whole_windows(samples),
            language=get_base_language(language),
            task="transcribe",
            temperature=0.0,
            sample_len=self.compute_max_tokens(samples),
            fp16=False,
            condition_on_previous_text=False,
            compression_ratio_threshold=None,
            logprob_threshold=None,
            no_speech_threshold=self.no_speech_threshold,
            without_timestamps=fits_into_window(samples),
            verbose=None,
        )
        return str(result["text"]).strip()

    @property
    def clips_per_batch(self) -> int:
        """Number of clips that are decoded at once: several on a GPU, one on a processor."""
        return GPU_CLIPS_PER_BATCH if self.uses_gpu else 1

    def transcribe_batch(self, clips: Sequence[Samples], language: str) -> list[str]:
        """Transcribe clips at 16 kHz at once; clips of more than one window one after another."""
        indices_by_max_tokens = defaultdict(list)
        for index, samples in enumerate(clips):
            if len(clips) > 1 and can_be_batched(samples):
                indices_by_max_tokens[self.compute_max_tokens(samples)].append(index)
        transcripts: dict[int, str | None] = {}
        for max_tokens, indices in indices_by_max_tokens.items():
            decoded = decode_windows(
                self._model,
                [self.pad_to_whole_windows(clips[index]) for index in indices],
                language=get_base_language(language),
                max_tokens=max_tokens,
                no_speech_threshold=self.no_speech_threshold,
            )
            transcripts.update(zip(indices, decoded, strict=True))
        return [
            self.transcribe(samples, language) if (transcript := transcripts.get(index)) is None else transcript
            for index, samples in enumerate(clips)
        ]

    @cached_property
    def _model(self) -> Any:
        import torch
        import whisper

        try:
            model = whisper.load_model(str(self.weights_path), device="cpu")
        except (RuntimeError, KeyError, TypeError) as error:  # the weights do not fit the declared dimensions
            raise UsageError(f"whisper:{self.weights_path}: is not a Whisper checkpoint") from error
        if self.uses_gpu:
            torch.backends.cudnn.allow_tf32 = False  # by default, convolutions round to 10 bits
            model = model.to(GPU_DEVICE)
        return model


def is_gpu_available() -> bool:
    """Whether torch is installed and finds a GPU in this process."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def move_to_gpu(asr: Asr) -> Asr:
    """Return the same engine on a GPU; `asr` itself if the engine cannot run on a GPU or does not gain from it."""
    if isinstance(asr, WhisperAsr) and not asr.has_closed_vocabulary:
        return replace(asr, uses_gpu=True)
    return asr


def create_whisper_asr(model_name_or_file: str) -> WhisperAsr:
    """Create the engine for a model. If an official model is not in the cache, it is downloaded.

    Args:
        model_name_or_file: name of an official model, or path of a checkpoint file: it contains "/" or ends with ".pt".

    Raises:
        MissingExtraError: openai-whisper is not installed.
        UnknownNameError: `model_name_or_file` is neither an existing file nor the name of an official model.
        UsageError: the file is missing or is not a checkpoint, or the weights could not be downloaded.
    """
    require_whisper()
    # A file in the current folder never replaces an official model.
    if "/" in model_name_or_file or model_name_or_file.endswith(".pt"):
        path = Path(model_name_or_file).expanduser()
        if not path.is_file():
            raise UsageError(f"whisper:{model_name_or_file}: there is no such file")
        return WhisperAsr(path.stem, path, compute_short_sha256(path), _is_english_only(path))
    weights = get_weights_cache_path(model_name_or_file)
    if not weights.is_file():
        install_weights(model_name_or_file)
    return WhisperAsr(model_name_or_file, weights, compute_short_sha256(weights), model_name_or_file.endswith(".en"))


def _is_english_only(path: Path) -> bool:
    import torch

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        vocabulary = int(checkpoint["dims"]["n_vocab"])
    except Exception as error:  # torch raises errors of many types for damaged files
        raise UsageError(f"whisper:{path}: is not a Whisper checkpoint") from error
    return vocabulary < 51865  # as in whisper.model.Whisper.is_multilingual
