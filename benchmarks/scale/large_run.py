"""Writes large simulated runs: files streamed, in one response, and by jobs, with failures, audio and scores.

Latencies are lognormal (sigma 0.5), with a part of the text and a part of the request.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
from change_detection.simulation import build_manifest, build_score

from voicegauge.bench.run_store import save_run
from voicegauge.model.exchange import Failure
from voicegauge.model.run import Run, ScoreSet
from voicegauge.model.sample import AudioFacts, Cost, Interval, Latency, RequestPhases, Sample, Score, StreamArrivals
from voicegauge.speech.encoding import encode

TARGETS = 20
TEXTS = 250
SESSIONS = 4
POLL_MS = 500.0
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "near", "the", "old", "river", "bank"]
CLIPS = 40
RATE_HZ = 16_000
FAILURE = Failure(kind="server_error", message="the server responded with status 500", http_status=500)
PHASES = RequestPhases(
    connection_wait_ms=0.1,
    dns_ms=None,
    connect_ms=None,
    tls_ms=None,
    send_ms=0.1,
    server_ms=100.0,
    transfer_ms=50.0,
    is_new_connection=False,
    http_version="HTTP/1.1",
)


def write_run(folder: Path, samples: int, *, targets: int = TARGETS, texts: int = TEXTS, seed: int = 0) -> Path:
    """Write a run of `samples` samples, and return its folder."""
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    clips = _save_clips(folder)
    repetitions = max(samples // (targets * texts * SESSIONS), 1)
    text_parts = np.random.default_rng(1).normal(0.0, 0.43, texts)
    written: list[Sample] = []
    scores: list[Score] = []
    for number in range(targets):
        shape = (SESSIONS, repetitions, texts)
        times_ms = 400.0 * np.exp(text_parts + rng.normal(0.0, 0.25, shape) + rng.normal(0.0, 0.1, (SESSIONS, 1, 1)))
        errors = rng.binomial(len(WORDS), 0.05, shape)
        failed = rng.random(shape) < 0.01
        for at in np.ndindex(shape):
            sample = _build_sample(number, at, float(times_ms[at]), clips, has_failed=bool(failed[at]))
            written.append(sample)
            scores.append(_build_score(sample, int(errors[at])))
    score_set = ScoreSet(asr="simulated", asr_reason="simulated", normalizer="simulated/1", scores=tuple(scores))
    manifest = build_manifest(
        (f"simulated/voice-{number}" for number in range(targets)),
        texts=texts,
        sessions=SESSIONS,
        repetitions=repetitions,
        concurrency=16,
        night=seed,
    )
    save_run(folder, Run(manifest=manifest, samples=tuple(written), score_sets=(score_set,)))
    return folder


def _save_clips(folder: Path) -> list[AudioFacts]:
    rng = np.random.default_rng(3)
    clips = []
    for number in range(CLIPS):
        tone = np.sin(np.arange(RATE_HZ * 2) * (number + 5) / 50) * 0.3 + rng.normal(0, 0.01, RATE_HZ * 2)
        audio, media_type = encode(tone.astype(np.float32), RATE_HZ, "wav")
        digest = hashlib.sha256(audio).hexdigest()
        file = f"audio/{digest}.wav"
        (folder / file).write_bytes(audio)
        clips.append(
            AudioFacts(
                sha256=digest,
                file_path=file,
                size_bytes=len(audio),
                media_type=media_type,
                container="wav",
                sample_rate_hz=RATE_HZ,
                channels=1,
                audio_duration_s=2.0,
                leading_silence_s=0.05,
                speech_onset_s=0.05,
                rms_dbfs=-14.0,
            )
        )
    return clips


def _build_sample(
    target: int, at: tuple[int, ...], time_ms: float, clips: list[AudioFacts], *, has_failed: bool
) -> Sample:
    session, repetition, text = at
    name = f"simulated/voice-{target}"
    latency = None if has_failed else _build_latency(target, time_ms)
    return Sample(
        id=f"{name}/{session + 1}/{repetition + 1}/text-{text}",
        target=name,
        text_id=f"text-{text}",
        text=" ".join([*WORDS, str(text)]),
        language="en",
        category=f"category-{text % 8}",
        session=session + 1,
        repetition=repetition + 1,
        is_warmup=False,
        started_at="2026-11-01T00:00:00.000+00:00",
        submit_count=1,
        poll_count=3 if target % 3 == 1 else 0,
        latency=latency,
        request_phases=PHASES,
        streaming=_build_streaming(time_ms) if target % 3 == 2 and not has_failed else None,
        audio=None if has_failed else clips[text % CLIPS],
        cost=Cost(price_usd=None if has_failed else 0.01),
        failure=FAILURE if has_failed else None,
        max_own_lag_ms=0.5,
    )


def _build_latency(target: int, time_ms: float) -> Latency:
    if target % 3 != 1:
        return Latency(
            submit_latency_ms=time_ms,
            ttfb_ms=time_ms * 0.4,
            ttfa_ms=time_ms * 0.4,
            ttfs_ms=time_ms * 0.4 + 50,
            total_latency_ms=time_ms,
        )
    completed_ms = time_ms * 20
    polled_ms = (completed_ms // POLL_MS + 1) * POLL_MS
    bounds = Interval(low_ms=polled_ms - POLL_MS, high_ms=polled_ms)
    return Latency(
        submit_latency_ms=20.0,
        processing_ms=bounds,
        completion_ms=bounds,
        download_ms=30.0,
        ttfb_ms=polled_ms + 10,
        ttfa_ms=polled_ms + 10,
        ttfs_ms=polled_ms + 60,
        total_latency_ms=polled_ms + 30,
    )


def _build_streaming(time_ms: float) -> StreamArrivals:
    chunks = tuple((time_ms * (0.4 + 0.06 * number), 6400 * (number + 1)) for number in range(10))
    return StreamArrivals(
        chunks=chunks,
        gap_p50_ms=time_ms * 0.06,
        gap_max_ms=time_ms * 0.07,
        first_speech_ms=time_ms * 0.4,
        underruns=int(time_ms > 900),
        stalled_ms=max(time_ms - 900, 0.0),
        worst_deficit_ms=max(time_ms * 0.1 - 30, 0.0),
    )


def _build_score(sample: Sample, errors: int) -> Score:
    words = sample.text.split()
    score = build_score(sample, errors, units=len(words))
    hypothesis = "" if sample.failure else " ".join(["wrong"] * errors + words[errors:])
    return msgspec.structs.replace(score, reference=sample.text, hypothesis=hypothesis, transcript=hypothesis)
