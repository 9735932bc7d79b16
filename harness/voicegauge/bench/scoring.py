"""Scores a run: transcribes its samples and counts the recognition errors, and judges whether they say their texts.

Every sample is scored, including failed ones and excluding warm-up. Transcription runs in
separate processes, so that it does not disturb the timings of this process.

A sample that is noise, another text or a part of its text is not a success. Each clip is therefore judged on its own
(`speech/listening.py`), then beside the others of its target: equal samples for different texts, an unusual pace, a
text that fits less well than those of the other samples.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from voicegauge.bench._transcription_workers import (
    AudioClip,
    ClusterConnection,
    TranscriptCacheKey,
    TranscriptionProgressReporter,
    TranscriptionsByCacheKey,
    build_transcript_cache_key,
    call_in_pool,
    list_delivered_clips,
    move_to_gpu_if_available,
    open_process_pool,
    transcribe_clips,
)
from voicegauge.errors import MissingExtraError
from voicegauge.model.base import Count, Provenance, Record
from voicegauge.model.run import ListeningSet, ReferenceSpeechErrors, Run, ScoreSet
from voicegauge.model.sample import ListeningVerdict, Sample, Score
from voicegauge.printable_text import format_count
from voicegauge.speech.asr_engines import AsrChoice, SpokenText, choose_asr, count_unknown_words
from voicegauge.speech.audio_measurement import MIN_SPEECH_S, SILENCE_DBFS, EncodedAudio
from voicegauge.speech.encoding import encode
from voicegauge.speech.listening import (
    OTHER_TEXT_RULE,
    TOO_FEW_COMPARED_CLIPS_REASON,
    UNFITTING_TEXT_RULE,
    UNUSUAL_PACE_RULE,
    ClipJudgement,
    can_report_unfitting_text,
    compare_pace,
    get_listening_method,
    list_spoken_letters,
    listen_to_clip,
)
from voicegauge.speech.transcripts import Asr, AudioContent, Transcription, choose_normalizer, score_transcript

TARGET_TRANSCRIPTS_LABEL = "each target's own transcripts"
"""Name shown instead of an ASR engine in runs of speech to text, in which the targets themselves transcribe."""
MAX_TRANSCRIBING_PROCESSES = 4
"""Default maximum number of processes. Each loads its own model, and many large models would fill the memory."""
REFERENCE_VOICE = "klatt5"
"""The espeak-ng variant that the embedded ASR engine recognizes best; the remaining errors are its own."""
REFERENCE_WORDS_PER_MINUTE = 175
"""Speaking rate of the reference speech, in words per minute."""
_REFERENCE_SAMPLE_RATE_HZ = 24_000
"""Sample rate of the reference speech."""


def choose_scoring_asr(asr_spec: str, provenance: Provenance, texts: Iterable[SpokenText]) -> AsrChoice:
    """Choose the ASR engine of a run, before anything is paid for.

    Args:
        asr_spec: value of the --asr option; see `speech.asr_engines.choose_asr`.
        provenance: provenance of the run; live runs need a trustworthy engine.
        texts: the texts of the run.

    Returns:
        The choice; its `asr` is `None` if no suitable engine is installed.

    Raises:
        VoicegaugeError: see `speech.asr_engines.choose_asr`.
    """
    return choose_asr(asr_spec, provenance=provenance, texts=sorted(set(texts)))


def score_run(
    run_folder: Path,
    run: Run,
    asr_spec: str,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    report_progress: TranscriptionProgressReporter | None = None,
) -> ScoreSet | None:
    """Score every sample of `run` except warm-up.

    Args:
        run_folder: folder of the run, with its audio.
        run: the run to score. Samples in a language that the ASR engine does not support get no
            score; `ScoreSet.unsupported_languages` lists these languages.
        asr_spec: value of the --asr option; see `speech.asr_engines.choose_asr`.
        workers: number of processes; if `None`, one per processor, at most `MAX_TRANSCRIBING_PROCESSES`, and one if
            this machine has a GPU that the ASR engine can use.
        cluster: address of a Dask scheduler whose workers transcribe instead; `None` for this machine.
        report_progress: called after each clip; `None` for no reports.

    Returns:
        The scores; `None` if `choose_scoring_asr` finds no ASR engine.

    Raises:
        DataError: an audio file of the run is missing or was changed.
        UnreachableError: no scheduler responds at `cluster`, or its workers disappeared. What was transcribed is
            cached: the same call goes on with the rest.
        VoicegaugeError: see `speech.asr_engines.choose_asr`.
    """
    samples = [sample for sample in run.samples if sample.is_counted]
    if run.manifest.kind == "transcription":
        return _score_transcripts_by_targets(samples)
    texts = [SpokenText(sample.language, sample.text) for sample in samples]
    asr, reason = choose_scoring_asr(asr_spec, run.manifest.provenance, texts)
    if asr is None:
        return None
    with contextlib.ExitStack() as resources:
        connection = resources.enter_context(ClusterConnection(cluster)) if cluster is not None else None
        asr = move_to_gpu_if_available(asr, connection)
        languages = sorted({text.language for text in texts})
        left_out = tuple(language for language in languages if not asr.supports_language(language))
        supported = [sample for sample in samples if sample.language not in left_out]
        # Computes the lexicon of an engine that has one, once, before several processes need it.
        known_words = count_unknown_words(asr, {one.text for one in supported})
        reference_folder = resources.enter_context(tempfile.TemporaryDirectory(prefix="voicegauge-"))
        references = _synthesize_reference_speech(Path(reference_folder), supported)
        clips = [AudioClip.of_sample(run_folder, sample) for sample in supported if sample.audio]
        clips += references.values()
        # On a GPU a single process, because each one would load a model of its own into the GPU's memory.
        usual_workers = 1 if asr.clips_per_batch > 1 else min(os.cpu_count() or 1, MAX_TRANSCRIBING_PROCESSES)
        transcripts = transcribe_clips(
            asr,
            clips,
            workers=workers or usual_workers,
            cluster=connection,
            report_progress=report_progress,
        )
    return ScoreSet(
        asr=asr.id,
        asr_reason=reason,
        normalizer=_list_normalizer_ids(supported),
        settings=_collect_scoring_settings(asr),
        unsupported_languages=left_out,
        has_closed_vocabulary=asr.has_closed_vocabulary,
        known_words=known_words,
        scores=tuple(_score_sample(sample, transcripts) for sample in supported),
        reference_speech_errors=_count_reference_speech_errors(references, transcripts),
    )


def _list_normalizer_ids(samples: Sequence[Sample]) -> str:
    return ", ".join(sorted({choose_normalizer(sample.language).id for sample in samples}))


def _score_transcripts_by_targets(samples: Sequence[Sample]) -> ScoreSet:
    """Score a run of speech to text, in which each target has written its transcripts itself."""

    def score_own_transcript(sample: Sample) -> Score:
        text = sample.transcript
        audio_content: AudioContent = "missing" if text is None else "speech" if text.strip() else "silence"
        reference = SpokenText(sample.language, sample.text)
        return _score_transcription(sample.id, reference, Transcription(audio_content, text or ""))

    return ScoreSet(
        asr=TARGET_TRANSCRIPTS_LABEL,
        asr_reason="speech to text was measured",
        normalizer=_list_normalizer_ids(samples),
        settings=_list_versions_of_counting_libraries(),
        scores=tuple(map(score_own_transcript, samples)),
    )


def _synthesize_reference_speech(references_folder: Path, samples: Sequence[Sample]) -> dict[SpokenText, AudioClip]:
    """Synthesize the texts of `samples` in one fixed voice; leave out languages for which espeak-ng has no voice.

    Returns:
        The clips by text, which are saved in `references_folder`; empty if the synthesizer is not installed.
    """
    from voicegauge.speech.espeak import has_voice_for, synthesize

    references = {}
    try:
        for text in sorted({SpokenText(sample.language, sample.text) for sample in samples}):
            if has_voice_for(text.language):
                speech = synthesize(
                    text.text,
                    language=text.language,
                    voice_variant=REFERENCE_VOICE,
                    words_per_minute=REFERENCE_WORDS_PER_MINUTE,
                    pitch=50,
                    sample_rate_hz=_REFERENCE_SAMPLE_RATE_HZ,
                    seed=0,
                )
                wav = encode(speech, _REFERENCE_SAMPLE_RATE_HZ, "wav")[0]
                audio = EncodedAudio(wav, media_type="audio/wav")
                facts = audio.measure_facts(f"{audio.sha256}.wav")
                (references_folder / facts.file_path).write_bytes(wav)
                references[text] = AudioClip(references_folder / facts.file_path, facts, text.language)
    except MissingExtraError:
        return {}
    return references


def _score_sample(sample: Sample, transcriptions: TranscriptionsByCacheKey) -> Score:
    """Return the score of a sample; without audio, all words of its text count as deleted."""
    transcription = Transcription("missing", "")
    if sample.audio:
        transcription = transcriptions[build_transcript_cache_key(sample.audio, sample.language)]
    return _score_transcription(sample.id, SpokenText(sample.language, sample.text), transcription)


def _score_transcription(sample_id: str, reference: SpokenText, transcription: Transcription) -> Score:
    return score_transcript(
        sample_id=sample_id,
        reference=reference.text,
        transcript=transcription.transcript,
        language=reference.language,
        audio_content=transcription.audio_content,
    )


def _count_reference_speech_errors(
    reference_clips: dict[SpokenText, AudioClip], transcriptions: TranscriptionsByCacheKey
) -> tuple[ReferenceSpeechErrors, ...]:
    """Count the errors of the ASR engine on the reference speech, by language."""
    by_language: dict[str, list[Score]] = {}
    for text, clip in reference_clips.items():
        score = _score_transcription("reference", text, transcriptions[clip.cache_key])
        by_language.setdefault(text.language, []).append(score)
    return tuple(
        ReferenceSpeechErrors(
            language=language,
            unit=scores[0].unit,
            reference_unit_count=sum(one.reference_unit_count for one in scores),
            error_count=sum(one.errors for one in scores),
            text_count=len(scores),
        )
        for language, scores in sorted(by_language.items())
    )


def _collect_scoring_settings(asr: Asr) -> dict[str, str]:
    return {
        **asr.settings,
        "silence_gate": f"less than {MIN_SPEECH_S:g} s above {SILENCE_DBFS:g} dBFS",
        "floor_voice": f"espeak-ng {REFERENCE_VOICE} at {REFERENCE_WORDS_PER_MINUTE} words per minute",
        **_list_versions_of_counting_libraries(),
    }


def _list_versions_of_counting_libraries() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("jiwer", "whisper-normalizer")}


# Judges whether the audio of a run says its texts, and counts the verdicts.


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
    """Number of samples for which a person should decide whether they say their text."""
    not_judged_count: Count
    """Number of samples for which it could not be determined whether they say their text. They do not count as
    right."""
    defect_count_by_rule: dict[str, int] = {}
    """Number of wrong and doubtful samples by the rule that they break, most frequent first."""
    not_judged_count_by_reason: dict[str, int] = {}
    """Number of samples that were not judged by reason, most frequent first."""

    @property
    def judged_count(self) -> int:
        """Number of samples with a verdict on their audio: right, wrong or doubtful."""
        return self.right_count + self.wrong_count + self.doubtful_count

    @property
    def is_doubtful_throughout(self) -> bool:
        """Whether some of the samples are judged doubtful, and all others wrong."""
        return bool(self.doubtful_count) and not self.right_count + self.not_judged_count


_ClipKey = tuple[TranscriptCacheKey, str]
"""What determines the verdict on a clip: its sound and language, and the text that it should say."""


def listen_to_run(
    run_folder: Path, run: Run, *, report_progress: ListeningProgressReporter | None = None
) -> ListeningSet | None:
    """Judge whether the audio of a run says its texts.

    Return the verdicts; `None` if the targets of the run do not speak texts.

    Args:
        run_folder: folder of the run, with its audio.
        run: the run. Warm-up samples and failed ones are left out.
        report_progress: called after each clip; `None` for no reports.

    Raises:
        DataError: an audio file of the run is missing or was changed.
    """
    if run.manifest.kind != "speech":
        return None
    delivered = list_delivered_clips(run_folder, run)
    clips: dict[_ClipKey, AudioClip] = {(clip.cache_key, sample.text): clip for sample, clip in delivered}
    judgement_by_clip: dict[_ClipKey, ClipJudgement] = {}
    for key, judgement in _judge_all_clips(clips):
        judgement_by_clip[key] = judgement
        if report_progress is not None:
            report_progress(len(judgement_by_clip), len(clips))
    judgements = [judgement_by_clip[clip.cache_key, sample.text] for sample, clip in delivered]
    return ListeningSet(
        method=get_listening_method(),
        verdicts=tuple(_iterate_verdicts([sample for sample, _ in delivered], judgements)),
    )


def summarize_listening(samples: Iterable[Sample], listening: ListeningSet | None) -> ListeningSummary | None:
    """Count the verdicts on samples of one target; `None` if nobody listened to the run (`listening` is `None`)."""
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
    """Say how many clips of all targets were not judged, and why; empty if all were, or nobody listened (`None`)."""
    reasons = Counter[str]()
    for one in summaries:
        reasons.update(one.not_judged_count_by_reason if one is not None else {})
    if not reasons:
        return ""
    named = [f"{count}: {reason}" for reason, count in reasons.most_common(MAX_NAMED_REASONS_NOT_JUDGED)]
    more = [f"{len(reasons) - len(named)} other reasons"] if len(reasons) > len(named) else []
    clips = format_count(reasons.total(), "clip")
    return f"words not judged in {clips}, so these have not passed: {'; '.join([*named, *more])}"


# Listens to the different clips of a run, in this process or in others.


def _judge_all_clips(clips: dict[_ClipKey, AudioClip]) -> Iterator[tuple[_ClipKey, ClipJudgement]]:
    if len(clips) <= MAX_CLIPS_IN_THIS_PROCESS:
        for (sound, text), clip in clips.items():
            yield (sound, text), _judge_clip(clip, text)
        return
    with open_process_pool(min(os.cpu_count() or 1, len(clips))) as pool:
        yield from call_in_pool(pool, _judge_clip, ((key, (clip, key[1])) for key, clip in clips.items()))


def _judge_clip(clip: AudioClip, text: str) -> ClipJudgement:
    audio = EncodedAudio.from_facts(clip.read(), clip.audio_facts)
    try:
        return listen_to_clip(audio, text, clip.language)
    except (MissingExtraError, ValueError) as error:  # espeak-ng is missing, or cannot pronounce the text
        return ClipJudgement("not judged", str(error))


# Compares the clips of a run with each other.


def _iterate_verdicts(samples: Sequence[Sample], judgements: Sequence[ClipJudgement]) -> Iterator[ListeningVerdict]:
    """Yield the verdict on each sample, after its clip is compared with the other clips of the run.

    Args:
        samples: the samples of a run.
        judgements: the judgement of each clip on its own, in the order of `samples`.
    """
    by_target: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        by_target[sample.target].append(index)
    # Whether enough clips of a target were compared with their texts to doubt those that do not fit.
    is_judged = {
        target: can_report_unfitting_text(
            sum(judgements[index].fits_text for index in indices),
            sum(judgements[index].rule == UNFITTING_TEXT_RULE for index in indices),
        )
        for target, indices in by_target.items()
    }
    other_texts = _find_other_texts(samples, judgements)
    for index, (sample, clip) in enumerate(zip(samples, judgements, strict=True)):
        if clip.outcome == "doubtful" and clip.rule == UNFITTING_TEXT_RULE and not is_judged[sample.target]:
            clip = ClipJudgement("not judged", TOO_FEW_COMPARED_CLIPS_REASON)
        if clip.outcome != "wrong" and index in other_texts:
            clip = ClipJudgement("wrong", f"the same samples as for: {other_texts[index][:80]}", OTHER_TEXT_RULE, 0.0)
        # A clip that is wrong already stays so, whatever its pace.
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


def _find_other_texts(samples: Sequence[Sample], judgements: Sequence[ClipJudgement]) -> dict[int, str]:
    """Return the text of an earlier clip with the same audio but a different text, by index of the later sample.

    Only clips of the same provider are compared.
    """
    texts: dict[tuple[str, str], str] = {}
    other_texts = {}
    for index, (sample, clip) in enumerate(zip(samples, judgements, strict=True)):
        if clip.digest is not None:
            text = texts.setdefault((sample.target.partition("/")[0], clip.digest), sample.text)
            # Texts that differ in punctuation only may well sound the same.
            if list_spoken_letters(text) != list_spoken_letters(sample.text):
                other_texts[index] = text
    return other_texts


def _judge_pace(
    clip_judgement: ClipJudgement, pace: float | None, other_paces: Iterable[float | None]
) -> ClipJudgement:
    """Return the judgement on a clip; it is doubtful if the pace is unusual among `other_paces` of the same voice.

    Paces are in letters per second; an unknown one (`None`) is not compared.
    """
    compared = compare_pace(pace, [one for one in other_paces if one is not None]) if pace is not None else None
    if compared is None or not compared.is_unusual:
        return clip_judgement
    return ClipJudgement("doubtful", compared.describe(), UNUSUAL_PACE_RULE)
