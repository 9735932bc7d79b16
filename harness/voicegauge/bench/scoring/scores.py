"""Scores a run: transcribes its samples and counts the errors.

Every sample is scored, including failed ones and excluding warm-up. Transcription runs in
separate processes, so that it does not disturb the timings of this process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from voicegauge.bench.scoring.transcription import AudioClip, TranscriptionProgress, Transcripts, audio_key, transcribe
from voicegauge.errors import DataError, MissingExtraError
from voicegauge.model import AsrErrorFloor, AudioFacts, Provenance, Run, Sample, Score, ScoreSet
from voicegauge.speech.asr import Asr, AsrChoice, SpokenText, Transcription, choose_asr
from voicegauge.speech.audio import MIN_SPEECH_S, SILENCE_DBFS, EncodedAudio, encode
from voicegauge.speech.transcripts import normalizer_for, score_transcript

OWN_TRANSCRIPTS = "each target's own transcripts"
"""Name given instead of an ASR engine for speech to text, because the targets themselves transcribe."""
MAX_WORKERS = 4
"""Default maximum number of processes. Each loads its own model, and many large models would fill the memory."""
REFERENCE_VOICE = "klatt5"
"""The espeak-ng variant that the embedded ASR engine recognizes best; the remaining errors are the error floor."""
REFERENCE_WPM = 175
"""Speaking rate of the reference speech, in words per minute."""
_REFERENCE_RATE_HZ = 24_000


def choose_scoring_asr(spec: str, provenance: Provenance, texts: Iterable[SpokenText]) -> AsrChoice:
    """Choose the ASR engine of a run, before anything is paid for.

    Args:
        spec: value of the --asr option; see `speech.asr.choose_asr`.
        provenance: provenance of the run; live runs need a trustworthy engine.
        texts: the texts of the run.

    Returns:
        The choice; its `asr` is `None` if no suitable engine is installed.

    Raises:
        VoicegaugeError: see `speech.asr.choose_asr`.
    """
    return choose_asr(spec, provenance=provenance, texts=sorted(set(texts)))


def score_run(
    folder: Path,
    run: Run,
    asr_spec: str,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    progress: TranscriptionProgress | None = None,
) -> ScoreSet | None:
    """Score every sample of `run` except warm-up.

    Args:
        folder: folder of the run, with its audio.
        run: the run to score. Samples in a language that the ASR engine does not support get no
            score; `ScoreSet.left_out` lists these languages.
        asr_spec: value of the --asr option; see `speech.asr.choose_asr`.
        workers: number of processes; by default one per processor, at most `MAX_WORKERS`.
        cluster: address of a Dask scheduler whose workers transcribe instead.
        progress: called after each clip.

    Returns:
        The scores; `None` if `choose_scoring_asr` finds no ASR engine.

    Raises:
        DataError: an audio file of the run is missing or was changed.
        UnreachableError: no scheduler responds at `cluster`.
        VoicegaugeError: see `speech.asr.choose_asr`.
    """
    samples = [sample for sample in run.samples if sample.is_measured]
    if run.manifest.kind == "transcription":
        return _score_own_transcripts(samples)
    texts = [SpokenText(sample.language, sample.text) for sample in samples]
    asr, reason = choose_scoring_asr(asr_spec, run.manifest.provenance, texts)
    if asr is None:
        return None
    languages = sorted({text.language for text in texts})
    left_out = tuple(language for language in languages if not asr.supports_language(language))
    supported = [sample for sample in samples if sample.language not in left_out]
    with tempfile.TemporaryDirectory(prefix="voicegauge-") as reference_folder:
        references = _synthesize_references(Path(reference_folder), supported)
        clips = [_saved_clip(folder, sample.language, sample.audio) for sample in supported if sample.audio]
        clips += references.values()
        transcripts = transcribe(
            asr,
            clips,
            workers=workers or min(os.cpu_count() or 1, MAX_WORKERS),
            cluster=cluster,
            progress=progress,
        )
    return ScoreSet(
        asr=asr.id,
        asr_reason=reason,
        normalizer=_normalizer_ids(supported),
        settings=_scoring_settings(asr),
        left_out=left_out,
        closed_vocabulary=asr.closed_vocabulary,
        scores=tuple(_score_sample(sample, transcripts) for sample in supported),
        floor=_error_floor(references, transcripts),
    )


def _normalizer_ids(samples: Sequence[Sample]) -> str:
    return ", ".join(sorted({normalizer_for(sample.language).id for sample in samples}))


def _score_own_transcripts(samples: Sequence[Sample]) -> ScoreSet:
    """Score speech to text; each target has written its transcripts itself."""

    def transcription(sample: Sample) -> Transcription:
        if sample.transcript is None:
            return Transcription("missing", "")
        return Transcription("speech" if sample.transcript.strip() else "silence", sample.transcript)

    return ScoreSet(
        asr=OWN_TRANSCRIPTS,
        asr_reason="speech to text was measured",
        normalizer=_normalizer_ids(samples),
        settings=_counting_versions(),
        scores=tuple(_score(sample, transcription(sample)) for sample in samples),
    )


def _saved_clip(folder: Path, language: str, audio: AudioFacts) -> AudioClip:
    path = (folder / audio.file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"{folder}: the run names an audio file outside its folder: {audio.file}")
    return AudioClip(path, audio, language)


def _synthesize_references(folder: Path, samples: Sequence[Sample]) -> dict[SpokenText, AudioClip]:
    """Synthesize the texts of `samples` in one fixed voice; leave out languages for which espeak-ng has no voice.

    Returns:
        The clips by text, which are saved in `folder`; empty if the synthesizer is not installed.
    """
    from voicegauge.speech.synthesis import has_voice_for, synthesize

    references = {}
    try:
        for text in sorted({SpokenText(sample.language, sample.text) for sample in samples}):
            if has_voice_for(text.language):
                speech = synthesize(
                    text.text,
                    language=text.language,
                    voice=REFERENCE_VOICE,
                    words_per_minute=REFERENCE_WPM,
                    pitch=50,
                    sample_rate_hz=_REFERENCE_RATE_HZ,
                    seed=0,
                )
                wav = encode(speech, _REFERENCE_RATE_HZ, "wav")[0]
                references[text] = _save_reference_clip(folder, text.language, wav)
    except MissingExtraError:
        return {}
    return references


def _save_reference_clip(folder: Path, language: str, wav: bytes) -> AudioClip:
    audio = EncodedAudio(wav, media_type="audio/wav")
    facts = audio.facts(f"{audio.sha256}.wav")
    (folder / facts.file).write_bytes(wav)
    return _saved_clip(folder, language, facts)


def _score_sample(sample: Sample, transcripts: Transcripts) -> Score:
    transcription = Transcription("missing", "")
    if sample.audio:
        transcription = transcripts[audio_key(sample.audio, sample.language)]
    return _score(sample, transcription)


def _score(sample: Sample, transcription: Transcription) -> Score:
    return score_transcript(
        sample_id=sample.id,
        reference=sample.text,
        transcript=transcription.transcript,
        language=sample.language,
        content=transcription.content,
    )


def _error_floor(references: dict[SpokenText, AudioClip], transcripts: Transcripts) -> tuple[AsrErrorFloor, ...]:
    """Count the errors of the ASR engine on the reference speech, by language."""
    by_language: dict[str, list[Score]] = {}
    for text, clip in references.items():
        transcription = transcripts[clip.key]
        by_language.setdefault(text.language, []).append(
            score_transcript(
                sample_id="reference",
                reference=text.text,
                transcript=transcription.transcript,
                language=text.language,
                content=transcription.content,
            )
        )
    return tuple(
        AsrErrorFloor(
            language=language,
            unit=scores[0].unit,
            units=sum(one.units for one in scores),
            errors=sum(one.errors for one in scores),
            texts=len(scores),
        )
        for language, scores in sorted(by_language.items())
    )


def _scoring_settings(asr: Asr) -> dict[str, str]:
    return {
        **asr.settings,
        "silence_gate": f"less than {MIN_SPEECH_S:g} s above {SILENCE_DBFS:g} dBFS",
        "floor_voice": f"espeak-ng {REFERENCE_VOICE} at {REFERENCE_WPM} words per minute",
        **_counting_versions(),
    }


def _counting_versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("jiwer", "whisper-normalizer")}
