"""How streamed audio arrived, and how it would have played."""

from __future__ import annotations

import base64
import json
from itertools import accumulate, pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.bench._sample_building import find_latency_start_ms, measure_latency
from voicegauge.bench.audio_measurement import (
    add_playback_measurements,
    measure_audio,
    measure_streaming,
    simulate_playback,
)
from voicegauge.bench.run_store import load_run
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.cli import run as voicegauge
from voicegauge.client.client import Client
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.files import find_bundled_folder
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, Request, Response, Timing
from voicegauge.model.sample import AudioFacts, Latency, StreamArrivals
from voicegauge.speech.audio_measurement import build_playback_timeline, measure_leading_silence_s
from voicegauge.speech.decoding import RawAudioFormat, decode
from voicegauge.speech.encoding import AUDIO_FORMATS, encode
from voicegauge.transport.http import Transport

from ..builders.contracts import load_trusted
from ..builders.runs import build_run, build_sample
from ..builders.servers import serving
from ..builders.virtual_time import run_in_virtual_time

BUNDLED = find_bundled_folder("contracts") / "ttsai" / "openapi.yaml"


@pytest.fixture(scope="module")
def ttsai() -> Contract:
    return load_contract(BUNDLED)


def _delivery(target: Target, media_type: str, chunks: list[tuple[float, bytes]], **headers: str) -> Delivery:
    """An answer whose body came in `chunks`: (milliseconds after the call, bytes)."""
    last = chunks[-1][0]
    timing = Timing(
        started_at=0.0,
        started_ms=5000.0,
        connection_wait_ms=0.0,
        connect_ms=None,
        tls_ms=None,
        send_ms=1.0,
        ttfb_ms=4.0,
        receive_ms=last - 5.0,
        total_ms=last,
        chunk_arrivals=tuple((at, len(data)) for at, data in chunks),
    )
    response = Response(
        status=200,
        headers=(("Content-Type", media_type), *headers.items()),
        body=b"".join(data for _, data in chunks),
    )
    exchange = Exchange(
        provider="ttsai",
        operation=target.operation.id,
        request=Request(method="POST", url="https://api.tts.ai"),
        response=response,
        timing=timing,
    )
    return Delivery(
        target=target.id,
        exchanges=(exchange,),
        submit_count=1,
        audio=b"x",
        audio_exchange_index=0,
        submit_exchange_index=0,
    )


