"""Deliveries of one run are compared: the same audio for different texts, and a pace unlike that of the others."""

from __future__ import annotations

import dataclasses
import pickle

import msgspec
import numpy as np
import pytest

from voicegauge.model.base import SpeechRequest
from voicegauge.rules.delivery_groups import (
    MAX_REMEMBERED_DIGESTS,
    DeliveriesOfRun,
    DeliveryAmongOthers,
    DeliveryMeasurements,
)
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.listening import TOO_FEW_COMPARED_CLIPS_REASON

from ..builders.audio import make_changing_noise
from ..builders.deliveries import build_wav_delivery

RATE = 16_000
NUMBERS = ("one", "two", "three", "four", "five", "six")
TEXTS = [f"Sentence number {name} is about as long as all the others." for name in NUMBERS]


@pytest.fixture
def delivered(acme):
    def make(
        text: str, seconds: float, *, sound: str | None = None, silence_s: float = 0.0, **fields
    ) -> SpeechDelivery:
        samples = make_changing_noise(seconds, RATE, text=sound or text)
        audio = encode(np.concatenate([np.zeros(int(silence_s * RATE), np.float32), samples]), RATE, "wav")[0]
        return build_wav_delivery(acme, audio, SpeechRequest(text=text, language="de"), body_fields=fields)

    return make


def _compare(*deliveries: SpeechDelivery) -> list[DeliveryAmongOthers]:
    return [one for one in DeliveriesOfRun().add_comparisons(deliveries) if isinstance(one, DeliveryAmongOthers)]


def test_the_same_samples_for_another_text_are_found(delivered, rules_of) -> None:
    first, again, other, shifted = _compare(
        delivered("Good morning to you.", 3),
        delivered("good morning, to you!", 3, sound="Good morning to you."),
        delivered("Good evening to you.", 3, sound="Good morning to you."),
        delivered("Good night to you.", 3, sound="Good morning to you.", silence_s=0.5),
    )
    assert rules_of(first) == rules_of(again) == set()
    assert rules_of(other) == rules_of(shifted) == {"audio-of-other-text"}


@pytest.mark.parametrize("text", ["Good morning (softly) to you.", "Good morning to you [laughs]."])
def test_directions_make_no_other_text(delivered, rules_of, text) -> None:
    _, other = _compare(delivered("Good morning to you.", 3), delivered(text, 3, sound="Good morning to you."))
    assert rules_of(other) == set()


@pytest.mark.parametrize(("seconds", "rules"), [(3.6, set()), (2.6, set()), (1.7, {"audio-unusual-pace"})])
def test_a_pace_unlike_the_others_is_found(delivered, rules_of, seconds, rules) -> None:
    last = _compare(
        *(delivered(text, 3.6) for text in TEXTS), delivered("The last one is as long as all the others are.", seconds)
    )[-1]
    assert rules_of(last) == rules


def test_other_settings_may_have_another_pace(delivered, rules_of) -> None:
    deliveries = [delivered(text, 3.6) for text in TEXTS]
    last = _compare(*deliveries, delivered("The last one is as long as all the others are.", 1.6, tempo=2))[-1]
    assert rules_of(last) == set()


def test_a_few_deliveries_have_no_usual_pace(delivered, rules_of) -> None:
    last = _compare(*(delivered(text, 3.6) for text in TEXTS[:4]), delivered(TEXTS[5], 1.8))[-1]
    assert rules_of(last) == set()


def test_clips_whose_words_are_not_judged_are_counted_by_reason(delivered) -> None:
    of_run = DeliveriesOfRun()
    silent = delivered("Good evening to you.", 0.0, silence_s=3)  # which another rule reports
    of_run.add_comparisons([delivered("Good morning to you.", 3), delivered("Good night to you.", 3), silent])
    assert dict(of_run.unjudged_words_count_by_reason) == {
        "the language is de, and only English is compared with its text": 2,
    }


def test_endless_traffic_takes_no_more_memory_than_long_traffic() -> None:
    """Each delivery has its own text, and a field that no other request has."""
    of_run, sizes = DeliveriesOfRun(), []
    for count in (2, 1):
        names = [f"{len(sizes)}: {number}" for number in range(count * MAX_REMEMBERED_DIGESTS)]
        of_run.add_earlier_deliveries(
            DeliveryMeasurements(
                provider="acme", target="acme/one", text=name, fits_text=True, sample_digest=name, pace=15.0,
                settings_digest=name, speed=1.0, settings_digest_without_speed=name,
            )
            for name in names
        )  # fmt: skip
        sizes.append(len(pickle.dumps(of_run)))
    assert sizes[1] < 1.1 * sizes[0]


