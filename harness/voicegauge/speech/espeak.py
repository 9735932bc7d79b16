"""Speaks with espeak-ng in a process of its own.

Equal arguments give equal samples on all machines that have the same wheel of espeakng-loader.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np

from voicegauge.errors import MissingExtraError
from voicegauge.speech.decoding import Samples

MIN_WORDS_PER_MINUTE = 80
"""The slowest rate of espeak-ng, in words per minute. For slower speech, pauses are inserted between words."""
WORD_GAP_UNIT_S = 0.031
"""Duration of one unit of espeak-ng's word gap, in seconds, measured at the slowest speaking rate of espeak-ng."""
DITHER_SNR_DB = 50.0
"""Signal-to-noise ratio of the noise that is added to speech, in decibels. Without noise, recognizers make errors on
the digital silence in synthetic speech."""
_MAX_SILENT_SAMPLE_MAGNITUDE = 0.002
"""Largest magnitude of a sample that is silent."""
_NOISE_BLOCK_FRAMES = 2**16
"""Number of frames to which noise is added at a time."""
MAX_SPOKEN_TEXT_CHARACTERS = 100_000
"""Largest number of characters of a text that is spoken: about two hours of speech."""
MAX_CACHED_SAMPLES_BYTES = 16 * 2**20
"""How much recent speech is kept, in bytes of samples: six minutes."""
MAX_CACHED_REPLIES = 1_000
"""Largest number of recent replies that are kept, also of those without samples."""

_ESPEAK_LANGUAGE_BY_TAG = {
    "en": "en-us",
    "en-gb": "en-gb-x-rp",
    "en-uk": "en-gb-x-rp",
    "zh": "cmn",
    "zh-cn": "cmn",
    "zh-tw": "cmn",
    "zh-hans": "cmn",
    "zh-hant": "cmn",
    "cmn-cn": "cmn",
    "zh-hk": "yue",
    "no": "nb",
    "iw": "he",
    "in": "id",
}
"""Common language codes for which espeak-ng uses another code."""
_SCRIPT_CHARACTER_RANGES = (
    ("ja", 0x3040, 0x30FF),
    ("ko", 0xAC00, 0xD7AF),
    ("ko", 0x1100, 0x11FF),
    ("zh", 0x4E00, 0x9FFF),
    ("hi", 0x0900, 0x097F),
    ("bn", 0x0980, 0x09FF),
    ("ta", 0x0B80, 0x0BFF),
    ("th", 0x0E00, 0x0E7F),
    ("ar", 0x0600, 0x06FF),
    ("he", 0x0590, 0x05FF),
    ("el", 0x0370, 0x03FF),
    ("ru", 0x0400, 0x04FF),
)
"""The language that each range of characters stands for, as tuples (language, first code point, last code point). Kana
come first, because the other characters of Japanese are also used in Chinese."""


class SpokenWord(NamedTuple):
    """When a word is spoken."""

    start_index: int
    """Index of its first character in the text."""
    end_index: int
    """Index after its last character."""
    start_s: float
    """Start in seconds from the first sample."""
    end_s: float
    """End in seconds: where the next word starts, or where the clause falls silent."""


class TimedSpeech(NamedTuple):
    """Synthesized speech and the times of its words, as espeak-ng reports them."""

    samples: Samples
    words: tuple[SpokenWord, ...]


class SynthesisSettings(TypedDict):
    """How a text is spoken."""

    language: str
    """Tag of the language, such as "en", "pt-BR" or "zh"."""
    voice_variant: str | None
    """Name of an espeak-ng variant, such as "f2" or "klatt4"; `None` for the default voice."""
    words_per_minute: int
    """Speaking rate; below `MIN_WORDS_PER_MINUTE`, pauses between words slow the speech."""
    pitch: int
    """Pitch from 0 to 99, where 50 is normal."""
    sample_rate_hz: int
    """Sample rate of the result."""
    seed: int | None
    """Seed of the added noise, whose level is `DITHER_SNR_DB` below the speech; `None` adds none, so that pauses are
    digitally silent."""


