"""Measures what is recovered of a script of texts: `PYTHONPATH=benchmarks python -m streamed_transcription`.

It fails if a time from the end of speech to the end of a turn is more than 5 ms off at the 99th percentile, or if the
turns cut early, those that never end, or the words taken back are not exactly those of the scripts.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import json
import os
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from server_process import running_server

from voicegauge.bench.speech_summaries import summarize_transcript_timing
from voicegauge.client.client import Client
from voicegauge.client.socket_delivery import SpokenRecording, measure_transcript_timing, prepare_recording
from voicegauge.client.socket_session import SENT_AUDIO_MESSAGE_S, TranscriptionSession
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.formats.locations import Location, LocationValues
from voicegauge.model.exchange import TranscriptTiming, UploadedFile
from voicegauge.speech.encoding import encode
from voicegauge.transport.http import Transport

MAX_P99_ERROR_MS = 5.0
RATE_HZ = 16_000
SPEECH_START_S, SPEECH_END_S = 0.2, 0.9
END_FRAME = round(SPEECH_END_S / SENT_AUDIO_MESSAGE_S) - 1
WORDS = ("please", "call", "me", "back", "at", "nine")


class Script(NamedTuple):
    """What a server reports of one recording, and what follows from it."""

    events: list[tuple[float, str, str]]
    """Time in milliseconds after the first sample, kind, and text."""
    flip_count: int
    is_cut_early: bool
    ends: bool


class Recovered(NamedTuple):
    """What was measured of a script, and what the server knows of it."""

    script: Script
    timing: TranscriptTiming
    true_ends_ms: tuple[float, ...]
    """When the ends of turns were written, in milliseconds after the end of speech."""


def plan_script(seed: int) -> Script:
    """Return a script with texts that flip; some cut the speaker off, and some never report the end."""
    generator = random.Random(seed)  # noqa: S311 - delays, not a secret
    end_ms, kind = SPEECH_END_S * 1000, seed % 5
    events: list[tuple[float, str, str]] = []
    flips = 0
    for index, count in enumerate((2, 4, 5)):
        words = list(WORDS[:count])
        if generator.random() < 0.5:
            words[-1] = f"other{index}"
            flips += 1
        events.append((300 + 180 * index + generator.random() * 40, "partial", " ".join(words)))
    last_ms = end_ms + 120 + generator.random() * 400
    if kind == 1:  # ends too early, and once more
        flips -= events[-1][2].endswith("other2")  # the turn ends with it, so that it is not taken back
        events.append((end_ms - 60 + generator.random() * 30, "end", events[-1][2]))
        events.append((last_ms, "end", WORDS[5]))
    elif kind == 3:
        events.append((last_ms, "partial", " ".join(WORDS)))
    else:
        events.append((last_ms, "end", " ".join(WORDS)))
    return Script(events, flips, is_cut_early=kind == 1, ends=kind != 3)


@functools.cache
def _load_contract() -> Contract:
    return load_contract(Path(__file__).with_name("contract.yaml"))


def build_recording() -> SpokenRecording:
    """Return noise, which begins and ends at known times, in silence."""
    noise = np.random.default_rng(1).normal(0, 0.1, round((SPEECH_END_S - SPEECH_START_S) * RATE_HZ))
    samples = np.concatenate((np.zeros(round(SPEECH_START_S * RATE_HZ)), noise, np.zeros(RATE_HZ // 5)))
    data, media_type = encode(samples.astype(np.float32), RATE_HZ, "wav")
    target = _load_contract().transcription_socket_targets["script"]
    file = UploadedFile(filename="noise.wav", media_type=media_type, data=data)
    return prepare_recording(file, target.default_format, trailing_silence_s=0.6)


async def recover(port: int, script: Script, recording: SpokenRecording) -> Recovered:
    """Stream a recording to a server that follows a script, and return what was measured."""
    target = _load_contract().transcription_socket_targets["script"]
    constants = LocationValues({Location("query", "script"): json.dumps(script.events)})
    spec = msgspec.structs.replace(target.target_spec, request_constants=constants)
    target = dataclasses.replace(target, target_spec=spec)
    async with Transport() as transport:
        client = Client(_load_contract(), transport, base_urls={"": f"ws://127.0.0.1:{port}"})
        session = TranscriptionSession(client, target, timeout_s=0.3)
        await session.open()
        times = await session.stream(recording.audio)
        await session.wait_for_turn_end(1 + script.is_cut_early)
        await session.close()
        truth = next(json.loads(one.data) for one in session.build_traffic().messages if b"sent_ns" in one.data)
    end_ns = truth["read_ns"][END_FRAME]  # the speech ends with this message
    ends = tuple(
        (sent_ns - end_ns) / 1e6
        for sent_ns, (_, kind, _) in zip(truth["sent_ns"], script.events, strict=True)
        if kind == "end"
    )
    return Recovered(script, measure_transcript_timing(session.transcribed, recording, times), ends)


def list_failures(found: Sequence[Recovered]) -> list[str]:
    """Return what was not recovered exactly, other than times."""
    failures = []
    for number, one in enumerate(found):
        script, timing = one.script, one.timing
        pairs = {
            "words taken back": (script.flip_count, timing.flip_count),
            "cut early": (script.is_cut_early, timing.is_cut_early),
            "ends": (script.ends, bool(timing.turn_ends_ms)),
            "number of ends": (len(one.true_ends_ms), len(timing.turn_ends_ms)),
        }
        failures += [
            f"script {number}: {name} {got}, truth {want}" for name, (want, got) in pairs.items() if want != got
        ]
    return failures


def list_errors(found: Sequence[Recovered]) -> list[float]:
    """Return the absolute errors of all times from the end of speech to the end of a turn, in milliseconds."""
    return [
        abs(got - want) for one in found for got, want in zip(one.timing.turn_ends_ms, one.true_ends_ms, strict=False)
    ]


async def recover_all(port: int, count: int, connections: int) -> list[Recovered]:
    """Return what was measured of scripts, several at a time."""
    recording, found = build_recording(), list[Recovered]()
    for start in range(0, count, connections):
        seeds = range(start, min(start + connections, count))
        found += await asyncio.gather(*(recover(port, plan_script(seed), recording) for seed in seeds))
    return found


def main() -> int:
    """Print a table, and return 1 if something was not recovered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=80)
    parser.add_argument("--real-time", action="store_true", help="run before other work of the machine (Linux, root)")
    arguments = parser.parse_args()
    if arguments.real_time:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))  # the server inherits it
    failures: list[str] = []
    print("connections  recordings  error p50, p99 [ms]  cut early  never ended  words taken back")
    with running_server("streamed_transcription.server") as port:
        for connections in (1, 16):
            found = asyncio.run(recover_all(port, arguments.recordings, connections))
            errors = sorted(list_errors(found))
            p99 = errors[min(round(0.99 * len(errors)), len(errors) - 1)]
            summary = summarize_transcript_timing([(str(index), one.timing) for index, one in enumerate(found)])
            assert summary is not None, "there are recordings"
            flips = sum(one.timing.flip_count for one in found)
            print(
                f"{connections:11d}  {len(found):10d}  {statistics.median(errors):8.3f}  {p99:8.3f}  "
                f"{summary.cut_early_count:9d}  {summary.never_ended_count:11d}  {flips:16d}"
            )
            for point in summary.curve:
                delay = "never" if point.delay_p50_ms is None else f"{point.delay_p50_ms:.0f} ms"
                print(f"    wait {point.wait_ms:4.0f} ms: answer {delay}, {point.cut_early_share:.0%} cut early")
            failures += [f"{connections} connections: {one}" for one in list_failures(found)]
            if p99 > MAX_P99_ERROR_MS:
                failures.append(f"{connections} connections: p99 is {p99:.3f} ms off, limit {MAX_P99_ERROR_MS:g}")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
