from __future__ import annotations

import numpy as np
import pytest

from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, Failure, Request, Response
from voicegauge.rules._audio import compute_plausible_duration_range_s
from voicegauge.rules.registry import select_rules
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.encoding import encode

from ..builders.audio import make_changing_noise

RATE = 16_000
TEXT = "Good morning. This is a short test of a long story."


def _sound(seconds: float):
    return make_changing_noise(seconds, RATE)


def _wav(seconds: float = 3.0) -> bytes:
    return encode(_sound(seconds), RATE, "wav")[0]


@pytest.fixture
def delivered(acme):
    def make(audio=None, *, media_type="audio/wav", content_type="audio/wav", failure=None, done=True, **asked):
        request = Request(method="GET", url="https://cdn.acme.example/x")
        response = Response(status=200, headers=(("Content-Type", content_type),), body=audio or b"")
        exchange = Exchange(provider="acme", operation="(download)", request=request, response=response)
        delivery = Delivery(
            target="acme/voice-1",
            exchanges=(exchange,),
            submit_count=1,
            audio=audio,
            media_type=media_type,
            audio_exchange_index=0,
            failure=failure,
        )
        speech = SpeechRequest(**{"text": TEXT, **asked})
        return SpeechDelivery(acme.find_target_by_name("voice-1"), speech, delivery, is_successful=done)

    return make


@pytest.mark.parametrize("name", ["wav", "mp3", "flac", "ogg"])
def test_audio_as_requested_has_no_findings(delivered, rules_of, name) -> None:
    data, media_type = encode(_sound(3.0), RATE, name)
    assert rules_of(delivered(data, media_type=media_type, content_type=media_type, format=name)) == set()


def test_a_generic_media_type_is_not_a_contradiction(delivered, rules_of) -> None:
    kind = "application/octet-stream"
    assert rules_of(delivered(_wav(), media_type=kind, content_type=kind)) == set()


@pytest.mark.parametrize(
    "more",
    [
        {"format": "pcm"},
        {"format": "mulaw"},
        {"format": "pcm_16000"},
        {"format": "ULAW_8000"},
        {"media_type": "audio/pcm", "content_type": "audio/pcm"},
        {"media_type": "audio/L16; rate=24000", "content_type": "audio/L16; rate=24000"},
    ],
)
def test_raw_samples_of_an_undocumented_encoding_are_not_judged(delivered, rules_of, more) -> None:
    """Which sample rate they have is not documented, so that no decoder can read them."""
    raw = (_sound(3.0) * 32767).astype("<i2").tobytes()
    kinds = {"media_type": "application/octet-stream", "content_type": "application/octet-stream"}
    assert rules_of(delivered(raw, **{**kinds, **more})) == set()
    assert rules_of(delivered(b"<!DOCTYPE html><p>gone", **{**kinds, **more})) == {"audio-not-audio"}


@pytest.mark.parametrize(
    ("audio", "more", "rule"),
    [
        (b"<!DOCTYPE html><p>gone", {}, "audio-not-audio"),
        (b'{"error": "gone"}', {}, "audio-not-audio"),
        (b"\x00\x01\x02" * 100, {}, "audio-undecodable"),
        (_wav()[: RATE * 2], {}, "audio-truncated"),
        (_wav(), {"format": "mp3"}, "audio-format"),
        (_wav(), {"format": "mp3", "media_type": "audio/mpeg", "content_type": "audio/mpeg"}, "audio-format"),
        (_wav(), {"format": "pcm", "media_type": "audio/pcm", "content_type": "audio/pcm"}, "audio-media-type"),
        (_wav(), {"format": "wav", "media_type": "audio/mpeg"}, "audio-media-type"),
        (_wav(), {"media_type": "audio/mpeg"}, "audio-media-type"),
        (_wav(), {"content_type": "audio/mpeg"}, "audio-media-type"),
        (_wav(), {"media_type": "text/plain"}, "audio-media-type"),
        (encode(np.zeros(RATE * 3, np.float32), RATE, "wav")[0], {}, "audio-silent"),
        (_wav(0.3), {}, "audio-length"),
        (None, {"failure": Failure(kind="protocol", message="no bytes")}, "audio-missing"),
    ],
)
def test_each_wrong_audio_is_found_under_its_rule(delivered, rules_of, audio, more, rule) -> None:
    assert rules_of(delivered(audio, **more)) == {rule}


