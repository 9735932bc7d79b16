"""`x-transcription` and `x-conversion` are loaded, or rejected with the line of an inconsistency."""

from __future__ import annotations

import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.price_computation import describe_price, quote_price


@pytest.fixture(scope="module")
def ttsai() -> Contract:
    return load_catalogue().find_provider("ttsai")


@pytest.mark.parametrize(
    ("change", "to", "message"),
    [
        ("          audio: body#/file\n          language", "          language", "must have a location for audio"),
        ("audio: body#/file\n          language", "audio: body#/recording\n          language", "documented request"),
        (
            "text_location: body#/text\n          language_location: body#/l",
            "text_location: body#/said\n          language_location: body#/l",
            "documented response",
        ),
        (
            "audio_duration_location: body#/duration",
            "audio_duration_location: body#/length",
            "is not in the documented response of transcribe",
        ),
        ("transcript: body#/original_text", "transcript: body#/said", "is not in the documented response"),
        (
            "stems: {list_location: body#/stems",
            "stems: {list_location: body#/parts",
            "is not in the documented response of separateAudio",
        ),
        (
            "url_field: url, download_operation_id: downloadResult",
            "url_field: url, download_operation_id: fetchStem",
            "is not an operation of this document",
        ),
        (
            'request_constants: {"body#/model": sensevoice}',
            'request_constants: {"body#/engine": sensevoice}',
            "is not in the documented request",
        ),
        (
            "          enhance:\n            title",
            "          kokoro:\n            title",
            "target 'kokoro' is defined twice",
        ),
        ("purpose: dereverb", "purpose: polish", "'polish' is not one of"),
        (
            "purpose: analyse\n        request_fields: {audio: ",
            "purpose: analyse\n        request_fields: {sound: ",
            "'sound' is not one of",
        ),
    ],
)
def test_an_inconsistency_is_rejected_with_its_line(rejected_edit, change, to, message) -> None:
    assert message in rejected_edit(change, to)


def test_an_operation_has_one_of_the_two_keys(rejected_edit) -> None:
    conversion = (
        "purpose: convert\n        request_fields: {audio: body#/file}\n        response: {}\n        targets: {}\n"
    )
    key = "      x-transcription:\n"
    both = f"      x-conversion:\n        {conversion}{key}"
    assert "either x-transcription or x-conversion" in rejected_edit(key, both)


def test_a_price_per_minute_applies_to_the_uploaded_audio(ttsai) -> None:
    target = ttsai.audio_input_targets["stt-whisper"]
    assert quote_price(target, 0, audio_s=90).price_credits == 3000
    assert quote_price(target, 0, audio_s=90, user_usd_per_request=0.01).price_usd == 0.01
    assert describe_price(target) == "2,000 credits / minute of audio"


def test_zero_credits_are_zero_dollars(ttsai) -> None:
    assert quote_price(ttsai.audio_input_targets["convert"], 0, audio_s=90).price_usd == 0
    assert quote_price(ttsai.audio_input_targets["enhance"], 0, audio_s=90).price_usd is None


def test_a_range_of_prices_is_two_alternatives(ttsai) -> None:
    text = describe_price(ttsai.audio_input_targets["stems-demucs"])
    assert text == "4,000 credits / minute of audio; disputed: 3,000 credits / minute of audio"


def test_names_differ_from_those_of_speech_targets(ttsai) -> None:
    assert not ttsai.audio_input_targets.keys() & ttsai.targets.keys()
    assert all(target.id == f"ttsai/{name}" and target.needs_key for name, target in ttsai.audio_input_targets.items())
