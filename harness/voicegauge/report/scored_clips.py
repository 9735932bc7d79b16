"""Selects clips to listen to and marks their misrecognized words, or the excerpts in which wrong audio is audible."""

from __future__ import annotations

import base64
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from voicegauge.files import read_file
from voicegauge.model.base import Number, Record
from voicegauge.model.run import ListeningSet
from voicegauge.model.sample import AudioFacts, ListeningOutcome, Sample, Score

# Aligns a reference text with the ASR hypothesis, segment by segment.


DiffKind = Literal["equal", "substitution", "deletion", "insertion"]
"""How a segment of the transcript differs from the text."""

_DIFF_KIND_BY_JIWER_TYPE: dict[str, DiffKind] = {
    "equal": "equal",
    "substitute": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}
"""Kinds of segments by the names that jiwer gives them."""


class DiffSegment(Record, frozen=True, kw_only=True):
    """A segment of the alignment; the hypothesis of a deletion and the reference of an insertion are empty."""

    kind: DiffKind
    reference: str
    hypothesis: str


def diff_words(score: Score) -> tuple[DiffSegment, ...]:
    """Align a score's normalized reference and hypothesis, in words or characters."""
    separator = "" if score.unit == "character" else " "
    reference, hypothesis = (
        _split_into_words_or_characters(score.reference, score.unit),
        _split_into_words_or_characters(score.hypothesis, score.unit),
    )
    if not reference or not hypothesis:  # nothing to align
        kind: DiffKind = "deletion" if reference else "insertion"
        whole = DiffSegment(kind=kind, reference=separator.join(reference), hypothesis=separator.join(hypothesis))
        return (whole,) if reference or hypothesis else ()
    import jiwer

    # jiwer splits sentences at spaces, so characters are passed as words of one letter.
    chunks = jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0]
    return tuple(
        DiffSegment(
            kind=_DIFF_KIND_BY_JIWER_TYPE[chunk.type],
            reference=separator.join(reference[chunk.ref_start_idx : chunk.ref_end_idx]),
            hypothesis=separator.join(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in chunks
    )


def _split_into_words_or_characters(text: str, unit: Literal["word", "character"]) -> list[str]:
    return text.split() if unit == "word" else [letter for letter in text if not letter.isspace()]


# Selects clips to listen to, the worst ones and random ones, and loads their audio for the players of the page.


MAX_CLIPS_PER_TARGET = 3
"""Maximum number of clips per target, so that a bad target does not displace all others."""
DEFAULT_MAX_CLIPS = 24
"""Default number of clips of a run: about as many as a person listens to."""
MAX_UNCOMPRESSED_CLIP_BYTES = 64 * 1024
"""Size in bytes above which clips are re-encoded as MP3, which is about a tenth of the size of WAV."""
MAX_PAGE_AUDIO_BYTES = 6 * 1024 * 1024
"""Maximum number of bytes of audio in a page; base64 makes it 8 MiB, which can still be sent by mail."""

_MEDIA_TYPE_BY_CONTAINER = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg"}
"""Media types by container, for containers that browsers play. The provider's own media type may be wrong."""


class ScoredClip(Record, frozen=True, kw_only=True):
    """A scored sample with audio: reference, transcript and their differences."""

    sample_id: str
    target: str
    language: str
    category: str
    text: str
    """The text as it was sent."""
    transcript: str
    """The transcript as the ASR engine wrote it."""
    audio_content: Literal["speech", "noise", "silence", "missing", "undecodable"]
    """What the audio contains; only "speech" has a transcript."""
    error_rate: float
    """Errors of the clip divided by the units of its text."""
    error_count: int
    """Number of errors of the clip."""
    unit_count: int
    """Number of words or characters of the reference, as `unit` says."""
    unit: Literal["word", "character"]
    diff: tuple[DiffSegment, ...]
    """Alignment of the normalized text with the normalized transcript."""
    audio_facts: AudioFacts


class ClipPlayer(NamedTuple):
    """The audio of a clip in the page, or the reason why it is missing."""

    data_uri: str | None
    """A `data:` URI with the audio; `None` if there is no audio."""
    note: str
    """What was changed in the audio or why it is missing; empty if it is the provider's own bytes."""


_ClipT = TypeVar("_ClipT")


def select_worst_clips(
    samples: Sequence[Sample], scores: Sequence[Score], *, max_clips: int = DEFAULT_MAX_CLIPS
) -> tuple[ScoredClip, ...]:
    """Return up to `max_clips` samples with audio and errors, highest error rates first, a few per target."""
    by_id = {sample.id: sample for sample in samples if _has_playable_audio(sample)}
    ranked = sorted(
        (score for score in scores if score.errors and score.sample_id in by_id),
        key=lambda score: (-score.error_rate, -score.errors, score.sample_id),
    )
    clips_of_target: Counter[str] = Counter()
    clips = []
    # `max_clips` applies to what is left after the limit of each target, so that others move up.
    for score in ranked:
        sample = by_id[score.sample_id]
        clips_of_target[sample.target] += 1
        if clips_of_target[sample.target] <= MAX_CLIPS_PER_TARGET:
            clips.append(_build_clip(sample, score))
    return tuple(clips[:max_clips])


def select_random_clips(
    samples: Sequence[Sample], scores: Sequence[Score], *, seed: int, excluded_sample_ids: Collection[str] = ()
) -> tuple[ScoredClip, ...]:
    """Return one clip per target, of the same random text; if a target failed for that text, of another one.

    Args:
        samples: the samples of a run.
        scores: their scores.
        seed: determines the order in which texts are tried.
        excluded_sample_ids: ids of samples that are shown elsewhere; they are selected only if a target has no others.
    """
    by_id = {score.sample_id: score for score in scores}
    playable = [sample for sample in samples if _has_playable_audio(sample) and sample.id in by_id]
    texts = sorted({sample.text_id for sample in playable})
    random.Random(seed).shuffle(texts)  # noqa: S311 - not for security
    order = {text: number for number, text in enumerate(texts)}
    chosen: dict[str, Sample] = {}
    # The same random order of texts for all targets, so that most of them say the same text.
    for sample in sorted(playable, key=lambda one: (one.id in excluded_sample_ids, order[one.text_id], one.id)):
        chosen.setdefault(sample.target, sample)
    return tuple(_build_clip(sample, by_id[sample.id]) for _, sample in sorted(chosen.items()))


def _has_playable_audio(sample: Sample) -> bool:
    """Whether the sample succeeded, has audio and is not a warm-up; a failed sample is listed as a failure instead."""
    return sample.audio is not None and sample.failure is None and not sample.is_warmup


def _build_clip(sample: Sample, score: Score) -> ScoredClip:
    assert sample.audio  # the caller selects samples with audio
    return ScoredClip(
        sample_id=sample.id,
        target=sample.target,
        language=sample.language,
        category=sample.category,
        text=sample.text,
        transcript=score.transcript,
        audio_content=score.audio_content,
        error_rate=score.error_rate,
        error_count=score.errors,
        unit_count=score.reference_unit_count,
        unit=score.unit,
        diff=diff_words(score),
        audio_facts=sample.audio,
    )


def load_players(
    clips: Iterable[tuple[Path, ScoredClip]], *, max_bytes: int = MAX_PAGE_AUDIO_BYTES
) -> list[ClipPlayer]:
    """Return a player for each clip, with its audio until `max_bytes` of audio are used up.

    Args:
        clips: each clip with the folder of its run.
        max_bytes: total size of the audio of all players.
    """
    return _load_players_within_limit(clips, max_bytes, _load_player)


def _load_players_within_limit(
    clips: Iterable[tuple[Path, _ClipT]], max_bytes: int, load: Callable[[Path, _ClipT, int], tuple[ClipPlayer, int]]
) -> list[ClipPlayer]:
    """Load a player for each clip; `load` receives the number of bytes that are left, and returns how many it used."""
    players = []
    for folder, clip in clips:
        player, size_bytes = load(folder, clip, max_bytes)
        max_bytes -= size_bytes
        players.append(player)
    return players


def _load_player(folder: Path, clip: ScoredClip, max_bytes: int) -> tuple[ClipPlayer, int]:
    """Return the player of one clip, and the size of its audio in bytes."""
    audio_facts = clip.audio_facts
    if audio_facts.container is None or audio_facts.audio_duration_s is None:
        return ClipPlayer(None, "The audio could not be decoded, so there is nothing to play."), 0
    content = read_measured_audio(folder, audio_facts)
    if content is None:
        return ClipPlayer(None, "The audio file is missing from the run's folder, or is not the measured one."), 0
    media_type, note = _MEDIA_TYPE_BY_CONTAINER.get(audio_facts.container), ""
    # MP3 stays as it is: encoding it again would save nothing and change the sound.
    if media_type is None or (len(content) > MAX_UNCOMPRESSED_CLIP_BYTES and media_type != "audio/mpeg"):
        encoded = _encode_mp3(content, audio_facts)
        if encoded is None:
            return ClipPlayer(None, f"Browsers cannot play {audio_facts.container}: {audio_facts.file_path}"), 0
        content, media_type = encoded
        note = f"Re-encoded as MP3; measured as {audio_facts.container}."
    if len(content) > max_bytes:
        return ClipPlayer(None, f"Left out to keep the page small: {audio_facts.file_path}"), 0
    return ClipPlayer(f"data:{media_type};base64,{base64.b64encode(content).decode()}", note), len(content)


def read_measured_audio(folder: Path, audio_facts: AudioFacts) -> bytes | None:
    """Return the measured audio; `None` if the file is missing, is outside the run's folder, or was changed."""
    # The path comes from a file that anybody may have written, and links may lead out of the folder.
    path = (folder / audio_facts.file_path).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    # A file that was replaced later would be played beside the numbers of another.
    content = read_file(path)
    return content if hashlib.sha256(content).hexdigest() == audio_facts.sha256 else None


def _encode_mp3(content: bytes, audio_facts: AudioFacts) -> tuple[bytes, str] | None:
    """Return `content` as MP3 with the media type of MP3; `None` if `content` cannot be decoded."""
    from voicegauge.speech.audio_measurement import EncodedAudio
    from voicegauge.speech.encoding import encode

    decoded = EncodedAudio.from_facts(content, audio_facts).decoded_audio
    if decoded is None:
        return None
    return encode(decoded.samples, decoded.sample_rate_hz, "mp3")


MAX_WRONG_CLIPS_PER_TARGET = 3
"""Maximum number of wrong clips that are shown for a target, so that a bad target does not displace all others."""
MAX_WRONG_CLIPS = 24
"""Maximum number of wrong clips that are shown for a run."""
EXCERPT_BEFORE_S, EXCERPT_AFTER_S = 1.0, 5.0
"""Length of an excerpt before and after the time at which the defect is audible, in seconds."""
MAX_EXCERPT_BYTES_PER_PAGE = 2 * 1024 * 1024
"""Maximum number of bytes of all excerpts in a page."""


class WrongClip(Record, frozen=True, kw_only=True):
    """A sample whose audio is wrong or in doubt."""

    sample_id: str
    target: str
    language: str
    text: str
    """The text as it was sent."""
    outcome: ListeningOutcome
    rule: str
    """Id of the rule that the audio breaks; `voicegauge explain` says what it means."""
    explanation: str
    """What was found, with times."""
    start_s: Number | None
    """Time at which the defect is audible, in seconds; `None` for no particular time."""
    audio_facts: AudioFacts


def select_wrong_clips(samples: Sequence[Sample], listening: ListeningSet | None) -> tuple[WrongClip, ...]:
    """Return the clips whose audio is wrong, then those in doubt; empty without verdicts (`listening` is `None`).

    There are a few per target, beginning with clips that break different rules.
    """
    if listening is None:
        return ()
    by_id = {sample.id: sample for sample in samples}
    clips_of_target, clips_of_rule = Counter[str](), Counter[tuple[str, str]]()
    ranked = []
    for verdict in listening.verdicts:
        sample = by_id.get(verdict.sample_id)
        if sample is None or sample.audio is None or verdict.rule is None:
            continue
        clips_of_rule[sample.target, verdict.rule] += 1
        rank = verdict.outcome != "wrong", clips_of_rule[sample.target, verdict.rule]
        clip = WrongClip(
            sample_id=sample.id,
            target=sample.target,
            language=sample.language,
            text=sample.text,
            outcome=verdict.outcome,
            rule=verdict.rule,
            explanation=verdict.explanation,
            start_s=verdict.start_s,
            audio_facts=sample.audio,
        )
        ranked.append((rank, clip))
    chosen = []
    for _, clip in sorted(ranked, key=lambda pair: pair[0]):
        clips_of_target[clip.target] += 1
        if clips_of_target[clip.target] <= MAX_WRONG_CLIPS_PER_TARGET:
            chosen.append(clip)
    return tuple(chosen[:MAX_WRONG_CLIPS])


def load_excerpts(clips: Iterable[tuple[Path, WrongClip]]) -> list[ClipPlayer]:
    """Return a player for each clip of a page, with the part of its audio in which the defect is audible, as MP3.

    Excerpts are loaded until `MAX_EXCERPT_BYTES_PER_PAGE` are used up.

    Args:
        clips: each clip with the folder of its run.
    """
    return _load_players_within_limit(clips, MAX_EXCERPT_BYTES_PER_PAGE, _load_excerpt)


def _load_excerpt(folder: Path, clip: WrongClip, max_bytes: int) -> tuple[ClipPlayer, int]:
    from voicegauge.speech.audio_measurement import EncodedAudio
    from voicegauge.speech.encoding import encode

    content = read_measured_audio(folder, clip.audio_facts)
    if content is None:
        return ClipPlayer(None, "The audio file is missing from the run's folder, or is not the measured one."), 0
    decoded = EncodedAudio.from_facts(content, clip.audio_facts).decoded_audio
    if decoded is None:
        return ClipPlayer(None, "The audio could not be decoded, so there is nothing to play."), 0
    # A defect without a particular time is audible from the beginning.
    defect_s = min(clip.start_s or 0.0, decoded.duration_s)
    start_s, end_s = max(0.0, defect_s - EXCERPT_BEFORE_S), min(decoded.duration_s, defect_s + EXCERPT_AFTER_S)
    rate_hz = decoded.sample_rate_hz
    data, media_type = encode(decoded.samples[int(start_s * rate_hz) : int(end_s * rate_hz)], rate_hz, "mp3")
    if len(data) > max_bytes:
        return ClipPlayer(None, f"Left out to keep the page small: {clip.audio_facts.file_path}"), 0
    note = f"From {start_s:.1f} to {end_s:.1f} s of {decoded.duration_s:.1f} s, as MP3."
    return ClipPlayer(f"data:{media_type};base64,{base64.b64encode(data).decode()}", note), len(data)
