"""Transcribes the samples of a run and counts their errors.

Every sample is scored, a failed one as well; warm-ups are left out. Recognition runs in
processes of its own, so that it disturbs no timing of this one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from voicegauge.errors import DataError, MissingExtraError, UsageError
from voicegauge.model import AsrFloor, AudioFacts, Provenance, Run, Sample, Score, ScoreSet
from voicegauge.speech.asr import Asr, Choice, Spoken, choose_asr
from voicegauge.speech.asr.cache import TranscriptCache
from voicegauge.speech.audio import encode, facts
from voicegauge.speech.hearing import Hearing, hear
from voicegauge.speech.levels import MIN_SPEECH_S, SILENCE_DBFS
from voicegauge.speech.metrics import score
from voicegauge.speech.normalise import normaliser_for

MAX_WORKERS = 4
"""By default: each worker holds a model of its own, and large ones fill the memory."""
REFERENCE_VOICE = "klatt5"
"""The espeak-ng variant that the embedded recogniser hears best: the floor is what it still mishears."""
REFERENCE_WPM = 175
_REFERENCE_RATE_HZ = 24_000

Progress = Callable[[int, int], None]
"""Called with the clips transcribed so far and all of them."""


def check_asr(spec: str, provenance: Provenance, texts: Iterable[Spoken]) -> Choice:
    """Choose the recogniser before anything is paid for; `Choice.asr` is `None` where there is none to trust.

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
    progress: Progress | None = None,
) -> ScoreSet | None:
    """Score every sample of `run` but its warm-ups; `None` where `check_asr` finds no recogniser.

    Args:
        folder: of the run; the samples' audio lies there.
        run: what to score. Samples in a language that the recogniser does not know get no score;
            `ScoreSet.left_out` names those languages.
        asr_spec: as `speech.asr.choosing` says.
        workers: processes; by default one a processor, at most `MAX_WORKERS`.
        progress: told of each clip.

    Raises:
        DataError: an audio file of the run is missing or was changed.
        VoicegaugeError: as `speech.asr.choose_asr` does.
    """
    samples = [sample for sample in run.samples if not sample.warmup]
    spoken = [Spoken(sample.language, sample.text) for sample in samples]
    asr, reason = check_asr(asr_spec, run.manifest.provenance, spoken)
    if asr is None:
        return None
    languages = sorted({text.language for text in spoken})
    left_out = tuple(language for language in languages if not asr.knows(language))
    covered = [sample for sample in samples if sample.language not in left_out]
    with tempfile.TemporaryDirectory(prefix="voicegauge-") as made:
        references = _references(Path(made), covered)
        clips = [_clip_of(folder, sample.language, sample.audio) for sample in covered if sample.audio]
        clips += references.values()
        heard = _hear_all(asr, clips, workers or min(os.cpu_count() or 1, MAX_WORKERS), progress)
    return ScoreSet(
        asr=asr.id,
        asr_reason=reason,
        normaliser=", ".join(sorted({normaliser_for(sample.language).id for sample in covered})),
        settings=_settings(asr),
        left_out=left_out,
        closed_vocabulary=asr.closed_vocabulary,
        scores=tuple(_score_sample(sample, heard) for sample in covered),
        floor=_floor(references, heard),
    )


class _Clip(NamedTuple):
    path: Path
    facts: AudioFacts
    language: str

    @property
    def key(self) -> tuple[str, str]:
        return self.facts.sha256, self.language


_HeardClips = dict[tuple[str, str], Hearing]


def _clip_of(folder: Path, language: str, audio: AudioFacts) -> _Clip:
    path = (folder / audio.file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"{folder}: the run names an audio file outside its folder: {audio.file}")
    return _Clip(path, audio, language)


def _references(folder: Path, samples: Sequence[Sample]) -> dict[Spoken, _Clip]:
    # The same texts in one fixed voice, in the languages that there is a voice for.
    from voicegauge.speech.espeak import speaks, synthesize

    made = {}
    try:
        for text in sorted({Spoken(sample.language, sample.text) for sample in samples}):
            if speaks(text.language):
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


def _save_reference(folder: Path, language: str, wav: bytes) -> _Clip:
    measured, _ = facts(wav, file=f"{hashlib.sha256(wav).hexdigest()}.wav", media_type="audio/wav")
    (folder / measured.file).write_bytes(wav)
    return _clip_of(folder, language, measured)


def _hear_all(asr: Asr, clips: Iterable[_Clip], workers: int, progress: Progress | None) -> _HeardClips:
    wanted = {clip.key: clip for clip in clips}
    cache = TranscriptCache(asr.id)
    heard = {key: found for key in wanted if (found := cache.get(*key)) is not None}
    lacking = [clip for key, clip in wanted.items() if key not in heard]

    def tell() -> None:
        if progress:
            progress(len(heard), len(wanted))

    tell()
    if not lacking:
        return heard
    pool = ProcessPoolExecutor(
        min(workers, len(lacking)), mp_context=get_context("spawn"), initializer=_start_worker, initargs=(asr,)
    )
    try:
        with _interrupts_held():
            asked = {pool.submit(_hear_clip, clip): clip for clip in lacking}
        for future in as_completed(asked):
            key = asked[future].key
            heard[key] = future.result()
            cache.put(*key, heard[key])
            tell()
    except BrokenProcessPool as error:
        raise UsageError(
            "a transcribing process died, perhaps for want of memory: take --workers 1 or a smaller model"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C as well: waits for the clips in hand alone
    return heard


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    # Processes started meanwhile never hear Ctrl-C, not even while they load: this one ends them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker_asr: Asr | None = None


def _start_worker(asr: Asr) -> None:
    global _worker_asr  # noqa: PLW0603 - the one recogniser of this process, loaded once
    # Decoders in C complain to stderr about broken audio; what matters comes back as a result.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _worker_asr = asr


def _hear_clip(clip: _Clip) -> Hearing:
    assert _worker_asr is not None
    try:
        data = clip.path.read_bytes()
    except OSError as error:
        raise DataError(f"{clip.path}: the audio of the run cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != clip.facts.sha256:
        raise DataError(f"{clip.path}: the audio of the run was changed: its digest is another one")
    return hear(_worker_asr, data, clip.facts, clip.language)


def _score_sample(sample: Sample, heard: _HeardClips) -> Score:
    found = Hearing("missing", "")
    if sample.audio:
        found = heard[sample.audio.sha256, sample.language]
    return score(
        sample_id=sample.id,
        reference=sample.text,
        transcript=found.transcript,
        language=sample.language,
        heard=found.heard,
    )


def _floor(references: dict[Spoken, _Clip], heard: _HeardClips) -> tuple[AsrFloor, ...]:
    scored: dict[str, list[Score]] = {}
    for text, clip in references.items():
        found = heard[clip.key]
        scored.setdefault(text.language, []).append(
            score(
                sample_id="reference",
                reference=text.text,
                transcript=found.transcript,
                language=text.language,
                heard=found.heard,
            )
        )
    return tuple(
        AsrFloor(
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
