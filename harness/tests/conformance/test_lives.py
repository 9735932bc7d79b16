"""What is kept from one call to the next: followed to its end, and every fault of keeping it found."""

from __future__ import annotations

import pytest

from voicegauge.conformance import plan_cases
from voicegauge.model import Severity

# fault, where it is planted -> the rule that finds it
FOUND_BY = {
    "uses-deleted@ttsai/submitSpeech": "resource-used-after-delete",
    "lists-deleted@ttsai/listUserVoices": "resource-listed-after-delete",
    "ignores-state@ttsai": "resource-state-ignored",
    "shares-accounts@ttsai/cloneVoice": "resource-of-another-account",
    "accepts-too-many@ttsai/submitBatch": "accepts-invalid",
}
TARGETS = ["ttsai/kokoro", "ttsai/batch-kokoro"]


def kept(case) -> bool:
    return case.life or (case.operation == "submitBatch" and "items" in case.expected.says)


def test_every_thing_that_is_kept_is_followed_to_its_end(voicegauge_catalogue) -> None:
    plan = plan_cases(voicegauge_catalogue.select([]), emulated=True, every=True)
    makers = {op.id for contract in voicegauge_catalogue for op in contract.operations.values() if op.resource}
    batches = {op.id for contract in voicegauge_catalogue for op in contract.operations.values() if op.batch}
    assert {case.operation for case in plan.cases if case.life} == makers | batches
    assert {"createUserVoice", "createEmbedding", "chat", "submitBatch"} <= makers | batches


def test_following_shows_each_step_and_finds_nothing_where_nothing_is_wrong(check) -> None:
    report = check(TARGETS, only=kept)
    assert report.findings == ()
    assert {case.verdict for case in report.cases} == {"kept"}
    steps = {"createUserVoice", "listUserVoices", "archiveUserVoice", "reactivateUserVoice", "deleteUserVoice"}
    assert {name.partition("/")[2] for name in report.operations} >= {
        *steps,
        *("submitSpeech", "createEmbedding", "cloneVoice", "chat", "submitBatch", "getBatchResult", "getSpeechResult"),
    }


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_planted_fault_is_found_under_its_rule(fault, plant, check) -> None:
    plant(fault)
    report = check(TARGETS, only=kept)
    errors = {finding.rule for finding in report.findings if finding.severity is Severity.ERROR}
    assert errors == {FOUND_BY[fault]}
    found = next(finding for finding in report.findings if finding.rule == FOUND_BY[fault])
    assert found.where.line
    assert found.reproduce
