"""Facts that only Pixazo's documents have."""

from __future__ import annotations

from typing import Any

import pytest

from voicegauge.client.speech_request import map_speech_request
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.price_computation import quote_price
from voicegauge.model.base import SpeechRequest

PIXAZO = load_catalogue().find_provider("pixazo")
STATUS = PIXAZO.find_operation("getRequestStatus").success_response.media_types["application/json"]


def valid(operation: str, body: dict[str, Any]) -> bool:
    return not list(PIXAZO.find_operation(operation).request_media["application/json"].iterate_violations(body))


def status(**changes: Any) -> dict[str, Any]:
    example = next(example for example in STATUS.examples if example.name == "chatterboxCompleted")
    return {**example.value, **changes}


def test_every_model_is_polled_at_one_endpoint() -> None:
    assert sorted(PIXAZO.targets) == ["chatterbox", "vibevoice", "vibevoice-realtime", "xtts-v2"]
    assert {target.response.status_operation_id for target in PIXAZO.targets.values()} == {"getRequestStatus"}


@pytest.mark.parametrize("time", ["2026-05-22T13:17:32.110Z", "2026-05-22 13:19:23"])
def test_both_styles_of_time_are_documented(time) -> None:
    assert not list(STATUS.iterate_violations(status(created_at=time, completed_at=time)))
    assert list(STATUS.iterate_violations(status(created_at="22/05/2026")))


@pytest.mark.parametrize("output", [None, {"media_url": [], "media_type": "audio/wav"}, {"media_url": ["https://a.b"]}])
def test_a_completed_request_has_its_audio(output) -> None:
    assert list(STATUS.iterate_violations(status(output=output)))


def test_an_error_is_not_charged_and_has_a_reason() -> None:
    job = PIXAZO.find_operation("getRequestStatus").job
    assert {name: state.is_charged for name, state in job.states.items() if state.terminal_outcome} == {
        "COMPLETED": None,
        "FAILED": None,
        "ERROR": False,
    }
    assert list(STATUS.iterate_violations(status(status="ERROR", error=None, output=None)))


def test_recommended_lengths_and_typical_ranges_are_not_limits() -> None:
    assert valid("generateXtts", {"speaker": "https://a.example/b.wav", "text": "a" * 501})
    assert valid("generateVibevoice", {"script": "Speaker 0: Hello.", "cfg_scale": 3.0})
    assert not valid("generateChatterbox", {"text": "Hello.", "cfg": 2.1})


@pytest.mark.parametrize(
    ("script", "fits"),
    [
        ("Speaker 0: Hello.", True),
        ("Speaker 0: Hello.\nSpeaker 1: Hi.", True),
        ("Hello.", False),
        ("Speaker 0: Hello.\nHi.", False),
    ],
)
def test_every_line_of_a_realtime_script_needs_its_speaker(script, fits) -> None:
    speakers = [{"preset": "Frank [EN]"}]
    assert valid("generateVibevoiceRealtime", {"script": script, "speakers": speakers}) is fits


def test_a_text_becomes_a_script_with_a_voice_of_its_language() -> None:
    target = PIXAZO.find_target_by_name("vibevoice")
    assert map_speech_request(target, SpeechRequest(text="Hello.", language="en")).body == {
        "script": "Speaker 0: Hello.",
        "speakers": [{"preset": "Alice [EN]"}],
    }
    chinese = map_speech_request(target, SpeechRequest(text="你好。", language="zh"))
    assert chinese.body["speakers"] == [{"preset": "Bowen [ZH]"}]


def test_prices() -> None:
    quotes = {name: quote_price(target, 100)[::2] for name, target in PIXAZO.targets.items()}
    assert quotes == {
        "xtts-v2": (0.015, 0.015),
        "chatterbox": (0.01, 0.03),  # a third party states $0.03
        "vibevoice": (None, 1.25),  # third parties alone state prices
        "vibevoice-realtime": (None, None),
    }
