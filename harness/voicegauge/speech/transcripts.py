"""Defines what an ASR engine is, transcribes audio with one, normalizes transcripts, and counts their errors.

The version of a normalizer is increased whenever the output of the normalizer changes, because error rates of different
versions are not comparable.

The word error rate (WER) is (S + D + I) / N, where N is the number of words in the reference. The character error rate
(CER) is the same with characters. The counts come from the minimal alignment that jiwer computes.

The weights and settings of an engine are pinned. Therefore a transcript depends only on the audio, the language, and
the id and settings of the engine. Several processes may write to the cache at the same time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from voicegauge.files import get_cache_folder
from voicegauge.model.sample import Score
from voicegauge.readings.reading_comparison import compare_readings
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.decoding import Samples
from voicegauge.speech.encoding import resample
from voicegauge.speech.speech_signal import is_steady_sound

# Normalizes reference texts and transcripts before they are compared, depending on the language.


ErrorUnit = Literal["word", "character"]
"""In what errors are counted."""

CHARACTER_LANGUAGES = frozenset({"zh", "cmn", "yue", "ja", "ko", "th", "lo", "km", "my", "bo"})
"""Languages whose errors are counted in characters. They are written without spaces between words. Korean is included
because its spacing varies in practice."""
VOWEL_MARK_LANGUAGES = frozenset({"as", "bn", "gu", "hi", "kn", "ml", "mr", "ne", "or", "pa", "sa", "si", "ta", "te"})
"""Languages whose vowels are combining marks. Whisper's basic normalizer replaces marks with spaces, which would split
the words of these languages into consonants."""


class TextNormalizer(NamedTuple):
    """A function that normalizes text, with its id and the unit in which errors of normalized text are counted."""

    id: str
    """Name and version, such as "whisper-english/1"."""
    error_unit: ErrorUnit
    """Whether errors in normalized texts are counted in words or in characters."""
    normalize: Callable[[str], str]
    """Returns a text as it is compared with others."""

    def __call__(self, text: str) -> str:
        """Normalize `text` to words separated by single spaces, or to characters without spaces."""
        return self.normalize(text)


def get_base_language(language_tag: str) -> str:
    """Return the language in a tag, without script and region, such as "en" for "en-GB"."""
    return language_tag.replace("_", "-").split("-")[0].lower()


def choose_normalizer(language: str) -> TextNormalizer:
    """Return the normalizer for `language`, a tag such as "en", "en-GB" or "zh-CN".

    - English: Whisper's English normalizer (numbers as digits, uniform contractions and spellings).
    - `CHARACTER_LANGUAGES`: NFKC and case folding; spaces, punctuation and symbols are removed.
    - `VOWEL_MARK_LANGUAGES`: the same, but words remain separated by spaces.
    - All other languages: Whisper's basic normalizer, after combining marks are removed. Otherwise it would split words
      at the dot of a lower-case "İ" and at Arabic and Hebrew vowel points, which only some texts contain.
    """
    base = get_base_language(language)
    if base == "en":
        return TextNormalizer(
            "whisper-english/1", "word", lambda text: _normalize_spaces(_load_whisper_english_normalizer()(text))
        )
    if base in CHARACTER_LANGUAGES:
        return TextNormalizer("characters/1", "character", lambda text: _normalize_to_words(text).replace(" ", ""))
    if base in VOWEL_MARK_LANGUAGES:
        return TextNormalizer("words-and-marks/1", "word", _normalize_to_words)
    return TextNormalizer("whisper-basic/2", "word", _normalize_basic)


@cache
def _load_whisper_english_normalizer() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    normalize: Callable[[str], str] = EnglishTextNormalizer()
    return normalize


@cache
def _load_whisper_basic_normalizer() -> Callable[[str], str]:
    from whisper_normalizer.basic import BasicTextNormalizer

    normalize: Callable[[str], str] = BasicTextNormalizer()
    return normalize


def _normalize_basic(text: str) -> str:
    letters = unicodedata.normalize("NFKC", text.lower())
    return _normalize_spaces(
        _load_whisper_basic_normalizer()("".join(char for char in letters if unicodedata.category(char)[0] != "M"))
    )


def _normalize_to_words(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Separators, punctuation, symbols and controls separate words; invisible joiners inside a word (Cf) are removed.
    characters = (
        "" if unicodedata.category(char) == "Cf" else " " if unicodedata.category(char)[0] in "ZPSC" else char
        for char in folded
    )
    return _normalize_spaces("".join(characters))


def _normalize_spaces(text: str) -> str:
    return " ".join(text.split())


# Counts hits, substitutions (S), deletions (D) and insertions (I) in a transcript.


_PARENTHESES_REMOVAL_TABLE = str.maketrans("()", "  ")
"""Translation table that removes parentheses. Whisper's normalizers omit text in parentheses, although a speaker reads
it aloud."""
AudioContent = Literal["speech", "noise", "silence", "missing", "undecodable"]
"""The kind of content in a sample's audio. Only audio with "speech" has a transcript."""