def synthesize(text: str, **settings: Unpack[SynthesisSettings]) -> Samples:
    """Synthesize a text of at most `MAX_SPOKEN_TEXT_CHARACTERS` to mono samples of shape (frames,), full scale at 1.0.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: the language or the variant is unknown, the text is too long, or espeak-ng failed.
    """
    return synthesize_with_times(text, **settings).samples


def synthesize_with_times(text: str, **settings: Unpack[SynthesisSettings]) -> TimedSpeech:
    """Synthesize a text as `synthesize` does, and return when each word is spoken.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: the language or the variant is unknown, the text is too long, or espeak-ng failed.
    """
    from voicegauge.speech.encoding import resample

    words_per_minute, seed = settings["words_per_minute"], settings["seed"]
    command = {
        "text": text,
        "voice": _build_voice_name(settings["language"], settings["voice_variant"]),
        "rate": max(words_per_minute, MIN_WORDS_PER_MINUTE),
        "pitch": min(max(settings["pitch"], 0), 99),
        "word_gap": _compute_word_gap_units(words_per_minute),
    }
    head, raw = _get_espeak_process().execute(command)
    # The native rate of espeak-ng is fixed, so that every other one is computed from it.
    rate, samples = int(head["sample_rate_hz"]), np.frombuffer(raw, "<i2").astype(np.float32)
    samples /= np.float32(32768)
    words = _build_spoken_words(head["words"], head["clause_ends"], samples, rate)
    samples = resample(samples, rate, settings["sample_rate_hz"])
    # Resampling overshoots where the signal changes abruptly.
    samples = np.clip(samples, -1.0, 1.0, out=samples)
    if seed is not None:
        add_noise_floor(samples, samples, seed)
    return TimedSpeech(samples, words)


def _build_spoken_words(
    words: list[list[int]], clause_ends: list[int], samples: Samples, sample_rate_hz: int
) -> tuple[SpokenWord, ...]:
    """Return the words with times; each ends where the next one starts, or before the silence at its clause's end.

    Args:
        words: for each word, the index of its first character, its number of characters and the index of its first
            sample.
        clause_ends: indices of the samples at which clauses end.
        samples: the synthesized speech.
        sample_rate_hz: its sample rate.
    """
    ends = np.array([*clause_ends, len(samples)])
    spoken = []
    for index, (position, length, start) in enumerate(words):
        # A word of which espeak-ng speaks nothing may start where the last clause ends.
        clause_end = int(ends[np.searchsorted(ends, start, side="right").clip(max=len(ends) - 1)])
        end = min(clause_end, words[index + 1][2]) if index + 1 < len(words) else clause_end
        audible = np.flatnonzero(np.abs(samples[start:end]) > _MAX_SILENT_SAMPLE_MAGNITUDE)
        if len(audible):
            end = start + int(audible[-1]) + 1
        spoken.append(SpokenWord(position, position + length, start / sample_rate_hz, end / sample_rate_hz))
    return tuple(spoken)


def transcribe_phonemes(text: str, *, language: str) -> tuple[str, ...]:
    """Return how espeak-ng pronounces each clause of `text`, in the International Phonetic Alphabet.

    Words are separated by spaces, and vowels are preceded by stress marks. Two short words may be one.

    Args:
        text: the text, of at most `MAX_SPOKEN_TEXT_CHARACTERS` characters.
        language: tag of the language, such as "en".

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: the language is unknown, the text is too long, or espeak-ng failed.
    """
    head, _ = _get_espeak_process().execute({"text": text, "voice": _build_voice_name(language, None)})
    return tuple(head["phonemes"])


def has_voice_for(language: str) -> bool:
    """Whether espeak-ng has a voice for `language`.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
    """
    return _find_espeak_language(language) is not None


