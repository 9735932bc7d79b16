"""A rule applies where the contract states what it compares with, and is counted there alone."""

from __future__ import annotations

import pytest

from voicegauge.contract.loading import load_catalogue
from voicegauge.rules.registry import RULE_BY_ID, find_applicable_rules

CATALOGUE = load_catalogue()


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        ("ttsai/createSpeech", "audio-media-type"),  # bytes under a Content-Type
        ("pixelapi/getSpeechStatus", "audio-media-type"),  # a URL, so the Content-Type is that of the download
        ("ttsai/enhanceAudio", "converted-length"),  # without a speed, the duration is that of the upload
        ("ttsai/separateAudio", "stems-count"),
        ("ttsai/separateAudio", "webhook-duplicate"),  # no document says that callbacks are repeated
        ("ttsai/separateAudio", "webhook-repeated"),
        ("ttsai/submitBatch", "webhook-early"),
        ("ttsai/getSpeechResult", "job-output-early"),  # no state has a part of the audio
        ("pixelapi/generateSpeech", "retry-after-missing"),
    ],
)
def test_a_rule_applies_where_its_basis_is_stated(operation, rule) -> None:
    assert rule in {one.id for one in find_applicable_rules(_operation(operation))}


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        ("ttsai/getHealth", "audio-media-type"),
        ("ttsai/transcribe", "converted-length"),
        ("ttsai/submitSpeech", "webhook-duplicate"),  # has no webhook
        ("ttsai/listVoices", "charge-wrong"),
        ("pixazo/generateXtts", "charge-wrong"),  # has a price, but reports no charge
        ("ttsai/analyzeAudio", "charge-per-minute"),  # reports no charge
    ],
)
def test_a_rule_does_not_apply_without_its_basis(operation, rule) -> None:
    assert rule not in {one.id for one in find_applicable_rules(_operation(operation))}


def test_all_but_a_few_rules_apply_to_a_bundled_contract() -> None:
    """A basis with a misspelled path would apply nowhere. Rules about sockets apply to turns, not to operations."""
    applied = {
        rule.id
        for contract in CATALOGUE
        for operation in contract.operations.values()
        for rule in find_applicable_rules(operation)
    }
    left = {rule_id for rule_id in RULE_BY_ID if not rule_id.startswith("socket-")} - applied
    assert left == {"job-state-too-long"}


def _operation(name: str):
    provider, _, operation = name.partition("/")
    return CATALOGUE.find_provider(provider).find_operation(operation)
