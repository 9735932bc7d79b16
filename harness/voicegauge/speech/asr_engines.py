"""Chooses the ASR engine, runs Whisper with pinned options, and counts the words that an engine cannot recognize.

auto                    openai-whisper if its weights are installed, else faster-whisper if its weights are installed,
                        else, only for an emulated run, the engine `lexicon`, or the embedded Whisper if the word
                        list of that engine is not installed
whisper[:MODEL|FILE]    openai-whisper
faster-whisper[:MODEL|FOLDER]
lexicon                 the phoneme network of this package with a lexicon, for any run
embedded                the small Whisper that is part of the package, for any run
none                    no engine, so that nothing is transcribed

Whisper is run by openai-whisper or faster-whisper, with official weights or the embedded ones. The options are
temperature 0 without fallback, no conditioning on earlier text, 32-bit floats and one thread. So a transcript depends
only on the samples, the language and the weights.

If there is a GPU, openai-whisper runs official models on it and decodes several clips at once. A GPU rounds sums in
another order than a processor, so a transcript may differ where two words are almost equally likely. Therefore, the
settings name the device.
"""

from __future__ import annotations

import importlib.util
import os
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from voicegauge.errors import MissingExtraError, UnknownNameError, UsageError
from voicegauge.model.base import Provenance
from voicegauge.model.run import KnownWords
from voicegauge.speech.decoding import Samples
from voicegauge.speech.lexicon_engine import LEXICON_ENGINE, LexiconAsr, create_lexicon_asr, has_lexicon
from voicegauge.speech.transcripts import (
    ASR_SAMPLE_RATE_HZ,
    Asr,
    compute_short_sha256,
    get_base_language,
    read_package_versions,
)
from voicegauge.speech.whisper_installation import (
    EMBEDDED_ENGINE,
    MODEL_FILE_NAME,
    download_cached_model,
    get_weights_cache_path,
    install_weights,
    list_cached_models,
    list_known_words,
    require_faster_whisper,
    require_whisper,
    unpack_embedded_checkpoint,
    unpack_embedded_ctranslate2_folder,
)

WHISPER_ENVIRONMENT_VARIABLE = "VOICEGAUGE_WHISPER"
"""Name of the environment variable that contains the model or checkpoint file for `auto` and `whisper`."""
NO_ASR = "none"
"""Value of `--asr` that requests no engine."""
PREFERRED_MODEL_NAMES = (
    *("small.en", "small", "base.en", "base", "tiny.en", "tiny"),
    *("medium.en", "medium", "turbo", "large-v3-turbo", "large-v3", "large-v2", "large-v1"),
)
"""Whisper models in order of preference. The most accurate models that run on a laptop in reasonable time are first,
followed by smaller models, and then by models that are too slow for a laptop."""

_WORD_PATTERN = re.compile(r"\w+(?:'\w+)*")


class AsrChoice(NamedTuple):
    """The chosen ASR engine and the reason for the choice."""

    asr: Asr | None
    """The engine; `None` if "none" was requested, or if "auto" found no trustworthy engine."""
    reason: str


class SpokenText(NamedTuple):
    """The text that is spoken in a sample, and its language."""

    language: str
    text: str


def choose_asr(requested_asr: str, *, provenance: Provenance, texts: Sequence[SpokenText]) -> AsrChoice:
    """Choose the ASR engine that `requested_asr` requests. No model is loaded yet, and "auto" downloads nothing.

    Args:
        requested_asr: "auto", "none", or an engine with an optional model, as the docstring of this module describes.
        provenance: provenance of the run; "auto" uses neither the lexicon nor the embedded Whisper for a live run.
        texts: the spoken texts. English-only models are used only if all of them are English.

    Raises:
        UnknownNameError: the requested engine or model does not exist.
        UsageError: the weights of the engine cannot be found, downloaded or saved.
        MissingExtraError: the package of the engine is not installed.
    """
    engine, _, model = requested_asr.partition(":")
    if engine == "auto":
        return _choose_asr_automatically(provenance, texts)
    if engine == NO_ASR:
        return AsrChoice(None, "none requested")
    factories: dict[str, Callable[[], Asr]] = {
        "whisper": lambda: create_whisper_asr(
            model
            or os.environ.get(WHISPER_ENVIRONMENT_VARIABLE)
            or _find_installed_whisper(texts)
            or _choose_model_to_download(texts)
        ),
        "faster-whisper": lambda: create_faster_whisper_asr(
            model or _find_installed_faster_whisper(texts) or _choose_model_to_download(texts)
        ),
        LEXICON_ENGINE: create_lexicon_asr,
        EMBEDDED_ENGINE: create_embedded_asr,
    }
    if engine not in factories:
        raise UnknownNameError("ASR", engine, ("auto", *factories, NO_ASR))
    return AsrChoice(factories[engine](), "requested")


