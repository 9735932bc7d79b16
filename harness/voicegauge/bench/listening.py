"""Listens to the audio of a run: a sample that is noise, another text or a part of its text is not a success.

Each clip is judged on its own (`speech/listening.py`), then beside the others of its target: equal samples for
different texts, an unusual pace, a text that fits less well than those of the other samples.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import NamedTuple

from voicegauge.bench._transcription_workers import AudioClip, open_process_pool, start_processes_ignoring_interrupts
from voicegauge.errors import MissingExtraError
from voicegauge.model.base import Count, Record
from voicegauge.model.run import ListeningSet, Run
from voicegauge.model.sample import ListeningVerdict, Sample
from voicegauge.printable_text import format_count
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.listening import (
    OTHER_TEXT_RULE,
    TOO_FEW_COMPARED_CLIPS_REASON,
    UNFITTING_RULE,
    UNUSUAL_PACE_RULE,
    ClipJudgement,
    can_report_unfitting_text,
    compare_pace,
    get_listening_method,
    list_spoken_letters,
    listen_to_clip,
)

MAX_CLIPS_IN_THIS_PROCESS = 12
"""Up to this number of different clips, this process judges them itself: starting others would take longer."""

MAX_NAMED_REASONS_NOT_JUDGED = 3
"""Largest number of reasons for not judging clips that a sentence names, the most frequent ones first."""

ListeningProgressReporter = Callable[[int, int], None]
"""Function that is called with the number of clips judged so far and the number of all different clips."""


class ListeningSummary(Record, frozen=True, kw_only=True):
    """How many samples of one target say their text."""

    right_count: Count
    """Number of samples that say their text."""
    wrong_count: Count
    """Number of samples that do not say their text, or that are not speech."""
    doubtful_count: Count
    """Number of samples of which a person should decide."""
    not_judged_count: Count
    """Number of samples for which it could not be determined whether they say their text. They do not count as
    right."""
    defect_count_by_rule: dict[str, int] = {}
    """Number of wrong and doubtful samples by the rule that they break, most frequent first."""
    not_judged_count_by_reason: dict[str, int] = {}
    """Number of samples that were not judged by reason, most frequent first."""

    @property
    def judged_count(self) -> int:
        """Number of samples with a verdict."""
        return self.right_count + self.wrong_count + self.doubtful_count

    @property
    def is_doubtful_throughout(self) -> bool:
        """Whether some samples are doubtful, and all others wrong."""
        return bool(self.doubtful_count) and not self.right_count + self.not_judged_count


class _ClipKey(NamedTuple):
    """What determines the verdict on a clip."""

    audio_digest: str
    text: str
    language: str


def listen_to_run(
    run_folder: Path, run: Run, *, report_progress: ListeningProgressReporter | None = None
) -> ListeningSet | None:
    """Judge whether the audio of a run says its texts.

    Return the verdicts; `None` if the targets of the run do not speak texts.

    Args:
        run_folder: folder of the run, with its audio.
        run: the run. Warm-up samples and failed ones are left out.
        report_progress: called after each clip.

    Raises:
        DataError: an audio file of the run is missing or was changed.
    """
    if run.manifest.kind != "speech":
        return None
    samples = [one for one in run.samples if one.is_counted and one.failure is None and one.audio is not None]
    clips = {_build_key(sample): AudioClip.of_sample(run_folder, sample) for sample in samples}
    judgement_by_clip: dict[_ClipKey, ClipJudgement] = {}
    for key, clip in _judge_all_clips(clips):
        judgement_by_clip[key] = clip
        if report_progress is not None:
            report_progress(len(judgement_by_clip), len(clips))
    return ListeningSet(
        method=get_listening_method(),
        verdicts=tuple(_iterate_verdicts(samples, [judgement_by_clip[_build_key(sample)] for sample in samples])),
    )


def summarize_listening(samples: Iterable[Sample], listening: ListeningSet | None) -> ListeningSummary | None:
    """Count the verdicts on samples of one target; `None` if nobody listened to the run."""
    if listening is None:
        return None
    ids = {sample.id for sample in samples}
    verdicts = [one for one in listening.verdicts if one.sample_id in ids]
    outcomes = Counter(one.outcome for one in verdicts)
    rules = Counter(one.rule for one in verdicts if one.rule is not None)
    reasons = Counter(one.explanation for one in verdicts if one.outcome == "not judged")
    return ListeningSummary(
        right_count=outcomes["right"],
        wrong_count=outcomes["wrong"],
        doubtful_count=outcomes["doubtful"],
        not_judged_count=outcomes["not judged"],
        defect_count_by_rule=dict(rules.most_common()),
        not_judged_count_by_reason=dict(reasons.most_common()),
    )


def describe_unjudged_clips(summaries: Iterable[ListeningSummary | None]) -> str:
    """Return how many clips of all targets were not judged, and why; empty if all were."""
    reasons = Counter[str]()
    for one in summaries:
        reasons.update(one.not_judged_count_by_reason if one is not None else {})
    if not reasons:
        return ""
    named = [f"{count}: {reason}" for reason, count in reasons.most_common(MAX_NAMED_REASONS_NOT_JUDGED)]
    more = [f"{len(reasons) - len(named)} other reasons"] if len(reasons) > len(named) else []
    clips = format_count(reasons.total(), "clip")
    return f"words not judged in {clips}, so these have not passed: {'; '.join([*named, *more])}"


def _build_key(sample: Sample) -> _ClipKey:
    facts = sample.audio
    assert facts is not None, "only samples with audio are listened to"
    encoding = f" {facts.raw_format} {facts.sample_rate_hz} {facts.channels}" if facts.raw_format else ""
    return _ClipKey(facts.sha256 + encoding, sample.text, sample.language)


# Listens to the different clips of a run, in this process or in others.


def _judge_all_clips(clips: dict[_ClipKey, AudioClip]) -> Iterator[tuple[_ClipKey, ClipJudgement]]:
    if len(clips) <= MAX_CLIPS_IN_THIS_PROCESS:
        for key, clip in clips.items():
            yield key, _judge_clip(clip, key.text)
        return
    worker_count = min(os.cpu_count() or 1, len(clips))
    waiting = iter(clips.items())
    in_flight: dict[Future[ClipJudgement], _ClipKey] = {}
    with open_process_pool(worker_count) as pool:
        while True:
            with start_processes_ignoring_interrupts():
                for key, clip in itertools.islice(waiting, pool.max_groups_in_flight - len(in_flight)):
                    in_flight[pool.executor.submit(_judge_clip, clip, key.text)] = key
            if not in_flight:
                return
            for done in wait(in_flight, return_when=FIRST_COMPLETED).done:
                yield in_flight.pop(done), done.result()


def _judge_clip(clip: AudioClip, text: str) -> ClipJudgement:
    audio = EncodedAudio.from_facts(clip.read(), clip.audio_facts)
    try:
        return listen_to_clip(audio, text, clip.language)
    except (MissingExtraError, ValueError) as error:  # espeak-ng is missing, or cannot pronounce the text
        return ClipJudgement("not judged", str(error))


# Compares the clips of a run with each other.


def _iterate_verdicts(samples: Sequence[Sample], judgements: Sequence[ClipJudgement]) -> Iterator[ListeningVerdict]:
    """Yield the verdict on each sample. `judgements` has that of each clip alone, in the order of `samples`."""
    by_target: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        by_target[sample.target].append(index)
    is_judged = {
        target: _has_enough_clips_to_doubt([judgements[index] for index in indices])
        for target, indices in by_target.items()
    }
    other_texts = _find_other_texts(samples, judgements)
    for index, (sample, clip) in enumerate(zip(samples, judgements, strict=True)):
        if clip.outcome == "doubtful" and clip.rule == UNFITTING_RULE and not is_judged[sample.target]:
            clip = ClipJudgement("not judged", TOO_FEW_COMPARED_CLIPS_REASON)
        if clip.outcome != "wrong" and index in other_texts:
            clip = ClipJudgement("wrong", f"the same samples as for: {other_texts[index][:80]}", OTHER_TEXT_RULE, 0.0)
        if clip.outcome in ("right", "not judged"):
            other_paces = [
                judgements[other].pace
                for other in by_target[sample.target]
                if other != index and samples[other].language == sample.language
            ]
            clip = _judge_pace(clip, judgements[index].pace, other_paces)
        yield ListeningVerdict(
            sample_id=sample.id,
            outcome=clip.outcome,
            rule=clip.rule,
            explanation=clip.explanation,
            start_s=clip.start_s,
        )


def _has_enough_clips_to_doubt(judgements: Sequence[ClipJudgement]) -> bool:
    """Whether enough clips of a target were compared with their texts to doubt those that do not fit."""
    return can_report_unfitting_text(
        sum(one.fits_text for one in judgements), sum(one.rule == UNFITTING_RULE for one in judgements)
    )


def _find_other_texts(samples: Sequence[Sample], judgements: Sequence[ClipJudgement]) -> dict[int, str]:
    """Return the text of an earlier clip with the same audio but a different text, by index of the later sample.

    Only clips of the same provider are compared.
    """
    texts: dict[tuple[str, str], str] = {}
    other_texts = {}
    for index, (sample, clip) in enumerate(zip(samples, judgements, strict=True)):
        if clip.digest is not None:
            text = texts.setdefault((sample.target.partition("/")[0], clip.digest), sample.text)
            if list_spoken_letters(text) != list_spoken_letters(sample.text):
                other_texts[index] = text
    return other_texts


def _judge_pace(
    clip_judgement: ClipJudgement, pace: float | None, other_paces: Iterable[float | None]
) -> ClipJudgement:
    """Return the judgement on a clip; it is doubtful if the pace is unusual among `other_paces` of the same voice."""
    compared = compare_pace(pace, [one for one in other_paces if one is not None]) if pace is not None else None
    if compared is None or not compared.is_unusual:
        return clip_judgement
    return ClipJudgement("doubtful", compared.describe(), UNUSUAL_PACE_RULE)
