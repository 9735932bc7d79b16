"""A streamed response is recorded with the times of its chunks, replayed at its pace, judged and compared."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from voicegauge.bench._sample_building import find_latency_start_ms
from voicegauge.bench.audio_measurement import measure_streaming
from voicegauge.client.client import Client
from voicegauge.conformance.recording_judging import check_recordings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.loading import load_catalogue
from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.emulator.server import running_app
from voicegauge.model.base import Provenance, SpeechRequest
from voicegauge.model.exchange import Delivery
from voicegauge.model.sample import StreamArrivals
from voicegauge.recording.har_files import load_har, save_har
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.recording.replay import Replay
from voicegauge.recording.replay_server import ReplayApp
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

TTSAI = load_catalogue().find_provider("ttsai")
TARGET = TTSAI.find_target_by_name("kokoro-stream")
SPEECH = SpeechRequest(text="This was streamed once.", format="wav")


def _speak(base_url: str) -> Delivery:
    async def speak() -> Delivery:
        async with Transport() as transport:
            client = Client(TTSAI, transport, base_urls={"": base_url}, key="sk-tts-emulated")
            return await client.speak(TARGET, SPEECH)

    return asyncio.run(speak())


@pytest.fixture(scope="module")
def spoken() -> Delivery:
    with running_app(create_app([TTSAI], EmulatorSettings(time_scale=0.4))) as url:
        return _speak(f"{url}/ttsai")


@pytest.fixture
def saved(spoken: Delivery, tmp_path: Path) -> Path:
    path = tmp_path / "ttsai" / "kokoro-stream.har"
    path.parent.mkdir()
    save_har(
        path,
        spoken.exchanges,
        provenance=Provenance.EMULATED,
        contract=TTSAI,
        redaction=RedactionSettings(secrets=["sk-tts-emulated"]),
    )
    return path


def _streaming(delivery: Delivery) -> StreamArrivals:
    found = measure_streaming(delivery, TARGET, latency_start_ms=find_latency_start_ms(delivery) or 0.0)
    assert found is not None
    return found


def test_a_recording_keeps_body_and_times(saved, spoken) -> None:
    (exchange,) = load_har(saved).exchanges
    assert exchange.response.body == spoken.exchanges[0].response.body
    assert exchange.timing == spoken.exchanges[0].timing


def test_a_replay_streams_at_its_pace(saved, spoken) -> None:
    replay = Replay([load_har(saved)], [TTSAI])
    with running_app(ReplayApp(replay, pause_factor=1.0)) as url:
        again = _speak(f"{url}/ttsai")
    assert again.audio == spoken.audio
    recorded, played = _streaming(spoken), _streaming(again)
    assert len(played.chunks) == pytest.approx(len(recorded.chunks), abs=2)
    assert played.gap_p50_ms == pytest.approx(recorded.gap_p50_ms, rel=0.5)
    assert all(after[1] > before[1] for before, after in pairwise(played.chunks))


@pytest.mark.parametrize("pace", [1.0, 0.0])
def test_a_replay_without_pace_never_waits(pace, saved, spoken) -> None:
    """By the replay's own clock: how many pieces a socket makes of what is sent at once is the system's affair."""
    clock = VirtualClock()
    with running_app(ReplayApp(Replay([load_har(saved)], [TTSAI]), pause_factor=pace, clock=clock)) as url:
        again = _speak(f"{url}/ttsai")
    assert again.audio == spoken.audio
    assert bool(clock.sleeps) == bool(pace)


def test_recorded_streams_are_judged_and_their_audio_too(saved, spoken) -> None:
    def rules(path: Path) -> set[str]:
        collector = ResultCollector(["ttsai"], 0)
        check_recordings([path], [TTSAI], RULE_BY_ID, collector)
        return {finding.rule for finding in collector.build_report().findings}

    assert rules(saved) == set()
    text = saved.read_text()
    end = "event: done"
    assert end in text
    saved.write_text(text.replace(end, "event: gone"))
    assert rules(saved) == {"stream-event-unknown", "stream-end-missing"}


def test_drift_reads_a_recorded_stream(saved) -> None:
    assert not compare_inputs(str(saved), str(saved)).changes
    seen = compare_inputs(str(TTSAI.document.path), str(saved)).changes
    assert {change.rule for change in seen if change.operation == "streamSpeech"} <= {
        "documented-example-not-recorded",
        "documented-status-not-recorded",
    }