def _event(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _audio(size: int, index: int) -> bytes:
    return _event("audio", index=index, audio=base64.b64encode(b"x" * size).decode())


def test_events_are_timed_by_the_chunk_that_completes_them(ttsai) -> None:
    first, second = _audio(100, 0), _audio(50, 1)
    chunks = [
        (10.0, _event("start", status="processing")),
        (20.0, first[:30]),
        (35.0, first[30:] + second[:9]),
        (60.0, second[9:]),
        (61.5, _event("done", status="completed")),
    ]
    target = ttsai.find_target_by_name("kokoro-stream")
    delivery = _delivery(target, "text/event-stream", chunks)
    found = measure_streaming(delivery, target, latency_start_ms=5000.0)
    assert found == StreamArrivals(
        first_event_ms=10.0, chunks=((35.0, 100), (60.0, 150)), gap_p50_ms=25.0, gap_max_ms=25.0
    )
    latency = measure_latency(delivery, target)
    assert latency is not None
    assert (latency.ttfa_ms, latency.total_latency_ms) == (35.0, 61.5)


def test_bytes_without_a_content_length_are_a_stream(ttsai) -> None:
    chunks = [(10.0, b"a" * 44), (10.4, b"b" * 6), (30.0, b"c" * 50), (90.0, b"d" * 100)]
    target = ttsai.find_target_by_name("kokoro-sync")
    found = measure_streaming(_delivery(target, "audio/wav", chunks), target, latency_start_ms=5000.0)
    assert found == StreamArrivals(chunks=((10.0, 50), (30.0, 100), (90.0, 200)), gap_p50_ms=40.0, gap_max_ms=60.0)


@pytest.mark.parametrize("header", [{"Content-Length": "100"}, {}])
def test_a_response_with_a_content_length_is_not_a_stream(header, ttsai) -> None:
    """Bytes with a length, and audio behind a URL."""
    target = ttsai.find_target_by_name("kokoro-sync" if header else "kokoro")
    assert (
        measure_streaming(
            _delivery(target, "audio/wav", [(10.0, b"a" * 100)], **header), target, latency_start_ms=5000.0
        )
        is None
    )


@pytest.mark.parametrize(
    ("chunks", "stalls", "audible", "arrived", "deficit"),
    [
        ([(100, 1.0)], (), 350, 100, 0),
        ([(100, 0.0), (150, 1.0)], (), 400, 150, 0),
        ([(100, 0.2), (300, 1.0)], (), 350, 300, 0),
        ([(100, 0.2), (400, 1.0)], (100,), 450, 400, 100),
        ([(100, 0.2), (400, 0.3), (600, 1.0)], (100, 100), 450, 400, 200),  # the second stall adds to the first
        ([(100, 0.5), (599, 0.6), (900, 0.7)], (200,), 350, 100, 200),
        ([(100, 0.1)], (), 100, 100, 0),
    ],
)
def test_playback_stalls_when_the_buffer_is_empty(chunks, stalls, audible, arrived, deficit) -> None:
    played = simulate_playback([(float(at), seconds) for at, seconds in chunks], 0.25)
    assert played.stalls_ms == pytest.approx(stalls)
    assert played.requested_position_played_at_ms == pytest.approx(audible)
    assert played.requested_position_arrived_at_ms == arrived
    assert played.max_lateness_ms == pytest.approx(deficit)


ARRIVALS = st.lists(st.tuples(st.floats(0, 500), st.floats(0, 1)), min_size=1, max_size=12).map(
    lambda steps: list(zip(accumulate(at for at, _ in steps), accumulate(seconds for _, seconds in steps), strict=True))
)


@given(ARRIVALS, st.floats(1.0, 20.0))
def test_faster_arrival_never_increases_stalls(arrivals, factor) -> None:
    slow = simulate_playback(arrivals, 0.0)
    fast = simulate_playback([(at / factor, seconds) for at, seconds in arrivals], 0.0)
    assert sum(fast.stalls_ms) <= sum(slow.stalls_ms) + len(arrivals)
    assert all(stall > 0 for stall in slow.stalls_ms)
    assert slow.requested_position_played_at_ms >= slow.requested_position_arrived_at_ms


@given(ARRIVALS)
def test_playback_does_not_end_before_the_last_audio_arrives(arrivals) -> None:
    played = simulate_playback(arrivals, 0.0)
    bringing = [at for (_, before), (at, after) in pairwise([(0.0, 0.0), *arrivals]) if after > before]
    if bringing:
        through_ms = bringing[0] + arrivals[-1][1] * 1000 + sum(played.stalls_ms)
        assert through_ms >= bringing[-1] - len(arrivals), "waits below a millisecond each are not counted"


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_a_timeline_rises_with_the_bytes_to_the_full_duration(name) -> None:
    rate, seconds = 24_000, 3.0
    noise = 0.1 * np.random.default_rng(0).standard_normal(int(rate * seconds))
    data = encode(noise.astype(np.float32), rate, name)[0]
    found = build_playback_timeline(
        data, decode(data, declared_format=RawAudioFormat(format=name, sample_rate_hz=rate))
    )
    playable = [found.compute_playable_s(round(len(data) * part / 50)) for part in range(51)]
    assert all(before <= after for before, after in pairwise(playable))
    assert playable[0] == 0
    assert playable[-1] == pytest.approx(seconds, abs=0.1)
    assert playable[40] == pytest.approx(0.8 * seconds, abs=1.1), "a page of Ogg may hold a second"


def test_a_header_before_the_audio_does_not_count_as_audio(tmp_path) -> None:
    data, media_type = encode(np.sin(np.arange(48_000)).astype(np.float32), 24_000, "wav")
    (tmp_path / "a.wav").write_bytes(data)
    made = msgspec.structs.replace(
        build_sample(),
        audio=AudioFacts(sha256="a", file_path="a.wav", size_bytes=len(data), media_type=media_type, container=None),
        latency=Latency(submit_latency_ms=900.0, ttfb_ms=10.0, ttfa_ms=10.0, total_latency_ms=900.0),
        streaming=StreamArrivals(chunks=((10.0, 44), (500.0, 20_000), (900.0, len(data)))),
    )
    (measured,) = measure_audio(tmp_path, [made], {})
    assert measured.latency is not None
    assert (measured.latency.ttfb_ms, measured.latency.ttfa_ms, measured.latency.ttfs_ms) == (10.0, 500.0, 500.0)


def _contract(tmp_path: Path, old: str, new: str) -> Contract:
    text = BUNDLED.read_text()
    assert old in text
    path = tmp_path / "openapi.yaml"
    path.write_text(text.replace(old, new))
    return load_trusted(path)


def _spoken(contract: Contract, name: str) -> tuple[StreamArrivals, Delivery]:
    """Speech over a real socket in virtual time, and how it came."""
    target = contract.find_target_by_name(name)

    async def speak() -> Delivery:
        app = create_app([contract], EmulatorSettings())
        async with serving(app) as url, Transport() as transport:
            client = Client(contract, transport, base_urls={"": f"{url}/ttsai"}, key="sk-tts-emulated")
            return await client.speak(target, SpeechRequest(text="Hello from a stream of speech.", format="wav"))

    delivery = run_in_virtual_time(speak())
    assert delivery.audio is not None, delivery.failure
    found = measure_streaming(delivery, target, latency_start_ms=find_latency_start_ms(delivery) or 0.0)
    assert found is not None
    decoded = decode(delivery.audio)
    lead_s = measure_leading_silence_s(decoded.samples, decoded.sample_rate_hz)
    return add_playback_measurements(found, build_playback_timeline(delivery.audio, decoded), lead_s)[0], delivery


def test_a_stream_slower_than_speech_has_underruns(tmp_path) -> None:
    contract = _contract(tmp_path, "speed_factor: 1.5}", "speed_factor: 0.6}")
    found, _ = _spoken(contract, "chatterbox-stream")
    assert found.underruns is not None
    assert found.underruns >= 2
    assert found.stalled_ms is not None
    assert found.stalled_ms > 300
    assert found.gap_max_ms is not None
    assert found.gap_max_ms > 500


def test_a_stream_faster_than_speech_has_none(ttsai) -> None:
    found, delivery = _spoken(ttsai, "kokoro-stream")
    assert (found.underruns, found.stalled_ms) == (0, 0)
    latency = measure_latency(delivery, ttsai.find_target_by_name("kokoro-stream"))
    assert latency is not None
    assert found.first_event_ms is not None
    assert found.first_speech_ms is not None
    assert found.first_event_ms < latency.ttfa_ms <= found.first_speech_ms < latency.total_latency_ms


STEADY = "log_duration_deviation: 0\n              "


def test_chunked_bytes_over_a_socket_are_measured(tmp_path) -> None:
    old = "processing_ms_per_character: 1.5\n              default_format: wav"
    found, _ = _spoken(
        _contract(tmp_path, old, f"{STEADY}pacing: {{chunk_audio_s: 0.25, speed_factor: 4}}"), "kokoro-sync"
    )
    assert found.first_event_ms is None
    assert len(found.chunks) > 4
    assert found.gap_p50_ms == pytest.approx(62.5)
    assert found.first_speech_ms is not None


def test_a_benchmark_reports_the_arrival_of_a_stream(tmp_path, capsys) -> None:
    words = ["bench", "ttsai/kokoro-stream", "--asr", "none", "--no-report", "--warmup", "0", "--limit", "1"]
    assert voicegauge([*words, "--out", str(tmp_path)]) == 0
    assert "EMULATED: ttsai/kokoro-stream streams: speech arrives after" in " ".join(capsys.readouterr().out.split())
    (folder,) = tmp_path.iterdir()
    (sample,) = load_run(folder).samples
    streaming, latency = sample.streaming, sample.latency
    assert streaming is not None
    assert latency is not None
    assert streaming.chunks[0][0] == latency.ttfa_ms
    assert streaming.first_speech_ms is not None
    assert latency.ttfa_ms <= streaming.first_speech_ms <= latency.ttfs_ms
    assert sample.audio is not None
    assert streaming.chunks[-1][1] == sample.audio.size_bytes
    assert streaming.underruns is not None


def test_c50_c100_and_c200_are_shares_of_streams() -> None:
    """Deficits of 0, 49.9, 100 and 250 ms: two below 50 ms, two below 100 ms, three below 200 ms."""
    samples = tuple(
        msgspec.structs.replace(
            build_sample(number), streaming=StreamArrivals(chunks=((10.0, 1),), worst_deficit_ms=worst_deficit_ms)
        )
        for number, worst_deficit_ms in enumerate([0.0, 49.9, 100.0, 250.0])
    )
    (summary,) = summarize_targets(build_run(samples))
    found = summary.streaming
    assert found is not None
    assert [
        one.value
        for one in (found.share_late_at_most_50_ms, found.share_late_at_most_100_ms, found.share_late_at_most_200_ms)
        if one is not None
    ] == [0.5, 0.5, 0.75]