def _choose_asr_automatically(provenance: Provenance, texts: Sequence[SpokenText]) -> AsrChoice:
    if named_model := os.environ.get(WHISPER_ENVIRONMENT_VARIABLE):
        return AsrChoice(create_whisper_asr(named_model), f"named by {WHISPER_ENVIRONMENT_VARIABLE}")
    if importlib.util.find_spec("whisper") and (model := _find_installed_whisper(texts)):
        return AsrChoice(create_whisper_asr(model), "the weights of Whisper are installed")
    if importlib.util.find_spec("faster_whisper") and (model := _find_installed_faster_whisper(texts)):
        return AsrChoice(create_faster_whisper_asr(model), "weights for faster-whisper are installed")
    if provenance is Provenance.EMULATED:
        bundled = create_lexicon_asr() if has_lexicon() else create_embedded_asr()
        return AsrChoice(bundled, "no official weights of Whisper are installed, and the run is emulated")
    return AsrChoice(
        None,
        "no official weights of Whisper are installed, and the bundled engines cannot judge a live service: "
        f"install them with `voicegauge asr install {_choose_model_to_download(texts)}`, use a file with "
        f"--asr whisper:FILE, or force a bundled one with --asr {LEXICON_ENGINE} or {EMBEDDED_ENGINE}",
    )


def _list_preferred_models(texts: Sequence[SpokenText]) -> list[str]:
    return [name for name in PREFERRED_MODEL_NAMES if _are_all_texts_english(texts) or not name.endswith(".en")]


def _are_all_texts_english(texts: Sequence[SpokenText]) -> bool:
    return all(get_base_language(spoken.language) == "en" for spoken in texts)


def _find_installed_whisper(texts: Sequence[SpokenText]) -> str | None:
    return next((name for name in _list_preferred_models(texts) if get_weights_cache_path(name).is_file()), None)


def _find_installed_faster_whisper(texts: Sequence[SpokenText]) -> str | None:
    installed = list_cached_models()
    return next((name for name in _list_preferred_models(texts) if name in installed), None)


def _choose_model_to_download(texts: Sequence[SpokenText]) -> str:
    return "base.en" if _are_all_texts_english(texts) else "base"


def count_unknown_words(asr: Asr, texts: Iterable[str]) -> KnownWords | None:
    """Return the number of words in English texts, and of those unknown to `asr`; `None` for an open vocabulary.

    Numbers count as known words.

    Raises:
        MissingExtraError: a package that the lexicon of the engine is computed from is not installed.
        UsageError: the cache folder cannot be written.
    """
    if not asr.has_closed_vocabulary:
        return None
    known = asr.list_known_words() if isinstance(asr, LexiconAsr) else list_known_words()
    words = [word for text in texts for word in _WORD_PATTERN.findall(text.casefold().replace("\u2019", "'"))]
    unknown = [word for word in words if word not in known and not any(map(str.isdigit, word))]
    return KnownWords(word_count=len(words), unknown_word_count=len(unknown))


# Defines the windows of 30 seconds in which all engines that run Whisper transcribe, and the options for them.


MAX_WINDOW_TOKENS = 224
"""Maximum number of tokens per window. This is Whisper's default, half of its text context, and is pinned here."""
WINDOW_DURATION_S = 30
"""Length of Whisper's window in seconds. Audio that fits into a window is transcribed without timestamps. Longer audio
needs timestamps to find the start of the next window."""