def guess_language(text: str, default_language: str) -> str:
    """Guess the language from the script of most letters in `text`; `default_language` if that is the Latin script."""
    if text.isascii():
        return default_language
    counts: dict[str, int] = {}
    for letter in text:
        code = ord(letter)
        name = next((name for name, low, high in _SCRIPT_CHARACTER_RANGES if low <= code <= high), None)
        if name is None and letter.isalpha():
            name = default_language
        if name is not None:
            counts[name] = counts.get(name, 0) + 1
    if "ja" in counts:  # if the text contains kana, its Chinese characters are Japanese too
        counts["ja"] += counts.pop("zh", 0)
    guess = max(counts, key=lambda name: counts[name], default=default_language)
    # The script does not contradict a default language that is written in it as well, such as Ukrainian in Cyrillic.
    return default_language if _find_language_of_script(default_language) == guess else guess


def _find_language_of_script(language: str) -> str:
    """Return the language in `_SCRIPT_CHARACTER_RANGES` that stands for the script of `language`."""
    shared = {"ru": ("ru", "uk", "bg", "sr", "mk", "be", "kk"), "ar": ("ar", "fa", "ur"), "hi": ("hi", "mr", "ne")}
    base = language.lower().partition("-")[0]
    return next((script for script, languages in shared.items() if base in languages), base)


def _compute_word_gap_units(words_per_minute: int) -> int:
    """Return the pause after each word that slows speech to `words_per_minute`, in units of espeak-ng's word gap.

    The result is 0 if espeak-ng reaches this rate without pauses.
    """
    if words_per_minute >= MIN_WORDS_PER_MINUTE:
        return 0
    return round((60 / max(words_per_minute, 5) - 60 / MIN_WORDS_PER_MINUTE) / WORD_GAP_UNIT_S)


def add_noise_floor(samples: Samples, speech: Samples, seed: int) -> None:
    """Add noise to `samples` in place, `DITHER_SNR_DB` below the level of `speech`. The same seed adds the same noise.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0: those of the speech, or of a pause beside it.
        speech: the samples whose root mean square is the level of the speech.
        seed: seed of the noise.
    """
    level = float(np.sqrt(np.mean(np.square(speech)))) if len(speech) else 0.0
    rng, factor = np.random.default_rng(seed), np.float32(level * 10 ** (-DITHER_SNR_DB / 20))
    # In blocks, because the noise of an hour of speech takes hundreds of megabytes.
    for start in range(0, len(samples), _NOISE_BLOCK_FRAMES):
        block = samples[start : start + _NOISE_BLOCK_FRAMES]
        block += rng.standard_normal(len(block)).astype(np.float32) * factor


def has_synthesizer() -> bool:
    """Whether espeak-ng is installed."""
    return importlib.util.find_spec("espeakng_loader") is not None


def require_synthesizer() -> None:
    """Check that espeak-ng is installed, before an emulator starts that needs it.

    Raises:
        MissingExtraError: espeak-ng is not installed.
    """
    if not has_synthesizer():
        raise MissingExtraError("espeak-ng (espeakng-loader), which the emulator uses,", "emulator")


def _find_espeak_data_folder() -> Path:
    require_synthesizer()
    import espeakng_loader

    return Path(espeakng_loader.get_data_path())


@functools.cache
def _list_espeak_languages() -> dict[str, str]:
    """Return the names of espeak-ng's languages, with the same names in lower case as keys."""
    return {path.name.lower(): path.name for path in (_find_espeak_data_folder() / "lang").rglob("*") if path.is_file()}


@functools.cache
def list_voice_variants() -> frozenset[str]:
    """Return the names of espeak-ng's voice variants, which can be used with any language.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
    """
    return frozenset(path.name for path in (_find_espeak_data_folder() / "voices" / "!v").iterdir())


def _find_espeak_language(language: str) -> str | None:
    known = _list_espeak_languages()
    tag = language.lower().replace("_", "-")
    base = tag.partition("-")[0]
    # The whole tag first: espeak-ng has regional voices of some languages, and of others only one.
    for name in (_ESPEAK_LANGUAGE_BY_TAG.get(tag, tag), _ESPEAK_LANGUAGE_BY_TAG.get(base, base)):
        if name in known:
            return known[name]
    return None


