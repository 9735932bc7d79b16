"""Metamorphic rules find parameters without effect, and nothing in responses that vary as those of real services do."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, Request, Response
from voicegauge.rules.delivery_groups import DeliveriesOfRun
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.rules.subjects import DeliveryPair, SpeechDelivery
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode, resample
from voicegauge.speech.espeak import synthesize

from ..builders.deliveries import build_wav_delivery

RATE = 16_000
TEXT = "Good morning. This is a short test of a long story."


def _wav(seconds: float, seed: int = 0, words: int = 0) -> bytes:
    """Noise whose spectrum changes like that of a sequence of words, which last `seconds` together."""
    noise = np.random.default_rng(seed).standard_normal(int(RATE * seconds))
    pitches = np.random.default_rng(words).uniform(100, 3600, (40, 3))
    pieces = []
    for piece, frequencies in zip(np.array_split(noise, len(pitches)), pitches, strict=True):
        t = np.arange(len(piece)) / RATE
        pieces.append(0.2 * piece + sum(np.sin(2 * np.pi * hz * t) for hz in frequencies))
    samples = 0.1 * np.concatenate(pieces)
    silence = np.zeros(RATE // 2)
    return encode(np.concatenate([silence, samples, silence]).astype(np.float32), RATE, "wav")[0]


@pytest.fixture
def pair(acme):
    def delivered(audio: bytes, text: str, *, is_ordinary: bool) -> SpeechDelivery:
        return build_wav_delivery(acme, audio, SpeechRequest(text=text), has_ordinary_text=is_ordinary)

    def make(relation, values, one: bytes, other: bytes, *, is_ordinary: bool = True) -> DeliveryPair:
        base, changed = (delivered(audio, TEXT, is_ordinary=is_ordinary) for audio in (one, other))
        return DeliveryPair(relation, base, changed, *values)

    return make


@pytest.mark.parametrize(
    ("relation", "values", "changed_s", "rules"),
    [
        ("speed", (1.0, 2.0), 4.0, {"speed-ignored"}),
        ("speed", (1.0, 2.0), 8.0, {"speed-ignored"}),  # the inverse of what was requested
        ("speed", (1.0, 2.0), 3.4, {"speed-ignored"}),
        ("speed", (1.0, 2.0), 3.0, set()),
        ("speed", (1.0, 2.0), 2.0, set()),
        ("speed", (1.0, 2.0), 1.4, set()),
        ("speed", (1.0, 0.5), 4.2, {"speed-ignored"}),
        ("speed", (1.0, 0.5), 7.5, set()),
        ("speed", (1.0, 1.2), 4.0, set()),  # too small a change to be measured
        ("format", ("wav", "mp3"), 4.9, set()),
        ("format", ("wav", "mp3"), 8.0, {"format-changes-speech"}),
        ("format", (None, "mp3"), 2.0, {"format-changes-speech"}),
        ("text", (1, 2), 4.4, {"long-text-cut"}),
        ("text", (1, 2), 7.2, set()),
        ("voice", ("a", "b"), 4.1, set()),
    ],
)
def test_durations_are_compared_with_wide_bounds(pair, rules_of, relation, values, changed_s, rules) -> None:
    assert rules_of(pair(relation, values, _wav(4.0), _wav(changed_s, seed=1))) == rules


@pytest.mark.parametrize("changed_s", [3.0, 4.0, 5.5])
def test_other_words_in_another_format_are_found_whatever_their_rate(pair, rules_of, changed_s) -> None:
    for seed in range(3):
        same, other = (_wav(changed_s, seed=seed + 1, words=words) for words in (0, seed + 1))
        assert rules_of(pair("format", ("wav", "mp3"), _wav(4.0), same)) == set()
        assert rules_of(pair("format", ("wav", "mp3"), _wav(4.0), other)) == {"format-changes-speech"}


def test_the_same_seed_gives_the_same_waveform(pair, rules_of, judge) -> None:
    first = _wav(4.0)
    rounded = encode(decode(first).samples + 1e-4 * np.random.default_rng(1).standard_normal(5 * RATE), RATE, "wav")[0]
    for same in (first, rounded):
        assert rules_of(pair("repetition", (7, 7), first, same)) == set()
    for other in (_wav(4.0, words=1), _wav(4.2)):
        assert rules_of(pair("repetition", (7, 7), first, other)) == {"seed-not-reproducible"}
    [finding] = judge(pair("repetition", (7, 7), first, _wav(4.2)))
    assert finding.message == "when the seed 7 is sent again, the audio takes 5.20 s, and 5.00 s the first time"
    assert finding.where.contract_pointer.endswith("/x-speech/request_fields/seed")


@pytest.mark.parametrize("relation", ["voice", "language", "seed"])
def test_only_equal_samples_show_that_a_parameter_is_ignored(pair, rules_of, relation) -> None:
    assert rules_of(pair(relation, ("a", "b"), _wav(4.0), _wav(4.0))) == {f"{relation}-ignored"}
    assert rules_of(pair(relation, ("a", "b"), _wav(4.0), _wav(4.0, seed=1))) == set()


@pytest.mark.parametrize("relation", ["speed", "voice", "text", "format", "repetition"])
def test_audio_that_cannot_be_compared_has_no_findings(pair, rules_of, relation) -> None:
    values = (1.0, 2.0)
    assert rules_of(pair(relation, values, _wav(4.0), b"no audio")) == set()
    assert rules_of(pair(relation, values, _wav(4.0), _wav(4.0), is_ordinary=False)) == set()
    assert rules_of(pair(relation, values, _wav(0.2), _wav(0.2, seed=1))) == set()


def test_silence_is_not_taken_for_an_ignored_voice(pair, rules_of) -> None:
    silence = encode(np.zeros(4 * RATE, np.float32), RATE, "wav")[0]
    assert "voice-ignored" not in rules_of(pair("voice", ("a", "b"), silence, silence))


def test_a_finding_names_both_requests_and_the_parameter(pair, judge) -> None:
    [finding] = judge(pair("speed", (1.0, 2.0), _wav(4.0), _wav(4.0)))
    assert (
        finding.message == "at speed 2 the text takes 4.00 s, at speed 1 4.00 s: 1.00 times as fast instead of 2 times"
    )
    assert finding.where.contract_pointer.endswith("/x-speech/request_fields/speed")


def _make_pair_with_companion(pair, alone: bytes, in_flight: bytes, companion: bytes) -> DeliveryPair:
    made = pair("companion", (None, "story. long a"), alone, in_flight)
    other = pair("companion", (None, ""), companion, companion).base_delivery
    return dataclasses.replace(made, companion_delivery=other)


@pytest.mark.parametrize(
    ("in_flight", "companion", "message"),
    [
        ((1, 0), (2, 1), None),
        ((1, 1), (1, 1), "give the same audio"),  # both got the file that was written last
        ((1, 1), (2, 0), "the other request gets the words of this one"),
        ((1, 1), (2, 1), None),  # another text, but not that of the other request: a matter of other rules
    ],
)
def test_audio_of_another_request_in_flight_is_found(pair, judge, in_flight, companion, message) -> None:
    alone, one, other = (_wav(4, seed=seed, words=words) for seed, words in ((0, 0), in_flight, companion))
    findings = [one for one in judge(_make_pair_with_companion(pair, alone, one, other)) if one.rule == "audio-swapped"]
    assert len(findings) == (message is not None)
    assert all(message in finding.message for finding in findings)


JSON = (("Content-Type", "application/json"),)
STORY = "The committee met on Tuesday and agreed to repair the old bridge before the winter."


def _speak(words_per_minute: int, pitch: int):
    options = {"words_per_minute": words_per_minute, "pitch": pitch, "sample_rate_hz": 24_000, "seed": pitch}
    return synthesize(STORY, language="en", voice_variant="f4", **options)


@pytest.fixture(scope="module")
def raw_pair():
    """Return a pair of deliveries of one text: as a file, and as raw samples that are documented to have 24,000 Hz."""
    target = load_catalogue().targets["openai/tts-1"]

    def delivered(audio: bytes, name: str) -> SpeechDelivery:
        body = json.dumps({"response_format": name}).encode()
        request = Request(method="POST", url="https://api.openai.com/v1/audio/speech", headers=JSON, body=body)
        response = Response(status=200, headers=(("Content-Type", f"audio/{name}"),), body=audio)
        exchange = Exchange(provider="openai", operation=target.operation.id, request=request, response=response)
        delivery = Delivery(
            target=target.id, exchanges=(exchange,), submit_count=1, audio=audio, media_type=f"audio/{name}",
            audio_exchange_index=0, submit_exchange_index=0,
        )  # fmt: skip
        return SpeechDelivery(target, SpeechRequest(text=STORY, format=name), delivery)

    def make(file, raw, raw_rate_hz: int) -> DeliveryPair:
        audio = encode(resample(raw, 24_000, raw_rate_hz), raw_rate_hz, "pcm_s16le")[0]
        file_delivery = delivered(encode(file, 24_000, "wav")[0], "wav")
        return DeliveryPair("format", file_delivery, delivered(audio, "pcm"), "wav", "pcm")

    return make


@pytest.mark.parametrize(
    ("words_per_minute", "pitch", "raw_rate_hz", "found"),
    [
        (165, 50, 24_000, None),
        (165, 50, 22_050, "the samples are those of 22050 Hz"),
        (170, 52, 24_000, None),
        (170, 52, 22_050, "the samples are probably those of 22050 Hz"),
        pytest.param(160, 48, 22_050, "the samples are probably those of 22050 Hz", marks=pytest.mark.slow),
        (160, 48, 16_000, "the samples are probably those of 16000 Hz"),
        pytest.param(170, 52, 48_000, "the samples are probably those of 48000 Hz", marks=pytest.mark.slow),
    ],
)
def test_raw_samples_have_the_rate_of_a_file_also_if_the_text_is_synthesized_again(
    raw_pair, words_per_minute, pitch, raw_rate_hz, found
) -> None:
    compared = raw_pair(_speak(165, 50), _speak(words_per_minute, pitch), raw_rate_hz)
    messages = [one.message for one in RULE_BY_ID["pcm-sample-rate"].check(compared)]
    assert (found is None) is (messages == [])
    assert found is None or found in messages[0]
    of_run = DeliveriesOfRun()
    of_run.add_comparisons([compared])
    assert not of_run.unjudged_sound_count_by_reason


def test_a_rate_that_neither_waveform_nor_pace_and_pitch_show_is_not_judged(raw_pair) -> None:
    compared = raw_pair(_speak(165, 50), _speak(210, 50), 24_000)
    assert not list(RULE_BY_ID["pcm-sample-rate"].check(compared))
    of_run = DeliveriesOfRun()
    of_run.add_comparisons([compared])
    ((explanation, count),) = of_run.unjudged_sound_count_by_reason.items()
    assert count == 1
    assert explanation.startswith("pcm-sample-rate: the waveform is that of another synthesis than the file, 1.2")