class ErrorCounts(NamedTuple):
    """Counts of words or characters in one alignment.

    `hits + substitutions + deletions` is the number of words or characters in the reference.
    """

    hits: int
    substitutions: int
    deletions: int
    insertions: int


def count_errors(reference: str, hypothesis: str, unit: ErrorUnit) -> ErrorCounts:
    """Align two normalized texts and count the errors in words or characters, depending on `unit`."""
    import jiwer

    expected, recognized = split_into_units(reference, unit), split_into_units(hypothesis, unit)
    if not expected or not recognized:  # jiwer rejects an empty reference
        return ErrorCounts(0, 0, len(expected), len(recognized))
    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    alignment = process(reference, hypothesis)
    return ErrorCounts(alignment.hits, alignment.substitutions, alignment.deletions, alignment.insertions)


def split_into_units(text: str, unit: ErrorUnit) -> list[str]:
    """Return the words or characters of a normalized text."""
    return text.split() if unit == "word" else list(text)


MAX_SCORED_CHARACTERS_BEYOND_REFERENCE = 20_000
"""Number of characters by which a transcript may be longer than ten times its reference. What a service adds after that
does not count: aligning megabytes of text would take minutes, and the rate of errors is far above 1 without it."""


def score_transcript(
    *, sample_id: str, reference: str, transcript: str, language: str, audio_content: AudioContent = "speech"
) -> Score:
    """Normalize a transcript and its reference text, and count the errors.

    If the audio has no speech, every word or character of the reference counts as deleted, and `transcript` is
    ignored. Text in parentheses counts in the reference, because it is spoken. In a transcript it does not count,
    because there it is a note such as "(music)".
    """
    normalize = choose_normalizer(language)
    transcript = transcript if audio_content == "speech" else ""
    # Cut before it is normalized, which takes as long as the transcript is.
    transcript = transcript[: 10 * len(reference) + MAX_SCORED_CHARACTERS_BEYOND_REFERENCE]
    expected, hypothesis = normalize(reference.translate(_PARENTHESES_REMOVAL_TABLE)), normalize(transcript)
    counts = count_errors(expected, hypothesis, normalize.error_unit)
    return Score(
        sample_id=sample_id,
        audio_content=audio_content,
        unit=normalize.error_unit,
        reference=expected,
        hypothesis=hypothesis,
        transcript=transcript,
        reference_unit_count=len(split_into_units(expected, normalize.error_unit)),
        **counts._asdict(),
        readings=compare_readings(reference, transcript, language),
    )


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


def compute_short_sha256(path: Path) -> str:
    """Return the first eight hex digits of the SHA-256 over the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]


def read_package_versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package, by its name."""
    return {name: metadata.version(name) for name in packages}


# Transcribes encoded audio: decodes it, detects silence, resamples it and recognizes the speech.


TRANSCRIPTION_VERSION = 3
"""Version of the way that audio is prepared for transcription. It is increased when decoding, the detection of silence
and noise, or resampling change, so that older cached transcripts are not used."""


