"""The plan compares deliveries that differ in one parameter, at the price of one request each."""

from __future__ import annotations

import pytest

from voicegauge.cases.plan import plan_cases
from voicegauge.client.speech_request import map_speech_request
from voicegauge.contract.loading import load_catalogue

CATALOGUE = load_catalogue()


def _related(name: str, **settings):
    plan = plan_cases(
        [*CATALOGUE.select_targets([name])], is_emulated=False, include_all_billable_cases=True, **settings
    )
    return plan.cases, {case.comparison.compared_parameter: case for case in plan.cases if case.comparison is not None}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ttsai/kokoro", {"speed", "voice", "text", "language", "format", "companion"}),
        ("ttsai/kokoro-sync", {"speed", "voice", "text", "format", "companion"}),
        ("pixazo/vibevoice", {"voice", "text", "seed", "repetition", "companion"}),
        ("pixazo/xtts-v2", {"text", "language", "companion"}),
    ],
)
def test_each_parameter_of_a_target_is_compared_with_its_plain_delivery(name, parameters) -> None:
    cases, related = _related(name)
    assert related.keys() == parameters
    ids = [case.id for case in cases]
    for case in related.values():
        compared_with = " with the seed 12345" if case.comparison.compared_parameter == "repetition" else ""
        assert case.comparison.base_case_id == f"{name}: a full delivery{compared_with}"
        assert ids.index(case.comparison.base_case_id) < ids.index(case.id)


def test_a_speed_is_compared_with_its_documented_default() -> None:
    _, related = _related("ttsai/kokoro")
    assert (related["speed"].comparison.base_value, related["speed"].comparison.changed_value) == (1.0, 2.0)


def test_the_default_format_is_delivered_if_the_audio_is_a_file_to_download() -> None:
    cases, _ = _related("murf/gen2")
    (case,) = [case for case in cases if case.id.endswith("with the default format")]
    assert (case.comparison.base_value, case.comparison.changed_value) == ("WAV", "WAV")
    sent = map_speech_request(CATALOGUE.select_targets(["murf/gen2"])[0], case.speech_request)
    assert sent.body.keys() == {"modelVersion", "text", "voiceId", "locale"}
    assert not [case for case in _related("murf/falcon")[0] if "default format" in case.id], "other cases show it"


def test_a_language_is_compared_only_with_one_that_the_text_cannot_be_taken_for() -> None:
    _, related = _related("ttsai/kokoro")
    assert related["language"].comparison.changed_value == "ja"
    _, related = _related("ttsai/kokoro", spoken_text="Доброе утро. Это короткая проверка.")
    assert related["language"].comparison.changed_value == "en"


def test_a_short_plan_has_comparisons_as_well() -> None:
    cases, _ = _related("ttsai/kokoro-sync", max_billable_requests=10)
    paid = [case for case in cases if case.is_billable]
    assert len(paid) == 10
    assert {case.comparison.compared_parameter for case in paid if case.comparison is not None} >= {"speed", "voice"}
    assert sum(case.comparison is None for case in paid) >= 7


def test_a_plan_without_further_billable_requests_has_no_comparisons() -> None:
    plan = plan_cases(CATALOGUE.select_targets(["ttsai/kokoro"]), is_emulated=False, include_all_billable_cases=False)
    assert all(case.comparison is None for case in plan.cases)
