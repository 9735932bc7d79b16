"""Scores a run: transcribes its samples and counts the recognition errors.

Every sample is scored, including failed ones and excluding warm-up. Transcription runs in
separate processes, so that it does not disturb the timings of this process.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from voicegauge.bench._transcription_workers import (
    AudioClip,
    ClusterConnection,
    TranscriptionProgressReporter,
    TranscriptionsByCacheKey,
    build_transcript_cache_key,
    move_to_gpu_if_available,
    transcribe_clips,
)
from voicegauge.errors import MissingExtraError
from voicegauge.model.base import Provenance
from voicegauge.model.run import ReferenceSpeechErrors, Run, ScoreSet
from voicegauge.model.sample import Sample, Score
from voicegauge.speech.asr_engines import AsrChoice, SpokenText, choose_asr, count_unknown_words
from voicegauge.speech.audio_measurement import MIN_SPEECH_S, SILENCE_DBFS, EncodedAudio
from voicegauge.speech.encoding import encode
from voicegauge.speech.transcripts import Asr, Transcription, choose_normalizer, score_transcript

TARGET_TRANSCRIPTS_LABEL = "each target's own transcripts"
"""Name shown instead of an ASR engine in runs of speech to text, in which the targets themselves transcribe."""
MAX_TRANSCRIBING_PROCESSES = 4
"""Default maximum number of processes. Each loads its own model, and many large models would fill the memory."""
REFERENCE_VOICE = "klatt5"
"""The espeak-ng variant that the embedded ASR engine recognizes best; the remaining errors are its own."""
REFERENCE_WORDS_PER_MINUTE = 175
"""Speaking rate of the reference speech, in words per minute."""
_REFERENCE_SAMPLE_RATE_HZ = 24_000


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
        workers: number of processes; by default one per processor, at most `MAX_TRANSCRIBING_PROCESSES`, and one if
            this machine has a GPU that the ASR engine can use.
        cluster: address of a Dask scheduler whose workers transcribe instead.
        report_progress: called after each clip.

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
        transcripts = transcribe_clips(
            asr,
            clips,
            workers=workers or _choose_worker_count(asr),
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


def _choose_worker_count(asr: Asr) -> int:
    """Return the default number of transcribing processes: one per processor, up to a maximum.

    It is one for an engine on a GPU, because each process would load its own model into the GPU's memory.
    """
    return 1 if asr.clips_per_batch > 1 else min(os.cpu_count() or 1, MAX_TRANSCRIBING_PROCESSES)


def _list_normalizer_ids(samples: Sequence[Sample]) -> str:
    return ", ".join(sorted({choose_normalizer(sample.language).id for sample in samples}))


def _score_transcripts_by_targets(samples: Sequence[Sample]) -> ScoreSet:
    """Score a run of speech to text, in which each target has written its transcripts itself."""

    def read_transcription_by_target(sample: Sample) -> Transcription:
        if sample.transcript is None:
            return Transcription("missing", "")
        return Transcription("speech" if sample.transcript.strip() else "silence", sample.transcript)

    return ScoreSet(
        asr=TARGET_TRANSCRIPTS_LABEL,
        asr_reason="speech to text was measured",
        normalizer=_list_normalizer_ids(samples),
        settings=_list_versions_of_counting_libraries(),
        scores=tuple(_score_transcription(sample, read_transcription_by_target(sample)) for sample in samples),
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
                references[text] = _save_reference_clip(references_folder, text.language, wav)
    except MissingExtraError:
        return {}
    return references


def _save_reference_clip(references_folder: Path, language: str, wav: bytes) -> AudioClip:
    audio = EncodedAudio(wav, media_type="audio/wav")
    facts = audio.measure_facts(f"{audio.sha256}.wav")
    (references_folder / facts.file_path).write_bytes(wav)
    return AudioClip(references_folder / facts.file_path, facts, language)


def _score_sample(sample: Sample, transcriptions: TranscriptionsByCacheKey) -> Score:
    transcription = Transcription("missing", "")
    if sample.audio:
        transcription = transcriptions[build_transcript_cache_key(sample.audio, sample.language)]
    return _score_transcription(sample, transcription)


def _score_transcription(sample: Sample, transcription: Transcription) -> Score:
    return score_transcript(
        sample_id=sample.id,
        reference=sample.text,
        transcript=transcription.transcript,
        language=sample.language,
        audio_content=transcription.audio_content,
    )


def _count_reference_speech_errors(
    reference_clips: dict[SpokenText, AudioClip], transcriptions: TranscriptionsByCacheKey
) -> tuple[ReferenceSpeechErrors, ...]:
    """Count the errors of the ASR engine on the reference speech, by language."""
    by_language: dict[str, list[Score]] = {}
    for text, clip in reference_clips.items():
        transcription = transcriptions[clip.cache_key]
        by_language.setdefault(text.language, []).append(
            score_transcript(
                sample_id="reference",
                reference=text.text,
                transcript=transcription.transcript,
                language=text.language,
                audio_content=transcription.audio_content,
            )
        )
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
