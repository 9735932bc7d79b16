"""Facts that only PixelAPI's documents have."""

from __future__ import annotations

import pytest

from voicegauge.client.speech_request import map_speech_request
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.price_computation import quote_price
from voicegauge.model.base import SpeechRequest, VoiceSample

PIXELAPI = load_catalogue().find_provider("pixelapi")
GENERATE = PIXELAPI.find_operation("generateSpeech")
SAMPLE = VoiceSample(data=b"RIFF", filename="me.wav", media_type="audio/wav")


@pytest.mark.parametrize("media_type", ["multipart/form-data", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"text": "a" * 500}, True),
        ({"text": "a" * 501}, False),
        ({"text": " \n"}, False),
        ({}, False),
        ({"text": "Hi", "language": "auto", "cfg_value": 0.5, "inference_timesteps": 20}, True),
        ({"text": "Hi", "cfg_value": 5.1}, False),
        ({"text": "Hi", "inference_timesteps": 3}, False),
        ({"text": "Hi", "language": "xx"}, False),
    ],
)
def test_limits(media_type, fields, fits) -> None:
    errors = list(GENERATE.request_media[media_type].iterate_violations(fields))
    assert (errors == []) is fits


def test_an_upload_selects_voice_cloning() -> None:
    design = map_speech_request(PIXELAPI.find_target_by_name("voice-design"), SpeechRequest(text="Hi"))
    clone = map_speech_request(
        PIXELAPI.find_target_by_name("voice-clone"), SpeechRequest(text="Hi", voice_sample=SAMPLE)
    )
    assert design.media_type == "application/x-www-form-urlencoded"
    assert design.body["voice_description"] == "warm, professional male narrator"
    assert clone.media_type == "multipart/form-data"
    assert clone.body["voice_ref"].data == b"RIFF"


def test_a_credit_is_worth_a_tenth_of_a_cent() -> None:
    assert quote_price(PIXELAPI.find_target_by_name("voice-design"), 500) == (0.05, 50, 0.05)
    assert quote_price(PIXELAPI.find_target_by_name("voice-clone"), 500) == (0.10, 100, 0.10)
    credits = PIXELAPI.provider.credits
    assert credits.usd_per_credit * 50 == pytest.approx(0.05)
    assert credits.free_credits == 500


def test_thirty_one_languages_and_auto() -> None:
    languages = PIXELAPI.document.data["components"]["schemas"]["Language"]["enum"]
    assert languages[0] == "auto"
    assert len(set(languages)) == 32
    assert set(PIXELAPI.find_target_by_name("voice-clone").target_spec.supported_languages) == set(languages[1:])


@pytest.mark.parametrize("status", [429, 503])
def test_a_temporary_rejection_has_retry_after(status) -> None:
    assert GENERATE.find_response(status).headers["Retry-After"].is_required


def test_every_status_response_has_times_and_charge() -> None:
    media = PIXELAPI.find_operation("getSpeechStatus").success_response.media_types["application/json"]
    whole = {"status": "queued", "credits_used": 50, "created_at": "2026-03-31T10:00:00Z", "completed_at": None}
    assert not list(media.iterate_violations(whole))
    for key in whole:
        assert list(media.iterate_violations({name: value for name, value in whole.items() if name != key}))
