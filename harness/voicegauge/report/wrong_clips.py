"""Selects the clips whose audio is wrong or in doubt, and cuts the excerpts in which that is audible."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from voicegauge.model.base import Number, Record
from voicegauge.model.run import ListeningSet
from voicegauge.model.sample import AudioFacts, ListeningOutcome, Sample
from voicegauge.report.scored_clips import ClipPlayer, read_measured_audio

MAX_SHOWN_CLIPS_PER_TARGET = 3
"""Maximum number of wrong clips that are shown for a target, so that a bad target does not displace all others."""
MAX_SHOWN_CLIPS = 24
"""Maximum number of wrong clips that are shown for a run."""
EXCERPT_BEFORE_S, EXCERPT_AFTER_S = 1.0, 5.0
"""Length of an excerpt before and after the time at which the defect is audible, in seconds."""
_MAX_EXCERPT_BYTES = 2 * 1024 * 1024
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
    """Return the clips whose audio is wrong, then those in doubt, a few per target, of different rules first."""
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
        if clips_of_target[clip.target] <= MAX_SHOWN_CLIPS_PER_TARGET:
            chosen.append(clip)
    return tuple(chosen[:MAX_SHOWN_CLIPS])


def load_excerpts(clips: Iterable[tuple[Path, WrongClip]]) -> list[ClipPlayer]:
    """Return a player for each clip, with the part of its audio in which the defect is audible, as MP3.

    Args:
        clips: each clip with the folder of its run.
    """
    players, left_bytes = [], _MAX_EXCERPT_BYTES
    for folder, clip in clips:
        player, size_bytes = _load_excerpt(folder, clip, left_bytes)
        left_bytes -= size_bytes
        players.append(player)
    return players


def _load_excerpt(folder: Path, clip: WrongClip, max_bytes: int) -> tuple[ClipPlayer, int]:
    from voicegauge.speech.audio_measurement import EncodedAudio
    from voicegauge.speech.encoding import encode

    content = read_measured_audio(folder, clip.audio_facts)
    if content is None:
        return ClipPlayer(None, "The audio file is missing from the run's folder, or is not the measured one."), 0
    decoded = EncodedAudio.from_facts(content, clip.audio_facts).decoded_audio
    if decoded is None:
        return ClipPlayer(None, "The audio could not be decoded, so there is nothing to play."), 0
    defect_s = min(clip.start_s or 0.0, decoded.duration_s)
    start_s, end_s = max(0.0, defect_s - EXCERPT_BEFORE_S), min(decoded.duration_s, defect_s + EXCERPT_AFTER_S)
    rate_hz = decoded.sample_rate_hz
    data, media_type = encode(decoded.samples[int(start_s * rate_hz) : int(end_s * rate_hz)], rate_hz, "mp3")
    if len(data) > max_bytes:
        return ClipPlayer(None, f"Left out to keep the page small: {clip.audio_facts.file_path}"), 0
    note = f"From {start_s:.1f} to {end_s:.1f} s of {decoded.duration_s:.1f} s, as MP3."
    return ClipPlayer(f"data:{media_type};base64,{base64.b64encode(data).decode()}", note), len(data)
