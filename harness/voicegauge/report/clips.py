"""The clips that were understood worst, and their audio for a player."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from voicegauge.model import AudioFacts, Record, Sample, Score
from voicegauge.report.diff import DiffSegment, word_diff

CLIPS_PER_TARGET = 3
"""So that one bad target does not hide the others."""
CLIPS = 24
"""About as many as a person listens to."""
AS_IT_IS_BYTES = 64 * 1024
"""A larger clip is encoded again as MP3, to about a tenth of a WAV file."""
AUDIO_BYTES = 6 * 1024 * 1024
"""Of all players of one page: with base64 it grows to 8 MiB, which a mail still carries."""

_MEDIA_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg"}
"""Containers that browsers play. What the provider declares is not trusted here."""


class WorstClip(Record, frozen=True, kw_only=True):
    """One utterance with errors: what was expected and what was heard."""

    sample_id: str
    target: str
    language: str
    category: str
    text: str
    """As it was sent."""
    transcript: str
    """As the ASR wrote it."""
    audio_content: Literal["speech", "silence", "missing", "undecodable"]
    error_rate: float
    errors: int
    units: int
    unit: Literal["word", "character"]
    diff: tuple[DiffSegment, ...]
    """Of the normalised texts."""
    audio: AudioFacts


class ClipPlayer(NamedTuple):
    """A clip's audio in the page, or why it is not there."""

    src: str | None
    """A `data:` URI."""
    note: str
    """What was changed or left out; empty where the bytes are the provider's own."""


def worst_clips(samples: Sequence[Sample], scores: Sequence[Score], *, limit: int = CLIPS) -> tuple[WorstClip, ...]:
    """Up to `limit` samples with audio and errors, the highest error rates first."""
    by_id = {sample.id: sample for sample in samples if sample.audio and not sample.warmup}
    ranked = sorted(
        (score for score in scores if score.errors and score.sample_id in by_id),
        key=lambda score: (-score.error_rate, -score.errors, score.sample_id),
    )
    taken: Counter[str] = Counter()
    clips = []
    for score in ranked:
        sample = by_id[score.sample_id]
        taken[sample.target] += 1
        if taken[sample.target] <= CLIPS_PER_TARGET:
            clips.append(_clip(sample, score))
    return tuple(clips[:limit])


def _clip(sample: Sample, score: Score) -> WorstClip:
    assert sample.audio  # chosen for it
    return WorstClip(
        sample_id=sample.id,
        target=sample.target,
        language=sample.language,
        category=sample.category,
        text=sample.text,
        transcript=score.transcript,
        audio_content=score.audio_content,
        error_rate=score.error_rate,
        errors=score.errors,
        units=score.units,
        unit=score.unit,
        diff=word_diff(score),
        audio=sample.audio,
    )


def players(clips: Iterable[tuple[Path, WorstClip]], *, limit: int = AUDIO_BYTES) -> list[ClipPlayer]:
    """The audio of each clip, read from its run's folder, as long as `limit` bytes of audio last."""
    made = []
    for folder, clip in clips:
        player, size = _player(folder, clip.audio, limit)
        limit -= size
        made.append(player)
    return made


def _player(folder: Path, facts: AudioFacts, limit: int) -> tuple[ClipPlayer, int]:
    if facts.container is None or facts.audio_s is None:
        return ClipPlayer(None, "The audio could not be decoded, so there is nothing to play."), 0
    content = _read(folder, facts)
    if content is None:
        return ClipPlayer(None, "The audio file is not in the run's folder, or is not the one measured."), 0
    kind, note = _MEDIA_TYPES.get(facts.container), ""
    if kind is None or (len(content) > AS_IT_IS_BYTES and kind != "audio/mpeg"):
        again = _as_mp3(content, facts)
        if again is None:
            return ClipPlayer(None, f"Browsers do not play {facts.container} as it came: {facts.file}"), 0
        content, kind = again
        note = f"Encoded again as MP3; measured as {facts.container}."
    if len(content) > limit:
        return ClipPlayer(None, f"Left out, to keep the page small: {facts.file}"), 0
    return ClipPlayer(f"data:{kind};base64,{base64.b64encode(content).decode()}", note), len(content)


def _read(folder: Path, facts: AudioFacts) -> bytes | None:
    """The file that was measured, known by its digest; a path that leads elsewhere is not followed."""
    path = (folder / facts.file).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    content = path.read_bytes()
    return content if hashlib.sha256(content).hexdigest() == facts.sha256 else None


def _as_mp3(content: bytes, facts: AudioFacts) -> tuple[bytes, str] | None:
    """`content` encoded again; `None` where it cannot be decoded any more."""
    from voicegauge.speech.audio import EncodedAudio, encode

    decoded = EncodedAudio.from_facts(content, facts).decoded
    if decoded is None:
        return None
    return encode(decoded.samples, decoded.sample_rate_hz, "mp3")