def _build_voice_name(language: str, voice_variant: str | None) -> str:
    name = _find_espeak_language(language)
    if name is None:
        raise ValueError(f"espeak-ng does not speak {language!r}")
    if voice_variant is None:
        return name
    if voice_variant not in list_voice_variants():
        # espeak-ng silently uses the default voice for an unknown variant.
        raise ValueError(
            f"espeak-ng has no variant {voice_variant!r}; it has {', '.join(sorted(list_voice_variants()))}"
        )
    return f"{name}+{voice_variant}"


class _EspeakProcess:
    """The process that runs espeak-ng. It is started for the first text, and started again if it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: OrderedDict[str, tuple[dict[str, Any], bytes]] = OrderedDict()
        """Recent replies by command. A check asks for a sentence in each format and sample rate, which is one text
        to espeak-ng, and a fork for each."""
        atexit.register(self.stop)

    def execute(self, command: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Execute a command of `_espeak_worker`; return the header of the reply, and its 16-bit samples if it has any.

        Raises:
            ValueError: the text is too long, or espeak-ng reported an error.
        """
        if len(command["text"]) > MAX_SPOKEN_TEXT_CHARACTERS:
            raise ValueError(f"text of {len(command['text'])} characters; at most {MAX_SPOKEN_TEXT_CHARACTERS}")
        # Equal commands give equal bytes, so that the line itself is the key of the cached reply.
        command_line = json.dumps(command)
        with self._lock:
            if command_line in self._replies:
                self._replies.move_to_end(command_line)
                return self._replies[command_line]
            try:
                head, samples = self._send_command(command_line)
            # The process was killed, or ended between two commands. A command changes nothing, so it can be sent again.
            except (OSError, EOFError):
                self._end_process()
                head, samples = self._send_command(command_line)
            except BaseException:
                # After Ctrl-C, the reply is still to come, and would be read as the reply to the next command.
                self._end_process()
                raise
            if "error" in head:
                raise ValueError(head["error"])
            self._replies[command_line] = head, samples
            while sum(len(kept) for _, kept in self._replies.values()) > MAX_CACHED_SAMPLES_BYTES:
                self._replies.popitem(last=False)
            while len(self._replies) > MAX_CACHED_REPLIES:
                self._replies.popitem(last=False)
        return head, samples

    def _send_command(self, command_line: str) -> tuple[dict[str, Any], bytes]:
        process = self._get_running_process()
        assert process.stdin is not None
        process.stdin.write(command_line.encode() + b"\n")
        process.stdin.flush()
        head = self._read_reply_header(process)
        assert process.stdout is not None
        samples = process.stdout.read(head.get("bytes", 0))
        if len(samples) < head.get("bytes", 0):
            raise EOFError("the espeak-ng process ended")
        return head, samples

    def _get_running_process(self) -> subprocess.Popen[bytes]:
        """Return the process, which is started if it does not run."""
        if self._process is None or self._process.poll() is not None:
            self._end_process()
            self._process = subprocess.Popen(
                # -P: imports nothing from the current folder, which may be a stranger's repository.
                [sys.executable, "-P", "-m", "voicegauge.speech._espeak_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # not interrupted by Ctrl-C; it exits when its standard input is closed
            )
            head = self._read_reply_header(self._process)
            if "error" in head:
                raise ValueError(head["error"])
        return self._process

    @staticmethod
    def _read_reply_header(process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise EOFError("the espeak-ng process ended")
        head: dict[str, Any] = json.loads(line)
        return head

    def _end_process(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        if process.poll() is None:
            # With the fork that speaks, which would go on to the end of a text that nobody will read.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def stop(self) -> None:
        """Stop the process of espeak-ng."""
        with self._lock:
            self._end_process()


@functools.cache
def _get_espeak_process() -> _EspeakProcess:
    _find_espeak_data_folder()  # raises if espeak-ng is not installed
    return _EspeakProcess()