class Transcription(NamedTuple):
    """The transcript of a piece of audio, or the reason why there is no transcript."""

    audio_content: AudioContent
    """The kind of content in the audio, such as "speech" or "silence"."""
    transcript: str
    """The recognized text. It is empty if `audio_content` is not "speech"."""


def transcribe_audio_batch(asr: Asr, audio_clips: Sequence[EncodedAudio], language: str) -> list[Transcription]:
    """Decode and resample `audio_clips`, and transcribe those that contain speech, all at once.

    Silence, noise and hum are not passed to the engine, because speech recognizers make up words for them. The result
    has a transcription for each of `audio_clips`, in their order.
    """
    transcriptions: list[Transcription] = []
    clips: dict[int, Samples] = {}
    for index, audio in enumerate(audio_clips):
        if audio.decoded_audio is None:
            transcriptions.append(Transcription("undecodable", ""))
        elif audio.is_silent:
            transcriptions.append(Transcription("silence", ""))
        elif is_steady_sound(audio.decoded_audio.samples, audio.decoded_audio.sample_rate_hz):
            transcriptions.append(Transcription("noise", ""))
        else:
            transcriptions.append(Transcription("speech", ""))
            clips[index] = resample(audio.decoded_audio.samples, audio.decoded_audio.sample_rate_hz, ASR_SAMPLE_RATE_HZ)
    for index, transcript in zip(clips, asr.transcribe_batch(list(clips.values()), language), strict=True):
        transcriptions[index] = Transcription("speech", transcript)
    return transcriptions


# Saves transcripts between runs, by audio and ASR engine.


_LOCK_TIMEOUT_S = 30.0
"""Seconds for which a process waits while another process is writing."""
_CREATE_TABLE_SQL = """CREATE TABLE IF NOT EXISTS transcription (
    key TEXT PRIMARY KEY, content TEXT NOT NULL, transcript TEXT NOT NULL
) WITHOUT ROWID"""


class TranscriptCache:
    """Saved transcripts of one ASR engine.

    A cache that cannot be read or written behaves like an empty one, because its only purpose is to save time.
    """

    def __init__(self, asr_id: str, settings: Mapping[str, str], folder: Path | None = None) -> None:
        """Open the cache of one engine.

        Args:
            asr_id: `id` of the engine.
            settings: `settings` of the engine.
            folder: folder that contains the database; `get_cache_folder()` if `None`.
        """
        self._asr = f"{asr_id} {json.dumps(dict(settings), sort_keys=True)}"
        self._path = (folder or get_cache_folder()) / "transcripts.sqlite3"

    def get(self, audio_key: str, language: str) -> Transcription | None:
        """Return the saved transcription of the audio with the key `audio_key`; `None` if no transcription is saved.

        Args:
            audio_key: digest of the audio. If the samples have no header, their declared format is appended.
            language: language of the speech.
        """
        with contextlib.suppress(sqlite3.Error, OSError), self._open_connection() as connection:
            row = connection.execute(
                "SELECT content, transcript FROM transcription WHERE key = ?", (self._build_key(audio_key, language),)
            ).fetchone()
            return Transcription(row[0], row[1]) if row else None
        return None

    def put(self, audio_key: str, language: str, transcription: Transcription) -> None:
        """Save a transcription; `get` returns it for the same `audio_key` and `language`."""
        with contextlib.suppress(sqlite3.Error, OSError), self._open_connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO transcription VALUES (?, ?, ?)",
                (self._build_key(audio_key, language), transcription.audio_content, transcription.transcript),
            )

    def _build_key(self, audio_key: str, language: str) -> str:
        return f"{TRANSCRIPTION_VERSION} {audio_key} {language} {self._asr}"

    @contextlib.contextmanager
    def _open_connection(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S)
        try:
            with connection:  # commits, or rolls back after an error
                connection.execute(_CREATE_TABLE_SQL)
                yield connection
        finally:
            connection.close()
