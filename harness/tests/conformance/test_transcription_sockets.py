"""Transcription over WebSockets: every planted fault is found by its rule, and correct services have no finding."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

import voicegauge
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.client.client import Client
from voicegauge.client.socket_delivery import deliver_transcription, prepare_recording
from voicegauge.conformance import _socket_sender
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.contract import BaseTarget, TranscriptionSocketTarget
from voicegauge.contract.loading import Catalogue
from voicegauge.emulator import _transcription
from voicegauge.emulator.app import create_app
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.emulator.process import RunningEmulator
from voicegauge.model.exchange import TranscriptTiming
from voicegauge.rules.registry import FaultExample, Rule
from voicegauge.transport.http import Transport

from ..builders.fault_examples import assert_found, list_fault_examples
from ..builders.scripted_asr import use_scripted_asr

TARGETS = ("deepgram/nova-3-listen", "deepgram/flux-listen", "elevenlabs/scribe-v2-realtime")
FAST_FAULT_IDS = (
    "socket-transcript-resumed-alone",
    "socket-transcript-unknown-message",
    "socket-transcript-words-lost",
)
"""One each of turns, messages and transcripts."""


@pytest.fixture(autouse=True)
def _hear_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    use_scripted_asr(monkeypatch)
    monkeypatch.setattr(_socket_sender, "DEFAULT_TURN_END_TIMEOUT_S", 2.0)  # such an engine takes no time


@pytest.mark.parametrize(("rule", "example"), list_fault_examples("transcription", fast_fault_ids=FAST_FAULT_IDS))
def test_an_injected_fault_is_found_by_its_rule(
    rule: Rule, example: FaultExample, inject_faults, voicegauge_emulator: RunningEmulator, check
) -> None:
    inject_faults(example.fault_id)
    report = check(
        [example.target_id],
        emulator=voicegauge_emulator,
        only=lambda case: case.id.endswith(": recordings"),
    )
    assert_found(rule, example, {finding.rule for finding in report.findings})
    found = next(finding for finding in report.findings if finding.rule == rule.id)
    assert found.where.contract_file is not None
    assert found.where.contract_file.endswith("asyncapi.yaml")
    assert "emulated-key" not in str(report)


@pytest.mark.parametrize("target", [pytest.param(TARGETS[0], marks=pytest.mark.slow), *TARGETS[1:]])
def test_correct_services_have_no_finding(target: str, voicegauge_emulator: RunningEmulator, check) -> None:
    report = check([target], emulator=voicegauge_emulator)
    assert report.findings == ()
    assert {case.verdict for case in report.case_results} == {"passed"}
    assert len(report.case_results) == 4  # two keys, and a recording in each format


@pytest.mark.parametrize("target", [TARGETS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in TARGETS[1:])])
def test_an_emulator_that_needs_longer_than_the_deadline_makes_no_finding(
    target: str, voicegauge_emulator: RunningEmulator, check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_socket_sender, "DEFAULT_TURN_END_TIMEOUT_S", 0.05)

    transcribe = _transcription.transcribe_samples

    async def transcribe_slowly(samples: Any, sample_rate_hz: int) -> str:
        await asyncio.sleep(0.5)  # as an emulator to which other programs leave no processor
        return await transcribe(samples, sample_rate_hz)

    monkeypatch.setattr(_transcription, "transcribe_samples", transcribe_slowly)
    report = check([target], emulator=voicegauge_emulator, only=lambda case: case.id.endswith(": recordings"))
    assert report.findings == ()
    assert {case.verdict for case in report.case_results} == {"passed"}


async def measure_timing(target: BaseTarget, emulator: RunningEmulator) -> TranscriptTiming:
    assert isinstance(target, TranscriptionSocketTarget)
    async with Transport() as transport:
        base_urls = {"": emulator.base_url(target.contract.id)}
        client = Client(target.contract, transport, base_urls=base_urls, key="k", max_wait_s=60.0)
        delivery = await deliver_transcription(client, target, load_spoken_sentence().file)
    assert delivery.transcript_timing is not None
    return delivery.transcript_timing


@pytest.mark.slow
async def test_faults_that_break_no_document_show_in_the_times_of_a_benchmark(voicegauge_catalogue: Catalogue) -> None:
    (target,) = voicegauge_catalogue.select_targets(["deepgram/flux-listen"])
    faults = ("socket-transcript-end-late", "socket-transcript-cut-early", "socket-transcript-words-flip")
    with contextlib.ExitStack() as stack:
        emulators = [
            stack.enter_context(voicegauge.emulate("deepgram", faults=chosen))
            for chosen in ((), *((fault,) for fault in faults))
        ]
        # At the same time, because a recording is streamed as slowly as it was spoken.
        usual, late, cut, flipping = await asyncio.gather(*(measure_timing(target, one) for one in emulators))
    assert min(late.turn_ends_ms) >= 2000
    assert min(late.turn_ends_ms) > min(usual.turn_ends_ms) > 0
    assert min(cut.turn_ends_ms) < 0
    assert flipping.flip_count > usual.flip_count == 0


async def test_audio_that_arrives_at_once_has_a_text_before_the_end(voicegauge_catalogue: Catalogue) -> None:
    (target,) = voicegauge_catalogue.select_targets(["deepgram/flux-listen"])
    assert isinstance(target, TranscriptionSocketTarget)
    audio = prepare_recording(load_spoken_sentence().file, target.default_format).audio.data
    waiting = [{"type": "websocket.receive", "bytes": audio[at : at + 640]} for at in range(0, len(audio), 640)]
    incoming: Iterator[dict[str, Any]] = iter([{"type": "websocket.connect"}, *waiting])
    events: list[str] = []
    has_ended = asyncio.Event()

    async def receive() -> dict[str, Any]:
        for message in incoming:
            return message  # without a turn of the event loop in between
        await has_ended.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        if message.get("text"):
            events.append(json.loads(message["text"]).get("event", ""))
            if events[-1] == "EndOfTurn":
                has_ended.set()

    query = urlencode({location.name: value for location, value in target.collect_constants(None).items()})
    await create_app([target.contract], build_emulator_settings())(
        {
            "type": "websocket", "path": "/deepgram/v2/listen", "query_string": query.encode(), "scheme": "ws",
            "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Token k")], "subprotocols": [],
        },
        receive,
        send,
    )  # fmt: skip
    assert events[1] == "StartOfTurn"
    assert set(events[2:-2]) == {"Update"}
    assert events[-2:] == ["EagerEndOfTurn", "EndOfTurn"]


def test_a_key_that_is_ignored_is_found(inject_faults, voicegauge_emulator: RunningEmulator, check) -> None:
    inject_faults("socket-key-ignored")
    report = check(["deepgram/flux-listen"], emulator=voicegauge_emulator, only=lambda case: "API key" in case.id)
    assert {finding.rule for finding in report.findings} == {"socket-handshake"}


def test_faults_of_speech_and_of_transcription_are_apart(voicegauge_catalogue) -> None:
    speaks, transcribes = voicegauge_catalogue.select_targets(["deepgram/flux-tts-socket", "deepgram/flux-listen"])
    for fault in FAULTS.values():
        if fault.socket is not None and fault.id != "socket-key-ignored":
            assert fault.socket.has_effect(speaks) != fault.socket.has_effect(transcribes), fault.id
