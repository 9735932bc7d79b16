"""Chooses the ASR engine, and counts the words that it cannot recognize.

auto                    openai-whisper if its weights are installed, else faster-whisper if its weights are installed,
                        else, only for an emulated run, the engine `lexicon`, or the embedded Whisper if the word
                        list of that engine is not installed
whisper[:MODEL|FILE]    openai-whisper
faster-whisper[:MODEL|FOLDER]
lexicon                 the phoneme network of this package with a lexicon, for any run
embedded                the small Whisper that is part of the package, for any run
none                    no engine, so that nothing is transcribed
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from voicegauge.errors import UnknownNameError
from voicegauge.model.base import Provenance
from voicegauge.model.run import KnownWords
from voicegauge.speech.asr_interface import Asr
from voicegauge.speech.lexicon_engine import LEXICON_ENGINE, LexiconAsr, create_lexicon_asr, has_lexicon
from voicegauge.speech.transcripts import get_base_language
from voicegauge.speech.whisper_engines import (
    EMBEDDED_ENGINE,
    create_embedded_asr,
    create_faster_whisper_asr,
    create_whisper_asr,
    list_cached_models,
    list_known_words,
)
from voicegauge.speech.whisper_installation import get_weights_cache_path

WHISPER_ENVIRONMENT_VARIABLE = "VOICEGAUGE_WHISPER"
"""Name of the environment variable that contains the model or checkpoint file for `auto` and `whisper`."""
NO_ASR = "none"
PREFERRED_MODELS = (
    "small.en",
    "small",
    "base.en",
    "base",
    "tiny.en",
    "tiny",
    "medium.en",
    "medium",
    "turbo",
    "large-v3-turbo",
    "large-v3",
    "large-v2",
    "large-v1",
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
        return _choose_automatically(provenance, texts)
    if engine == NO_ASR:
        return AsrChoice(None, "none requested")
    factories: dict[str, Callable[[], Asr]] = {
        "whisper": lambda: create_whisper_asr(model or _choose_openai_whisper_model(texts)),
        "faster-whisper": lambda: create_faster_whisper_asr(model or _choose_faster_whisper_model(texts)),
        LEXICON_ENGINE: create_lexicon_asr,
        EMBEDDED_ENGINE: create_embedded_asr,
    }
    if engine not in factories:
        raise UnknownNameError("ASR", engine, ("auto", *factories, NO_ASR))
    return AsrChoice(factories[engine](), "requested")


def _choose_automatically(provenance: Provenance, texts: Sequence[SpokenText]) -> AsrChoice:
    named_model = os.environ.get(WHISPER_ENVIRONMENT_VARIABLE)
    if named_model:
        return AsrChoice(create_whisper_asr(named_model), f"named by {WHISPER_ENVIRONMENT_VARIABLE}")
    if importlib.util.find_spec("whisper"):
        for model in _list_preferred_models(texts):
            if get_weights_cache_path(model).is_file():
                return AsrChoice(create_whisper_asr(model), "the weights of Whisper are installed")
    if importlib.util.find_spec("faster_whisper"):
        installed = list_cached_models()
        for model in _list_preferred_models(texts):
            if model in installed:
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
    return [name for name in PREFERRED_MODELS if _are_all_english(texts) or not name.endswith(".en")]


def _are_all_english(texts: Sequence[SpokenText]) -> bool:
    return all(get_base_language(spoken.language) == "en" for spoken in texts)


def _choose_openai_whisper_model(texts: Sequence[SpokenText]) -> str:
    named_model = os.environ.get(WHISPER_ENVIRONMENT_VARIABLE)
    installed_models = (name for name in _list_preferred_models(texts) if get_weights_cache_path(name).is_file())
    return named_model or next(installed_models, _choose_model_to_download(texts))


def _choose_faster_whisper_model(texts: Sequence[SpokenText]) -> str:
    installed = list_cached_models()
    return next((name for name in _list_preferred_models(texts) if name in installed), _choose_model_to_download(texts))


def _choose_model_to_download(texts: Sequence[SpokenText]) -> str:
    return "base.en" if _are_all_english(texts) else "base"


def count_unknown_words(asr: Asr, texts: Iterable[str]) -> KnownWords | None:
    """Return the number of words in English texts, and of those that `asr` does not know; `None` if it knows any word.

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
