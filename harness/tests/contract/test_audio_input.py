"""What a contract says of audio that is sent is read, and refused with its line where it does not hold together."""

from __future__ import annotations

import pytest

from voicegauge.contract import Contract, load_catalogue
from voicegauge.contract.pricing import describe_price, quote_price


@pytest.fixture(scope="module")
def ttsai() -> Contract:
    return load_catalogue().provider("ttsai")


@pytest.mark.parametrize(
    ("change", "to", "says"),
    [
        ("          audio: body#/file\n          language", "          language", "must have a location for audio"),
        ("audio: body#/file\n          language", "audio: body#/recording\n          language", "documented request"),
        (
            "text: body#/text\n          language: body#/l",
            "text: body#/said\n          language: body#/l",
            "documented response",
        ),
        ("audio_s: body#/duration", "audio_s: body#/length", "is not in the documented response of transcribe"),
        ("transcript: body#/original_text", "transcript: body#/said", "is not in the documented response"),
        ("stems: {at: body#/stems", "stems: {at: body#/parts", "is not in the documented response of separateAudio"),
        ("url: url, download: downloadResult", "url: url, download: fetchStem", "is not an operation of this document"),
        (
            'constants: {"body#/model": sensevoice}',
            'constants: {"body#/engine": sensevoice}',
            "is not in the documented request",
        ),
        (
            "          enhance:\n            title",
            "          kokoro:\n            title",
            "target 'kokoro' is defined twice",
        ),
        ("purpose: dereverb", "purpose: polish", "Invalid enum value 'polish'"),
        (
            "purpose: analyse\n        request: {audio: ",
            "purpose: analyse\n        request: {sound: ",
            "Invalid enum value 'sound'",
        ),
    ],
)
def test_what_does_not_hold_together_is_refused_with_its_line(refusal, change, to, says) -> None:
    assert says in refusal(change, to)


def test_an_operation_has_one_of_the_two_keys(refusal) -> None:
    conversion = "purpose: convert\n        request: {audio: body#/file}\n        response: {}\n        targets: {}\n"
    key = "      x-transcription:\n"
    assert "either x-transcription or x-conversion" in refusal(key, f"      x-conversion:\n        {conversion}{key}")


def test_a_price_a_minute_counts_the_audio_that_is_sent(ttsai) -> None:
    intake = ttsai.audio_input_targets["stt-whisper"]
    assert quote_price(intake, 0, audio_s=90).credits == 3000
    assert quote_price(intake, 0, audio_s=90, usd=0.01).usd == 0.01
    assert describe_price(intake) == "2,000 characters / minute of audio"


def test_what_costs_no_credits_costs_no_dollars(ttsai) -> None:
    assert quote_price(ttsai.audio_input_targets["convert"], 0, audio_s=90).usd == 0
    assert quote_price(ttsai.audio_input_targets["enhance"], 0, audio_s=90).usd is None


def test_a_range_of_prices_is_two_readings(ttsai) -> None:
    assert "4,000 or 3,000 characters / minute of audio" in describe_price(ttsai.audio_input_targets["stems-demucs"])


def test_names_are_apart_from_those_of_targets(ttsai) -> None:
    assert not ttsai.audio_input_targets.keys() & ttsai.targets.keys()
    assert all(intake.id == f"ttsai/{name}" and intake.needs_key for name, intake in ttsai.audio_input_targets.items())