OTHER = "Nobody remembered who had painted the small yellow boat in the harbour."
UNKNOWN_VOICE = "marcelo"
"""A voice that the phoneme network was not trained with, and does not recognize clearly."""


@pytest.fixture
def said_as(acme):
    """Return a delivery of a text in a voice that is not recognized clearly, which says another one."""

    def make(text: str, said: str) -> SpeechDelivery:
        samples = synthesize(
            said, language="en", voice_variant=UNKNOWN_VOICE, words_per_minute=165, pitch=50, sample_rate_hz=RATE,
            seed=len(text),
        )  # fmt: skip
        return build_wav_delivery(acme, encode(samples, RATE, "wav")[0], SpeechRequest(text=text, language="en"))

    return make


def test_a_service_that_never_says_the_text_is_found_in_an_unknown_voice(said_as, rules_of) -> None:
    of_run = DeliveriesOfRun()
    compared = of_run.add_comparisons([said_as(text, OTHER) for text in TEXTS[:4]])
    found = [rules_of(one) for one in compared if isinstance(one, DeliveryAmongOthers)]
    doubtful = ["spoken-text-doubtful" in rules for rules in found]
    assert doubtful == [False, True, True, True]
    assert dict(of_run.unjudged_words_count_by_reason) == {TOO_FEW_COMPARED_CLIPS_REASON: 1}


def test_a_text_that_is_not_said_is_found_beside_others_in_an_unknown_voice(said_as, rules_of) -> None:
    right = [said_as(text, text) for text in TEXTS[:2]]
    *fitting, wrong = _compare(*right, said_as(TEXTS[2], OTHER))
    assert [rules_of(one) for one in fitting] == [set(), set()]
    assert rules_of(wrong) == {"spoken-text-doubtful"}


@pytest.fixture
def at_speed(delivered):
    """Return a delivery of one text at a requested speed, spoken at another one."""

    def make(speed: float | None, spoken_speed: float, **fields) -> SpeechDelivery:
        made = delivered(TEXTS[0], 6 / spoken_speed, speed=speed, **fields)
        return dataclasses.replace(made, speech_request=msgspec.structs.replace(made.speech_request, speed=speed))

    return make


@pytest.mark.parametrize(
    ("spoken_by_speed", "found"),
    [
        ({1.0: 1.0, 2.0: 2.0, 4.0: 4.0}, ()),
        ({1.0: 1.0, 2.0: 2.0, 4.0: 2.0}, ("at speed 4",)),  # nothing is faster than 2
        ({4.0: 2.0, 1.0: 1.0, 2.0: 2.0}, ("at speed 4",)),  # whatever comes first
        ({0.25: 0.6, 0.5: 0.6, 1.0: 1.0, 2.0: 2.0}, ("at speed 0.5", )),
        ({1.0: 1.0, 2.0: 1.0, 4.0: 1.0}, ()),  # it has no effect at all: `speed-ignored`
        ({1.0: 1.0, 2.0: 2.0, 2.5: 2.0}, ()),  # too near to each other
    ],
)  # fmt: skip
def test_a_speed_has_an_effect_over_its_whole_range(at_speed, judge, spoken_by_speed, found) -> None:
    compared = _compare(*(at_speed(speed, spoken) for speed, spoken in spoken_by_speed.items()))
    findings = [finding for one in compared for finding in judge(one)]
    messages = [finding.message for finding in findings if finding.rule == "speed-without-effect"]
    assert len(messages) == len(found)
    for message, said in zip(messages, found, strict=True):
        assert said in message


def test_speeds_are_compared_with_equal_settings_and_the_default_speed_is_known(at_speed) -> None:
    usual, fast, other, faster = (
        at_speed(None, 1.0), at_speed(2.0, 2.0), at_speed(4.0, 2.0, stability=1), at_speed(4.0, 2.0)
    )  # fmt: skip
    found = _compare(usual, fast, other, faster)
    assert [len(one.flat_speed_steps) for one in found] == [0, 0, 0, 1]
    (step,) = found[-1].flat_speed_steps
    assert (step.slower.speed, step.faster.speed) == (2.0, 4.0)
    assert step.exponent == pytest.approx(0.0, abs=0.1)
