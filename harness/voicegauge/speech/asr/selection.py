"""Which recogniser serves, and why.

auto                    Whisper if its weights are here, else faster-whisper with weights here,
                        else, for an emulated run, the small Whisper that the package carries
whisper[:MODEL|FILE]    openai-whisper
faster-whisper[:MODEL|FOLDER]
embedded                the small Whisper of the package, whatever the run
none                    nothing is transcribed
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from voicegauge.errors import UnknownNameError
from voicegauge.model import Provenance
from voicegauge.speech.asr.base import Asr
from voicegauge.speech.asr.embedded import EMBEDDED, embedded_asr
from voicegauge.speech.asr.faster_whisper import cached_models, faster_whisper_asr
from voicegauge.speech.asr.weights import cached_weights
from voicegauge.speech.asr.whisper import whisper_asr
from voicegauge.speech.transcripts import base_language

WHISPER_VARIABLE = "VOICEGAUGE_WHISPER"
"""Environment variable: the model or checkpoint file that `auto` and `whisper` take."""
NONE = "none"
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
"""The most accurate that a laptop runs in reasonable time first; the slow ones last."""


class AsrChoice(NamedTuple):
    """What was chosen."""

    asr: Asr | None
    """`None` for "none", and where "auto" finds nothing to trust."""
    reason: str


class SpokenText(NamedTuple):
    """A text that is spoken."""

    language: str
    text: str


def choose_asr(spec: str, *, provenance: Provenance, texts: Sequence[SpokenText]) -> AsrChoice:
    """Choose the recogniser that `spec` names; "auto" takes the most trustworthy one that is here.

    Nothing is downloaded for "auto". No model is loaded yet.

    Args:
        spec: as the module says.
        provenance: of the run; a live one is not given to the embedded recogniser unasked.
        texts: that are spoken: their languages decide between models.

    Raises:
        UnknownNameError: no such engine or model.
        UsageError: the weights of the engine named are not to be had.
        MissingExtraError: the engine is not installed.
    """
    engine, _, model = spec.partition(":")
    if engine == "auto":
        return _choose(provenance, texts)
    if engine == NONE:
        return AsrChoice(None, "asked for none")
    makers: dict[str, Callable[[], Asr]] = {
        "whisper": lambda: whisper_asr(model or _default_whisper(texts)),
        "faster-whisper": lambda: faster_whisper_asr(model or _default_faster_whisper(texts)),
        EMBEDDED: embedded_asr,
    }
    if engine not in makers:
        raise UnknownNameError("ASR", engine, ("auto", *makers, NONE))
    return AsrChoice(makers[engine](), "asked for")


def _choose(provenance: Provenance, texts: Sequence[SpokenText]) -> AsrChoice:
    named = os.environ.get(WHISPER_VARIABLE)
    if named:
        return AsrChoice(whisper_asr(named), f"named by {WHISPER_VARIABLE}")
    if importlib.util.find_spec("whisper"):
        for model in _preferred(texts):
            if cached_weights(model).is_file():
                return AsrChoice(whisper_asr(model), "the weights of Whisper are here")
    if importlib.util.find_spec("faster_whisper"):
        here = cached_models()
        for model in _preferred(texts):
            if model in here:
                return AsrChoice(faster_whisper_asr(model), "weights for faster-whisper are here")
    if provenance is Provenance.EMULATED:
        return AsrChoice(embedded_asr(), "no official weights of Whisper are here, and the run is emulated")
    return AsrChoice(
        None,
        "no official weights of Whisper are here, and the embedded Whisper is no judge of a live service: "
        f"`voicegauge asr install {_default_name(texts)}` gets them, --asr whisper:FILE takes a file, "
        f"--asr {EMBEDDED} insists",
    )


def _preferred(texts: Sequence[SpokenText]) -> list[str]:
    return [name for name in PREFERRED_MODELS if _all_english(texts) or not name.endswith(".en")]


def _all_english(texts: Sequence[SpokenText]) -> bool:
    return all(base_language(spoken.language) == "en" for spoken in texts)


def _default_whisper(texts: Sequence[SpokenText]) -> str:
    named = os.environ.get(WHISPER_VARIABLE)
    here = (name for name in _preferred(texts) if cached_weights(name).is_file())
    return named or next(here, _default_name(texts))


def _default_faster_whisper(texts: Sequence[SpokenText]) -> str:
    here = cached_models()
    return next((name for name in _preferred(texts) if name in here), _default_name(texts))


def _default_name(texts: Sequence[SpokenText]) -> str:
    return "base.en" if _all_english(texts) else "base"
