"""Transcribes the samples of a run and counts their errors.

Every sample is scored, a failed one as well; warm-ups are left out. Recognition runs in
processes of its own, so that it disturbs no timing of this one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from voicegauge.bench.scoring.transcription import AudioClip, Progress, Transcripts, audio_key, transcribe
from voicegauge.errors import DataError, MissingExtraError
from voicegauge.model import AsrErrorFloor, AudioFacts, Provenance, Run, Sample, Score, ScoreSet
from voicegauge.speech.asr import Asr, AsrChoice, SpokenText, Transcription, choose_asr
from voicegauge.speech.audio import MIN_SPEECH_S, SILENCE_DBFS, EncodedAudio, encode
from voicegauge.speech.transcripts import normalizer_for, score

OWN_TRANSCRIPTS = "each target's own transcripts"
"""Stands for the speech recognizer where speech to text is measured."""
MAX_WORKERS = 4
"""By default: each worker holds a model of its own, and large ones fill the memory."""
REFERENCE_VOICE = "klatt5"
"""The espeak-ng variant that the embedded speech recognizer hears best: the floor is what it still mishears."""
REFERENCE_WPM = 175
_REFERENCE_RATE_HZ = 24_000


def choose_scoring_asr(spec: str, provenance: Provenance, texts: Iterable[SpokenText]) -> AsrChoice:
    """Choose the speech recognizer before anything is paid for; `Choice.asr` is `None` where there is none to trust.

    Raises:
        VoicegaugeError: as `speech.asr.choose_asr` does.
    """
    return choose_asr(spec, provenance=provenance, texts=sorted(set(texts)))


def score_run(
    folder: Path,
    run: Run,
    asr_spec: str,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> ScoreSet | None:
    """Score every sample of `run` but its warm-ups; `None` where `choose_scoring_asr` finds no speech recognizer.

    Args:
        folder: of the run; the samples' audio lies there.
        run: what to score. Samples in a language that the speech recognizer does not know get no score;
            `ScoreSet.left_out` names those languages.
        asr_spec: as `speech.asr.choosing` says.
        workers: processes; by default one a processor, at most `MAX_WORKERS`.
        cluster: the address of a Dask scheduler, whose workers transcribe instead.
        progress: told of each clip.

    Raises:
        DataError: an audio file of the run is missing or was changed.
        UnreachableError: no scheduler answers at `cluster`.
        VoicegaugeError: as `speech.asr.choose_asr` does.
    """
    samples = [sample for sample in run.samples if not sample.warmup]
    if run.manifest.kind == "transcription":
        return _score_transcripts(samples)
    spoken = [SpokenText(sample.language, sample.text) for sample in samples]
    asr, reason = choose_scoring_asr(asr_spec, run.manifest.provenance, spoken)
    if asr is None:
        return None
    languages = sorted({text.language for text in spoken})
    left_out = tuple(language for language in languages if not asr.supports_language(language))
    covered = [sample for sample in samples if sample.language not in left_out]
    with tempfile.TemporaryDirectory(prefix="voicegauge-") as made:
        references = _references(Path(made), covered)
        clips = [_clip_of(folder, sample.language, sample.audio) for sample in covered if sample.audio]
        clips += references.values()
        heard = transcribe(
            asr,
            clips,
            workers=workers or min(os.cpu_count() or 1, MAX_WORKERS),
            cluster=cluster,
            progress=progress,
        )
    return ScoreSet(
        asr=asr.id,
        asr_reason=reason,
        normalizer=", ".join(sorted({normalizer_for(sample.language).id for sample in covered})),
        settings=_settings(asr),
        left_out=left_out,
        closed_vocabulary=asr.closed_vocabulary,
        scores=tuple(_score_sample(sample, heard) for sample in covered),
        floor=_floor(references, heard),
    )


def _score_transcripts(samples: Sequence[Sample]) -> ScoreSet:
    """Speech to text: each target is its own speech recognizer, and what it wrote down is judged."""

    def heard(sample: Sample) -> Transcription:
        if sample.transcript is None:
            return Transcription("missing", "")
        return Transcription("speech" if sample.transcript.strip() else "silence", sample.transcript)

    return ScoreSet(
        asr=OWN_TRANSCRIPTS,
        asr_reason="speech to text is what was measured",
        normalizer=", ".join(sorted({normalizer_for(sample.language).id for sample in samples})),
        settings={name: metadata.version(name) for name in ("jiwer", "whisper-normalizer")},
        scores=tuple(_scored(sample, heard(sample)) for sample in samples),
    )


def _clip_of(folder: Path, language: str, audio: AudioFacts) -> AudioClip:
    path = (folder / audio.file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"{folder}: the run names an audio file outside its folder: {audio.file}")
    return AudioClip(path, audio, language)


def _references(folder: Path, samples: Sequence[Sample]) -> dict[SpokenText, AudioClip]:
    # The same texts in one fixed voice, in the languages that there is a voice for.
    from voicegauge.speech.synthesis import has_voice_for, synthesize

    made = {}
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
                made[text] = _save_reference(folder, text.language, encode(speech, _REFERENCE_RATE_HZ, "wav")[0])
    except MissingExtraError:
        return {}
    return made


def _save_reference(folder: Path, language: str, wav: bytes) -> AudioClip:
    audio = EncodedAudio(wav, media_type="audio/wav")
    measured = audio.facts(f"{audio.sha256}.wav")
    (folder / measured.file).write_bytes(wav)
    return _clip_of(folder, language, measured)


def _score_sample(sample: Sample, heard: Transcripts) -> Score:
    found = Transcription("missing", "")
    if sample.audio:
        found = heard[audio_key(sample.audio, sample.language)]
    return _scored(sample, found)


def _scored(sample: Sample, found: Transcription) -> Score:
    return score(
        sample_id=sample.id,
        reference=sample.text,
        transcript=found.transcript,
        language=sample.language,
        content=found.content,
    )


def _floor(references: dict[SpokenText, AudioClip], heard: Transcripts) -> tuple[AsrErrorFloor, ...]:
    scored: dict[str, list[Score]] = {}
    for text, clip in references.items():
        found = heard[clip.key]
        scored.setdefault(text.language, []).append(
            score(
                sample_id="reference",
                reference=text.text,
                transcript=found.transcript,
                language=text.language,
                content=found.content,
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
        for language, scores in sorted(scored.items())
    )


def _settings(asr: Asr) -> dict[str, str]:
    return {
        **asr.settings,
        "silence_gate": f"less than {MIN_SPEECH_S:g} s above {SILENCE_DBFS:g} dBFS",
        "floor_voice": f"espeak-ng {REFERENCE_VOICE} at {REFERENCE_WPM} words a minute",
        **{name: metadata.version(name) for name in ("jiwer", "whisper-normalizer")},
    }