@pytest.mark.parametrize(("declared", "is_effect"), [("mpeg", True), ("ogg", True), ("wav", False)])
def test_a_wrong_media_type_of_a_wrong_format_is_part_of_one_finding(
    delivered, judge, declared: str, is_effect: bool
) -> None:
    media_type = f"audio/{declared}"
    (finding,) = judge(delivered(_wav(), format="mp3", media_type=media_type, content_type=media_type))
    expected = {"audio-media-type": f"declared as {media_type}, but it is wav"} if is_effect else {}
    assert (finding.rule, finding.same_cause_messages) == ("audio-format", expected)


def test_an_effect_is_a_finding_if_its_cause_is_not_judged(delivered, judge) -> None:
    subject = delivered(_wav(), format="mp3", media_type="audio/mpeg", content_type="audio/mpeg")
    assert {one.rule for one in judge(subject, rules=select_rules(ignored_ids=("audio-format",)))} == {
        "audio-media-type"
    }


@pytest.mark.parametrize(
    ("bound", "offset_s", "rules"),
    [(0, -0.01, {"audio-length"}), (0, 0.01, set()), (1, -0.01, set()), (1, 0.01, {"audio-length"})],
)
def test_the_duration_is_compared_with_both_bounds(delivered, rules_of, bound, offset_s, rules) -> None:
    seconds = compute_plausible_duration_range_s("Good morning.", "en")[bound] + offset_s
    assert rules_of(delivered(_wav(seconds), text="Good morning.", language="en")) == rules


def test_the_length_of_speech_whose_speed_is_ignored_is_left_to_the_rule_about_speed(delivered, rules_of) -> None:
    usual_s = compute_plausible_duration_range_s(TEXT, "en")[1] - 0.01
    assert rules_of(delivered(_wav(usual_s), language="en", speed=4.0)) == set()
    assert rules_of(delivered(_wav(usual_s + 0.02), language="en", speed=4.0)) == {"audio-length"}


@pytest.mark.parametrize(("spaces", "rules"), [(511, {"audio-not-audio"}), (512, {"audio-undecodable"})])
def test_text_is_detected_within_the_first_512_bytes(delivered, rules_of, spaces, rules) -> None:
    assert rules_of(delivered(b" " * spaces + b'{"error": "gone"}')) == rules


def test_a_job_that_was_not_done_owes_no_audio(delivered, rules_of) -> None:
    failure = Failure(kind="network", message="away")
    assert rules_of(delivered(None, failure=failure, done=False)) == set()


@pytest.mark.parametrize(
    ("text", "language", "real_s"),
    [
        ("The quick brown fox jumps over the lazy dog.", "en", 2.6),
        ("1,000,000", "en", 1.0),
        ("3.14159265", "en", 4.5),
        ("今天天气很好,我们去公园散步吧。", "zh", 3.6),
        ("今天天气很好,我们去公园散步吧。", None, 3.6),
        ("안녕하세요, 오늘은 날씨가 좋네요.", "ko", 3.0),
        ("Hi", "en", 0.4),
        ("(warm elderly man, slow pace) Hello.", "en", 0.6),
        ("Donaudampfschifffahrtsgesellschaft", "de", 2.8),
    ],
)
def test_real_readings_are_plausible_and_absurd_ones_are_not(text, language, real_s) -> None:
    low, high = compute_plausible_duration_range_s(text, language)
    assert low <= real_s <= high
    assert compute_plausible_duration_range_s(text, language, 2.0)[1] < high
    assert real_s * 20 + 10 > high