@dataclass
class WhisperEngine(ABC):
    """Base class of engines that run Whisper, with its weights and the options that concern its windows."""

    engine_name: ClassVar[str]
    model_name: str
    """The official model name, or the name of the checkpoint file or of the folder of the model."""
    weights_path: Path
    """The checkpoint of openai-whisper, or the folder of a model in CTranslate2's format."""
    short_weights_sha256: str
    """First hex digits of the SHA-256 of the weights."""
    _: KW_ONLY
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
    def id(self) -> str:
        """Engine, model and digest of the weights, such as "whisper:base.en@25a8566e"."""
        return f"{self.engine_name}:{self.model_name}@{self.short_weights_sha256}"

    def describe_common_settings(self, token_limit_name: str) -> dict[str, str]:
        """Return the options that both engines have; `token_limit_name` is the engine's name of the token limit."""
        per_second = self.max_tokens_per_s
        return {
            "temperature": "0.0",
            "fallback": "none",
            "condition_on_previous_text": "False",
            token_limit_name: str(MAX_WINDOW_TOKENS) if per_second is None else f"12 + {per_second:g} per second",
            "timestamps": f"beyond {WINDOW_DURATION_S} s",
            "no_speech_threshold": str(self.no_speech_threshold),
            "whole_windows": str(self.pads_to_whole_windows),
        }

    def compute_max_tokens(self, samples: Samples) -> int:
        """Return the maximum number of tokens in a window of `samples` at 16 kHz."""
        if self.max_tokens_per_s is None:
            return MAX_WINDOW_TOKENS
        duration_s = min(len(samples) / ASR_SAMPLE_RATE_HZ, WINDOW_DURATION_S)
        return min(MAX_WINDOW_TOKENS, 12 + round(self.max_tokens_per_s * duration_s))

    def build_common_options(self, samples: Samples, language: str) -> dict[str, Any]:
        """Return the keywords that the function `transcribe` of both engines has."""
        return {
            "language": get_base_language(language),
            "task": "transcribe",
            "temperature": 0.0,
            "condition_on_previous_text": False,
            "compression_ratio_threshold": None,
            "no_speech_threshold": self.no_speech_threshold,
            "without_timestamps": fits_into_window(samples),
        }

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
    """Whether audio at 16 kHz fits into one window of Whisper (`WINDOW_DURATION_S`)."""
    return len(samples) <= WINDOW_DURATION_S * ASR_SAMPLE_RATE_HZ


# Runs the ASR engine openai-whisper with all options pinned.


GPU_DEVICE = "cuda"
"""Name that torch gives to the device of a GPU, of NVIDIA or AMD."""
MIN_CLIP_SAMPLES = 160
"""Smallest number of samples of a clip in a batch: one frame of the spectrogram. `whisper.transcribe` returns no text
for shorter clips."""
GPU_CLIPS_PER_BATCH = 8
"""Number of clips that a GPU decodes at once. With the largest model a clip takes 0.6 GB, beside 6.2 GB of weights."""


@dataclass
class WhisperAsr(WhisperEngine):
    """A model of openai-whisper."""

    engine_name = "whisper"
    is_english_only: bool
    uses_gpu: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """The decoding options and the package versions that determine the transcripts."""
        gpu = {"device": GPU_DEVICE, "clips_per_batch": str(self.clips_per_batch)}
        own = {"fp16": "False", **(gpu if self.uses_gpu else {"threads": "1"})}
        return self.describe_common_settings("sample_len") | own | read_package_versions("openai-whisper", "torch")

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
            sample_len=self.compute_max_tokens(samples),
            fp16=False,
            logprob_threshold=None,
            verbose=None,
            **self.build_common_options(samples, language),
        )
        return str(result["text"]).strip()

    @property
    def clips_per_batch(self) -> int:
        """Number of clips that are decoded at once: several on a GPU, one on a processor."""
        return GPU_CLIPS_PER_BATCH if self.uses_gpu else 1

    def transcribe_batch(self, clips: Sequence[Samples], language: str) -> list[str]:
        """Transcribe clips at 16 kHz at once; clips of more than one window one after another.

        A GPU needs little more time for several clips than for one.
        """
        indices_by_max_tokens = defaultdict(list)
        for index, samples in enumerate(clips):
            # The end of the transcript of a window decides where the next window begins.
            if len(clips) > 1 and len(samples) >= MIN_CLIP_SAMPLES and fits_into_window(samples):
                indices_by_max_tokens[self.compute_max_tokens(samples)].append(index)
        transcripts: dict[int, str | None] = {}
        for max_tokens, indices in indices_by_max_tokens.items():
            batch = [self.pad_to_whole_windows(clips[index]) for index in indices]
            decoded = self._decode_windows(batch, get_base_language(language), max_tokens)
            transcripts.update(zip(indices, decoded, strict=True))
        return [
            self.transcribe(samples, language) if (transcript := transcripts.get(index)) is None else transcript
            for index, samples in enumerate(clips)
        ]

    def _decode_windows(self, clips: Sequence[Samples], language: str, max_tokens: int) -> list[str | None]:
        """Return the transcript of each clip, with the options and the result that `whisper.transcribe` has.

        If the memory of the GPU is too small for all clips, each half is decoded on its own.

        Returns:
            The transcripts in the order of the clips; `None` for a clip that has to be transcribed alone, because the
            model has written timestamps although none were requested.
        """
        import torch
        import whisper
        from whisper.audio import N_FRAMES, N_SAMPLES
        from whisper.tokenizer import get_tokenizer

        model = self._model
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
            if self.no_speech_threshold is not None and result.no_speech_prob > self.no_speech_threshold:
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

    @cached_property
    def _model(self) -> Any:
        import torch
        import whisper

        try:
            model = whisper.load_model(str(self.weights_path), device="cpu")
        except (RuntimeError, KeyError, TypeError) as error:  # the weights do not fit the declared dimensions
            raise UsageError(f"whisper:{self.weights_path}: is not a Whisper checkpoint") from error
        if self.uses_gpu:
            torch.backends.cudnn.allow_tf32 = False  # by default, convolutions round to 10 bits, matrix products not
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


