"""Runs made up for tests of the report: believable numbers, audio that plays, and names that bite."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from voicegauge.bench.run_store import save_audio, save_run
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import BodyExcerpt, ExchangeExcerpt, Failure
from voicegauge.model.price import PlanClaim, PriceClaim
from voicegauge.model.run import (
    Manifest,
    MeasuredSuite,
    MeasuredTarget,
    ReferenceSpeechErrors,
    Run,
    ScoreSet,
    TargetPrice,
)
from voicegauge.model.sample import AudioFacts, Cost, Interval, Latency, Sample, Score
from voicegauge.speech.encoding import encode

from .runs import build_manifest, price_claim

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'--></style></title><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\x00\x1b[31mred\x7f\u202egpj.exe\u2066",
    '=HYPERLINK("http://127.0.0.1/","go")',
    "| a | b |\n@everyone [x](javascript:alert(1)) `code`",
)

TEXTS = {
    ("en", "plain"): (
        "The kettle was already boiling when she came down the stairs.",
        "Most of the village had gone to bed before the storm arrived.",
        "He folded the letter twice and put it back into the drawer.",
    ),
    ("en", "numbers"): (
        "The invoice came to four hundred and twelve dollars and sixty cents.",
        "About one in seven of the nine thousand parts had to be replaced.",
    ),
    ("en", "names"): (
        "Professor Okonkwo introduced Siobhan to the ambassador from Reykjavik.",
        "Take the ferry from Dubrovnik to Hvar and ask for Krzysztof.",
    ),
    ("en", "tongue twisters"): (
        "Six slippery snails slid slowly seaward past the sixth sick sheep.",
        "Which wristwatches are Swiss wristwatches?",
    ),
    ("de", "plain"): ("Der Zug nach Basel hat heute leider zwanzig Minuten Verspätung.",),
    ("ar", "plain"): ("وصلت الرسالة قبل غروب الشمس بقليل.",),
    ("ja", "plain"): ("駅の前で三時に待ち合わせをしました。",),
}
LANGUAGES_ENGLISH = ("en",)
LANGUAGES_ALL = ("en", "de", "ar", "ja")


@dataclass(frozen=True)
class Voice:
    """How one made-up target behaves."""

    id: str
    title: str
    took_ms: float
    error: float
    """Share of words that the ASR engine gets wrong."""
    job: bool = True
    usd: float | None = 0.015
    usd_per_character: float | None = None
    failing: float = 0.0
    disputed: bool = False
    charged_usd: float | None = None
    price: str = "$0.015 / request (document.txt)"
    max_characters: int | None = None
    plans: tuple[PlanClaim, ...] = ()


VOICES = (
    Voice("north/aurora", "Aurora 2", 6_400, 0.02, max_characters=2_000),
    Voice("north/aurora-turbo", "Aurora Turbo", 2_150, 0.055, usd=0.008, price="$0.008 / request (document.txt)"),
    Voice("north/borealis", "Borealis, voice cloning", 11_800, 0.03, failing=0.12, charged_usd=0.02),
    Voice(
        "pebble/skip",
        "Skip",
        390,
        0.16,
        job=False,
        usd=None,
        usd_per_character=0.000016,
        price="$16.00 / 1,000,000 characters (pricing page)",
    ),
    Voice(
        "pebble/skip-hd",
        "Skip HD",
        860,
        0.09,
        job=False,
        usd=None,
        usd_per_character=0.00003,
        price="$30.00 / 1,000,000 characters (pricing page)",
    ),
    Voice(
        "pebble/stone",
        "Stone",
        1_240,
        0.24,
        job=False,
        usd=0.05,
        disputed=True,
        max_characters=500,
        price="$0.05 or $0.10 / request (disputed)",
    ),
    Voice("quay/harbour-mini", "Harbour mini", 760, 0.1, job=False, usd=None, price="not documented"),
)
PLANNED = (
    Voice(
        "quill/prose",
        "Prose, by plan",
        900,
        0.05,
        usd=None,
        usd_per_character=0.00005,
        plans=(
            PlanClaim(
                name="free",
                monthly_fee_usd=0,
                included_units_per_month=10_000,
                usd_per_extra_unit=0,
                allows_extra_units=False,
            ),
            PlanClaim(name="small", monthly_fee_usd=10, included_units_per_month=200_000, usd_per_extra_unit=0.00005),
            PlanClaim(
                name="large", monthly_fee_usd=199, included_units_per_month=5_700_000, usd_per_extra_unit=0.000035
            ),
        ),
    ),
    Voice(
        "quill/verse",
        "Verse, by plan",
        700,
        0.07,
        max_characters=300,
        plans=(PlanClaim(name="pro", monthly_fee_usd=20, included_units_per_month=1_000, usd_per_extra_unit=0.01),),
    ),
)
"""Targets with account plans."""
BROKEN = Voice("quay/harbour-lost", "Harbour, never answers", 30_000, 1.0, failing=1.0)


def crowd(count: int = 20) -> tuple[Voice, ...]:
    """Targets so many and so alike that their names compete for room."""
    return tuple(
        Voice(
            f"crowd/voice-number-{i}", f"Voice {i}", 900 + 35 * (i % 7) + 9 * i, 0.04 + 0.004 * (i % 5), job=i % 2 == 0
        )
        for i in range(count)
    )


def hostile_voices() -> tuple[Voice, ...]:
    """Targets whose names and prices try to be markup."""
    return tuple(Voice(f"evil/{i}{text}", text, 500 + 100 * i, 0.1, price=text) for i, text in enumerate(HOSTILE))


def make_run(
    folder: Path,
    voices: Sequence[Voice] = VOICES,
    *,
    provenance: Provenance = Provenance.LIVE,
    languages: Sequence[str] = LANGUAGES_ENGLISH,
    repetitions: int = 3,
    texts: int | None = None,
    scored: bool = True,
    closed: bool = True,
    seed: int = 1,
    transcript: str | None = None,
    message: str = "The model could not be loaded. Try again later.",
    finished: bool = True,
) -> tuple[Path, Run]:
    """A saved run of `voices` in `folder`, each text `repetitions` times; as `write_report` takes it.

    Args:
        folder: is made where it does not exist.
        voices: the targets.
        provenance: of the whole run.
        languages: whose texts are spoken.
        repetitions: of each text.
        texts: take only the first so many.
        scored: whether there is a score set.
        closed: whether its ASR knew the words.
        seed: of everything random.
        transcript: a transcript for every clip, instead of a generated one.
        message: of every failure.
        finished: whether the run came to its end.
    """
    rng = random.Random(seed)
    spoken = [(lang, category, text) for (lang, category), many in TEXTS.items() if lang in languages for text in many]
    spoken = spoken[:texts]
    samples = [
        _sample(folder, voice, item, repetition, rng, message)
        for repetition in range(repetitions)
        for item in enumerate(spoken)
        for voice in voices
    ]
    errors = {voice.id: voice.error for voice in voices}
    scores = tuple(_score(sample, errors[sample.target], rng, transcript) for sample in samples)
    run = Run(
        manifest=_manifest(voices, provenance, len(spoken), repetitions, seed, finished=finished),
        samples=tuple(samples),
        score_sets=(_score_set(scores, languages, closed=closed),) if scored else (),
    )
    save_run(folder, run)
    return folder, run


def _manifest(
    voices: Sequence[Voice], provenance: Provenance, texts: int, repetitions: int, seed: int, *, finished: bool
) -> Manifest:
    return build_manifest(
        run_id=f"20261121-0912-{seed:04x}",
        created_at="2026-11-21T09:12:31Z",
        is_finished=finished,
        voicegauge_version="0.1.0",
        provenance=provenance,
        suite=MeasuredSuite(id="smoke", version=1, sha256=hashlib.sha256(b"smoke").hexdigest(), text_count=texts),
        targets=tuple(_target(voice) for voice in voices),
        repetitions=repetitions,
        warmup_request_count=1,
        seed=seed,
        environment={"python": "3.11.7", "platform": "Linux-6.1-x86_64", "httpx": "0.28.1"},
        max_cost_usd=1.0,
        spent_usd=0.42,
        plan_sha256=hashlib.sha256(b"plan").hexdigest(),
    )


def _target(voice: Voice) -> MeasuredTarget:
    return MeasuredTarget(
        id=voice.id,
        title=voice.title,
        contract_version="2026-11-20",
        contract_sha256=hashlib.sha256(voice.id.encode()).hexdigest(),
        price=TargetPrice(description=voice.price, claims=_claims(voice)),
        max_characters=voice.max_characters,
        languages=("en", "de"),
    )


def _claims(voice: Voice) -> tuple[PriceClaim, ...]:
    if voice.usd_per_character is not None:
        return (price_claim("character", voice.usd_per_character, plans=voice.plans),)
    if voice.usd is None:
        return ()
    claims = (price_claim("request", voice.usd, plans=voice.plans),)
    return (*claims, price_claim("request", 2 * voice.usd, date="2026-01-01")) if voice.disputed else claims


def _sample(
    folder: Path,
    voice: Voice,
    item: tuple[int, tuple[str, str, str]],
    repetition: int,
    rng: random.Random,
    message: str,
) -> Sample:
    number, (language, category, text) = item
    failed = rng.random() < voice.failing
    failure = _failure(rng, message) if failed else None
    return Sample(
        id=f"{voice.id}/0/{repetition}/{number}",
        target=voice.id,
        text_id=str(number),
        text=text,
        language=language,
        category=category,
        session=0,
        repetition=repetition,
        is_warmup=repetition == 0 and number == 0,
        started_at="2026-11-21T09:12:32Z",
        submit_count=2 if failed else 1,
        poll_count=3 if voice.job else 0,
        latency=None if failed else _latency(voice, rng),
        audio=None if failed else _audio(folder, 1.2 + len(text) / 40),
        cost=Cost(
            price_usd=_price(voice, text),
            charged_usd=voice.charged_usd,
        ),
        failure=failure,
        failed_exchange=None if failure is None else _exchange(message),
    )


def _price(voice: Voice, text: str) -> float | None:
    if voice.usd is None and voice.usd_per_character is None:
        return None
    return (voice.usd or 0) + (voice.usd_per_character or 0) * len(text)


def _failure(rng: random.Random, message: str) -> Failure:
    return Failure(kind=rng.choice(("failed", "server_error", "timeout")), message=message, http_status=503)


def _exchange(message: str) -> ExchangeExcerpt:
    return ExchangeExcerpt(
        method="POST",
        url="/v1/speech",
        request_headers=(("Authorization", "Bearer [redacted]"),),
        request_body=BodyExcerpt(text='{"text": "Hello"}', size_bytes=17),
        status=503,
        response_headers=(("Content-Type", "text/html"), ("X-Reason", message)),
        response_body=BodyExcerpt(text=f"<p>{message}", size_bytes=90_000, omission_reason="only the beginning"),
    )


def _latency(voice: Voice, rng: random.Random) -> Latency:
    took = voice.took_ms * rng.lognormvariate(0, 0.12)
    if not voice.job:
        return Latency(
            submit_latency_ms=took,
            ttfb_ms=took * 0.62,
            ttfa_ms=took * 0.64,
            ttfs_ms=took * 0.64 + 80,
            total_latency_ms=took,
        )
    accept, poll = 90 * rng.lognormvariate(0, 0.2), took * 0.25
    done, download = took * 0.94, took * 0.06
    return Latency(
        submit_latency_ms=accept,
        queue_ms=Interval(low_ms=took * 0.05, high_ms=took * 0.05 + poll),
        processing_ms=Interval(low_ms=done - 2 * poll, high_ms=done - accept),
        completion_ms=Interval(low_ms=done - poll, high_ms=done),
        download_ms=download,
        ttfb_ms=took - download * 0.5,
        ttfa_ms=took - download * 0.45,
        ttfs_ms=took - download * 0.45 + 120,
        total_latency_ms=took,
    )


@cache
def _tone(seconds: float) -> bytes:
    time = np.arange(int(seconds * 22_050)) / 22_050
    wave = 0.3 * np.sin(2 * np.pi * (180 + 40 * np.sin(2 * np.pi * 3 * time)) * time)
    return encode(wave.astype(np.float32), 22_050, "wav")[0]


def _audio(folder: Path, seconds: float) -> AudioFacts:
    content = _tone(round(seconds, 1))
    digest, file = save_audio(folder, content)
    return AudioFacts(
        sha256=digest,
        file_path=file,
        size_bytes=len(content),
        media_type="audio/wav",
        container="wav",
        sample_rate_hz=22_050,
        channels=1,
        audio_duration_s=round(seconds, 1),
        leading_silence_s=0.08,
        rms_dbfs=-13.5,
    )


def _score(sample: Sample, error: float, rng: random.Random, transcript: str | None) -> Score:
    character = sample.language == "ja"
    reference = "".join(c for c in sample.text.lower() if c.isalnum() or c == " ")
    units = list(reference) if character else reference.split()
    if sample.audio is None:
        return Score(
            sample_id=sample.id,
            audio_content="missing",
            unit="character" if character else "word",
            reference=reference,
            hypothesis="",
            transcript="",
            reference_unit_count=len(units),
            hits=0,
            substitutions=0,
            deletions=len(units),
            insertions=0,
        )
    kept, subs, dels, inserted = [], 0, 0, 0
    for unit in units:
        if rng.random() >= error:
            kept.append(unit)
            continue
        what = rng.random()
        if what < 0.6:
            subs += 1
            kept.append("物" if character else unit[:-1] + "ed")
        elif what < 0.85:
            dels += 1
        else:
            inserted += 1
            kept += [unit, "の" if character else "the"]
    hypothesis = transcript if transcript is not None else ("" if character else " ").join(kept)
    return Score(
        sample_id=sample.id,
        audio_content="speech",
        unit="character" if character else "word",
        reference=reference,
        hypothesis=hypothesis,
        transcript=hypothesis if transcript is not None else hypothesis.capitalize() + ".",
        reference_unit_count=len(units),
        hits=len(units) - subs - dels,
        substitutions=max(subs, 1) if transcript is not None else subs,
        deletions=dels,
        insertions=inserted,
    )


def _score_set(scores: tuple[Score, ...], languages: Sequence[str], *, closed: bool) -> ScoreSet:
    return ScoreSet(
        asr="whisper:embedded@0f1e2d3c" if closed else "whisper:base.en@ed3a0b6b",
        asr_reason="no Whisper weights on this machine; the run is emulated" if closed else "named with --asr",
        normalizer="whisper-english/1",
        settings={"temperature": "0", "language": "en"},
        has_closed_vocabulary=closed,
        scores=scores,
        reference_speech_errors=tuple(
            ReferenceSpeechErrors(
                language=language,
                unit="character" if language == "ja" else "word",
                reference_unit_count=120,
                error_count=5,
                text_count=12,
            )
            for language in languages
        ),
    )
