"""Rules over what comes back for audio that was sent: each finds what it is for, and nothing else is found."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from voicegauge.contract.contract import AudioInputTarget, Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response, UploadedFile
from voicegauge.rules.checker import Checker
from voicegauge.rules.subjects import AudioInputCall
from voicegauge.speech.encoding import encode_at_bitrate
from voicegauge.transport.body_encoding import encode_body

SAID = "the river was quiet in the morning"
SENT_S = 4.0
OURS = ("transcript-", "converted-", "stems-", "charge-per-minute")


@pytest.fixture(scope="module")
def ttsai() -> Contract:
    return load_catalogue().find_provider("ttsai")


def noise(seconds: float, rate: int = 16_000) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(seconds * rate)).astype(np.float32)


def taken(
    audio_target: AudioInputTarget,
    body: Any,
    *pieces: bytes,
    headers: tuple[tuple[str, str], ...] = (),
    **fields: object,
) -> AudioInputCall:
    file = UploadedFile(filename="a.wav", media_type="audio/wav", data=encode_at_bitrate(noise(SENT_S), 16_000, "wav"))
    content_type, sent = encode_body("multipart/form-data", {"file": file, **fields})
    exchange = Exchange(
        provider=audio_target.contract.id,
        operation=audio_target.operation.id,
        request=Request(method="POST", url="https://api", headers=(("Content-Type", content_type),), body=sent),
        response=Response(
            status=200, headers=(("Content-Type", "application/json"), *headers), body=json.dumps(body).encode()
        ),
    )
    return AudioInputCall(
        audio_target.operation,
        exchange,
        audio_input_target=audio_target,
        reference_transcript=SAID,
        response_audio_files=pieces,
    )


def found(call: AudioInputCall) -> set[str]:
    return {f.rule for f in Checker(Provenance.RECORDED).iterate_findings(call) if f.rule.startswith(OURS)}


def transcript(**changes: Any) -> dict[str, Any]:
    segments = [{"start": 0.0, "end": 2.0, "text": "the river was"}, {"start": 2.0, "end": 3.9, "text": "quiet"}]
    return {"text": SAID, "language": "en", "duration": SENT_S, "segments": segments, **changes}


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, set()),
        ({"text": "The river was quiet, in the morning."}, set()),
        ({"text": "a train left the station"}, {"transcript-wrong"}),
        ({"text": ""}, {"transcript-wrong"}),
        ({"duration": 3.5}, set()),
        ({"duration": 9.0}, {"transcript-duration"}),
        ({"duration": 10**400}, set()),
        (
            {"segments": [{"start": 2.0, "end": 3.0, "text": "b"}, {"start": 0.0, "end": 1.0, "text": "a"}]},
            {"transcript-segments"},
        ),
        ({"segments": [{"start": 2.0, "end": 1.0, "text": "a"}]}, {"transcript-segments"}),
        ({"segments": [{"start": 0.0, "end": 30.0, "text": "a"}]}, {"transcript-segments"}),
        ({"segments": [{"start": "now", "end": None, "text": "a"}, 7]}, set()),
        ({"segments": None}, set()),
    ],
)
def test_transcripts(ttsai: Contract, changes: dict[str, Any], rules: set[str]) -> None:
    assert found(taken(ttsai.audio_input_targets["stt-whisper"], transcript(**changes))) == rules


def test_words_are_missed_only_if_they_were_requested(ttsai: Contract) -> None:
    audio_target = ttsai.audio_input_targets["stt-whisper"]
    assert found(taken(audio_target, transcript(), timestamps=True)) == {"transcript-words"}
    timed = [{"start": 0.0, "end": 1.0, "text": "a", "words": [{"word": "a", "start": 0.0, "end": 1.0}]}]
    assert found(taken(audio_target, transcript(segments=timed), timestamps=True)) == set()
    assert found(taken(audio_target, transcript())) == set()


@pytest.mark.parametrize(
    ("charged", "rules"),
    [
        ("133.33", set()),
        ("2000", set()),
        ("1000", set()),
        ("100", {"charge-per-minute"}),
        ("5000", {"charge-per-minute"}),
        ("free", set()),
    ],
)
def test_a_part_of_a_minute_may_be_rounded_up_and_no_more(ttsai: Contract, charged: str, rules: set[str]) -> None:
    call = taken(ttsai.audio_input_targets["stt-whisper"], transcript(), headers=(("X-Credits-Used", charged),))
    assert found(call) == rules


def audio(name: str = "wav", seconds: float = SENT_S, rate: int = 22_050) -> bytes:
    return encode_at_bitrate(noise(seconds, rate), rate, name)


@pytest.mark.parametrize(
    ("piece", "fields", "rules"),
    [
        (audio(), {"format": "wav", "sample_rate": 22050, "channels": "mono"}, set()),
        (audio("flac"), {"format": "wav"}, {"converted-format"}),
        (audio(), {"sample_rate": 44100}, {"converted-format"}),
        (audio(), {"channels": "stereo"}, {"converted-format"}),
        (audio(seconds=2.0), {"format": "wav"}, {"converted-length"}),
        (b"no audio", {"format": "wav"}, {"converted-audio"}),
        (encode_at_bitrate(np.zeros(88_200, np.float32), 22_050, "wav"), {"format": "wav"}, {"converted-audio"}),
    ],
)
def test_converted_audio(ttsai: Contract, piece: bytes, fields: dict[str, Any], rules: set[str]) -> None:
    assert found(taken(ttsai.audio_input_targets["convert"], {}, piece, **fields)) == rules


def test_speed_makes_the_length(ttsai: Contract) -> None:
    audio_target = ttsai.audio_input_targets["style-openvoice"]
    assert found(taken(audio_target, {}, audio(seconds=2.0), speed=2.0)) == set()
    assert found(taken(audio_target, {}, audio(), speed=2.0)) == {"converted-length"}


def test_audio_that_cannot_be_downloaded_is_reported(ttsai: Contract) -> None:
    call = taken(ttsai.audio_input_targets["translation"], {"original_text": SAID})
    lost = AudioInputCall(
        call.operation,
        call.exchange,
        audio_input_target=call.audio_input_target,
        reference_transcript=SAID,
        download_error="404",
    )
    assert found(lost) == {"converted-audio"}


def stems(*names: str) -> dict[str, Any]:
    return {"task_id": "t", "status": "success", "stems": [{"name": n, "url": f"https://x/{n}"} for n in names]}


def test_stems_are_counted_and_named(ttsai: Contract) -> None:
    audio_target, pieces = ttsai.audio_input_targets["stems-demucs"], [audio()] * 4
    assert found(taken(audio_target, stems("vocals", "drums", "bass", "other"), *pieces, stems=4)) == set()
    assert found(taken(audio_target, stems("vocals", "other"), *pieces[:2], stems=4)) == {"stems-count"}
    assert found(taken(audio_target, stems("vocals", "vocals"), *pieces[:2], stems=2)) == {"stems-count"}


def streamed_by_cartesia(piece: bytes, stated_rate_hz: int, **output_format: object) -> AudioInputCall:
    audio_target = load_catalogue().find_provider("cartesia").audio_input_targets["voice-changer-sse"]
    fields = {f"output_format[{name}]": value for name, value in output_format.items()}
    call = taken(audio_target, {}, **fields)
    chunk = {"status_code": 206, "done": False, "data": "", "sample_rate": stated_rate_hz, "step_time": 1}
    events = "".join(f"data: {json.dumps(event)}\n\n" for event in (chunk, {"status_code": 200, "done": True}))
    response = Response(status=200, headers=(("Content-Type", "text/event-stream"),), body=events.encode())
    exchange = msgspec.structs.replace(call.exchange, response=response)
    return AudioInputCall(
        audio_target.operation, exchange, audio_input_target=audio_target, response_audio_files=(piece,)
    )


@pytest.mark.parametrize(
    ("piece", "stated_rate_hz", "output_format", "rules"),
    [
        (audio(), 22050, {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 22050}, set()),
        (audio()[44:], 22050, {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 22050}, set()),
        (audio("mp3"), 22050, {"container": "mp3", "sample_rate": 22050}, set()),
        (audio(), 22050, {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 22050}, {"converted-format"}),
        (audio(), 22050, {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 8000}, {"converted-format"}),
        (audio(), 44100, {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 22050}, {"converted-format"}),
    ],
)
def test_converted_audio_is_read_and_judged_by_what_its_format_means(
    piece: bytes, stated_rate_hz: int, output_format: dict[str, object], rules: set[str]
) -> None:
    assert found(streamed_by_cartesia(piece, stated_rate_hz, **output_format)) == rules