_REQUIRED_MODEL_FILE_NAMES = {
    MODEL_FILE_NAME: "convert a model with ct2-transformers-converter, or give its folder",
    "tokenizer.json": "without it faster-whisper downloads one: convert with --copy_files tokenizer.json",
}
"""Files that the folder of a model must have, each with what to do if it is missing."""


@dataclass
class FasterWhisperAsr(WhisperEngine):
    """A Whisper model in CTranslate2's format."""

    engine_name = "faster-whisper"

    @property
    def settings(self) -> dict[str, str]:
        """The decoding options and the package versions that determine the transcripts."""
        own = {"beam_size": "1", "compute_type": "float32", "vad_filter": "False", "threads": "1"}
        versions = read_package_versions("faster-whisper", "ctranslate2")
        return self.describe_common_settings("max_new_tokens") | own | versions

    def supports_language(self, language: str) -> bool:
        """Whether the model was trained for `language`."""
        return get_base_language(language) in self._model.supported_languages

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe samples at 16 kHz."""
        segments, _ = self._model.transcribe(
            self.pad_to_whole_windows(samples),
            beam_size=1,
            log_prob_threshold=None,
            max_new_tokens=self.compute_max_tokens(samples),
            vad_filter=False,
            **self.build_common_options(samples, language),
        )
        return " ".join(segment.text.strip() for segment in segments)

    @cached_property
    def _model(self) -> Any:
        import faster_whisper

        try:
            return faster_whisper.WhisperModel(
                str(self.weights_path), device="cpu", compute_type="float32", cpu_threads=1, num_workers=1
            )
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"faster-whisper:{self.weights_path}: cannot be loaded: {error}") from error


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
    if "/" in model_name_or_folder and folder.is_dir():
        model_name = folder.resolve().name
    elif model_name_or_folder.startswith(("/", "./", "../", "~")):
        raise UsageError(f"faster-whisper:{model_name_or_folder}: there is no such folder")
    else:  # a folder in the current folder never replaces a model of that name
        model_name = model_name_or_folder
        folder = list_cached_models().get(model_name) or download_cached_model(model_name)
    for file, remedy in _REQUIRED_MODEL_FILE_NAMES.items():
        if not (folder / file).is_file():
            raise UsageError(f"faster-whisper:{folder}: has no {file}: {remedy}")
    return FasterWhisperAsr(model_name, folder, compute_short_sha256(folder / MODEL_FILE_NAME))


# Creates the engine that runs the embedded Whisper.


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


def create_embedded_asr(*, saves_memory: bool = False) -> WhisperAsr | FasterWhisperAsr:
    """Create the embedded engine on openai-whisper if it is installed, otherwise on faster-whisper.

    Args:
        saves_memory: whether faster-whisper is preferred, which takes half of the memory.

    Raises:
        MissingExtraError: neither openai-whisper nor faster-whisper is installed.
        UsageError: the cache folder cannot be written.
    """
    has_faster_whisper = importlib.util.find_spec("faster_whisper") is not None
    if importlib.util.find_spec("whisper") and not (saves_memory and has_faster_whisper):
        return create_embedded_whisper()
    if has_faster_whisper:
        return create_embedded_faster_whisper()
    raise MissingExtraError("faster-whisper, which the embedded Whisper runs on,", "bench")


def create_embedded_whisper() -> WhisperAsr:
    """Create the ASR engine that runs the embedded Whisper weights with openai-whisper.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    path, sha256 = unpack_embedded_checkpoint()
    return WhisperAsr(EMBEDDED_ENGINE, path, sha256, is_english_only=True, **_EMBEDDED_WHISPER_OPTIONS)


def create_embedded_faster_whisper() -> FasterWhisperAsr:
    """Create the ASR engine that runs the embedded Whisper weights with faster-whisper.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    return FasterWhisperAsr(EMBEDDED_ENGINE, *unpack_embedded_ctranslate2_folder(), **_EMBEDDED_WHISPER_OPTIONS)
