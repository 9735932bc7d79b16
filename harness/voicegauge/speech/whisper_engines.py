"""Transcribes with Whisper, run by openai-whisper or faster-whisper, with official weights or the embedded ones.

The options are temperature 0 without fallback, no conditioning on earlier text, 32-bit floats and one thread. So
a transcript depends only on the samples, the language and the weights.

If there is a GPU, openai-whisper runs official models on it and decodes several clips at once. A GPU rounds sums in
another order than a processor, so a transcript may differ where two words are almost equally likely. Therefore, the
settings name the device.

`embedded/weights.npz` contains the weights of the embedded Whisper in half precision. All tokens that never occur share
one embedding row. The weights are unpacked once to the user's cache folder, in the format that openai-whisper or
faster-whisper loads. `embedded/card.md` describes training and accuracy.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voicegauge.errors import MissingExtraError, UnknownNameError, UsageError
from voicegauge.speech.asr_interface import (
    WINDOW_DURATION_S,
    Asr,
    WindowedWhisper,
    compute_short_sha256,
    find_or_create_in_cache,
    fits_into_window,
    read_package_versions,
)
from voicegauge.speech.decoding import Samples
from voicegauge.speech.transcripts import get_base_language
from voicegauge.speech.whisper_installation import (
    TransformerShape,
    WeightArrays,
    convert_to_ctranslate2,
    get_weights_cache_path,
    install_weights,
    require_whisper,
)

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


# Runs the ASR engine faster-whisper with all options pinned.


_WEIGHTS_FILE_NAME = "model.bin"
_REQUIRED_MODEL_FILE_NAMES = {
    _WEIGHTS_FILE_NAME: "convert a model with ct2-transformers-converter, or give its folder",
    "tokenizer.json": "without it faster-whisper downloads one: convert with --copy_files tokenizer.json",
}
"""Files that the folder of a model must have, each with what to do if it is missing."""


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


# Unpacks the embedded Whisper, and creates the engine that runs it.


WEIGHTS_PATH = Path(__file__).parent / "embedded" / "weights.npz"
EMBEDDED_ENGINE = "embedded"
"""Value of `--asr` that requests the embedded Whisper."""
NO_SPEECH_THRESHOLD = 0.6
"""Probability of silence above which a window is not transcribed. This is Whisper's default."""
MAX_TOKENS_PER_S = 8.0
"""Maximum number of tokens per second in a transcript, more than the fastest voice speaks. The limit ends the
repetitions that a small model tends to produce."""
_EMBEDDED_WHISPER_OPTIONS: dict[str, Any] = {
    "has_closed_vocabulary": True,
    "no_speech_threshold": NO_SPEECH_THRESHOLD,
    "max_tokens_per_s": MAX_TOKENS_PER_S,
    "pads_to_whole_windows": True,
}
_EMBEDDING_WEIGHT_NAME = "decoder.token_embedding.weight"
_TOKEN_IDS_SUPPRESSED_AT_START = (220, 50256)
"""Ids of the tokens for a blank and for the end of text. Whisper's option `suppress_blank` suppresses them at the start
of a transcript."""


class WhisperCheckpoint(NamedTuple):
    """Dimensions, weights and vocabulary of a Whisper model."""

    dimensions: dict[str, int]
    """Dimensions of the model by the field names of openai-whisper's `ModelDimensions`."""
    weights: WeightArrays
    tokens: list[str]
    """The tokens in the order of their ids. Unused tokens have names that cannot occur in text."""


def create_embedded_asr(*, saves_memory: bool = False) -> WhisperAsr | FasterWhisperAsr:
    """Create the embedded engine on openai-whisper if it is installed, otherwise on faster-whisper.

    Args:
        saves_memory: whether faster-whisper is preferred, which takes half of the memory.

    Raises:
        MissingExtraError: neither openai-whisper nor faster-whisper is installed.
        UsageError: the cache folder cannot be written.
    """
    creators: list[tuple[str, Callable[[], WhisperAsr | FasterWhisperAsr]]] = [
        ("whisper", create_embedded_whisper),
        ("faster_whisper", create_embedded_faster_whisper),
    ]
    for module, create in reversed(creators) if saves_memory else creators:
        if importlib.util.find_spec(module):
            return create()
    raise MissingExtraError("faster-whisper, which the embedded Whisper runs on,", "bench")


def create_embedded_whisper() -> WhisperAsr:
    """Create the ASR engine that runs the embedded Whisper weights with openai-whisper.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    path = _find_or_create(f"{_compute_weights_sha256()}.pt", _save_checkpoint)
    return WhisperAsr(
        EMBEDDED_ENGINE, path, _compute_weights_sha256(), is_english_only=True, **_EMBEDDED_WHISPER_OPTIONS
    )


def create_embedded_faster_whisper() -> FasterWhisperAsr:
    """Create the embedded engine on faster-whisper.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    folder = _find_or_create(_compute_weights_sha256(), _save_ctranslate2_folder)
    return FasterWhisperAsr(EMBEDDED_ENGINE, folder, _compute_weights_sha256(), **_EMBEDDED_WHISPER_OPTIONS)


def list_known_words() -> frozenset[str]:
    """The words with which the model was trained, in lower case."""
    with np.load(WEIGHTS_PATH) as packed:
        return frozenset(str(packed["words"]).split())


def load_embedded_checkpoint() -> WhisperCheckpoint:
    """Return the embedded Whisper, as `weights.npz` has it.

    In the file, all unused tokens share one row of the embedding. In the result, each token has a row.
    """
    with np.load(WEIGHTS_PATH) as packed:
        stored = {name: packed[name] for name in packed.files}
    dims = json.loads(str(stored.pop("dims")))
    named = {int(token): name for token, name in json.loads(str(stored.pop("tokens"))).items()}
    rows = np.tile(stored.pop("unused").astype(np.float32), (dims["n_vocab"], 1))
    rows[stored.pop("occurring")] = stored.pop(_EMBEDDING_WEIGHT_NAME).astype(np.float32)
    stored.pop("words")
    weights = {name: value.astype(np.float32) for name, value in stored.items()}
    tokens = [named.get(token, f"\x00{token}") for token in range(dims["n_vocab"])]
    return WhisperCheckpoint(dims, {**weights, _EMBEDDING_WEIGHT_NAME: rows}, tokens)


def _compute_weights_sha256() -> str:
    return compute_short_sha256(WEIGHTS_PATH)


def _save_checkpoint(checkpoint: WhisperCheckpoint, path: Path) -> None:
    import torch

    state = {name: torch.from_numpy(value) for name, value in checkpoint.weights.items()}
    torch.save({"dims": checkpoint.dimensions, "model_state_dict": state}, path)


def _save_ctranslate2_folder(checkpoint: WhisperCheckpoint, path: Path) -> None:
    dims = checkpoint.dimensions
    shape = TransformerShape(dims["n_audio_layer"], dims["n_text_layer"], dims["n_audio_head"])
    convert_to_ctranslate2(checkpoint.weights, shape, checkpoint.tokens, _TOKEN_IDS_SUPPRESSED_AT_START, path)


def _find_or_create(name: str, save_checkpoint: Callable[[WhisperCheckpoint, Path], None]) -> Path:
    return find_or_create_in_cache(
        EMBEDDED_ENGINE, name, lambda path: save_checkpoint(load_embedded_checkpoint(), path)
    )
