"""What is kept from one call to the next: followed to its end, and every fault of keeping it found."""

from __future__ import annotations

import asyncio

import pytest

from voicegauge.client import Ledger
from voicegauge.conformance import (
    CasePlan,
    CheckReport,
    CheckSettings,
    Collector,
    check_service,
    emulator_settings,
    plan_cases,
)
from voicegauge.conformance.emulator_setup import EMULATED_KEY
from voicegauge.contract import load_catalogue
from voicegauge.emulator import SCENARIO_HEADER, create_app
from voicegauge.model import Provenance, Severity
from voicegauge.transport import VirtualClock

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
    return case.is_lifecycle or (case.operation == "submitBatch" and "items" in case.expected.description)


def test_every_thing_that_is_kept_is_followed_to_its_end(voicegauge_catalogue) -> None:
    plan = plan_cases(voicegauge_catalogue.select([]), emulated=True, every=True)
    makers = {op.id for contract in voicegauge_catalogue for op in contract.operations.values() if op.resource}
    batches = {op.id for contract in voicegauge_catalogue for op in contract.operations.values() if op.batch}
    assert {case.operation for case in plan.cases if case.is_lifecycle} == makers | batches
    assert {"createUserVoice", "createEmbedding", "chat", "submitBatch"} <= makers | batches


def test_following_shows_each_step_and_finds_nothing_where_nothing_is_wrong(check) -> None:
    report = check(TARGETS, only=kept)
    assert report.findings == ()
    assert {case.verdict for case in report.cases} == {"passed"}
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


@pytest.fixture(scope="module")
def kokoro():
    [target] = load_catalogue().select(["ttsai/kokoro"])
    return target, plan_cases([target], emulated=False, every=True).cases


@pytest.fixture
def live(kokoro):
    """The life of what an operation makes, as at a live service that may refuse one kind of request for a reason."""
    target, cases = kokoro

    def run(made_by: str, method: str = "", word: str = "", why: str = "", **settings) -> CheckReport:
        emulator = create_app([target.contract], emulator_settings())

        async def app(scope, receive, send) -> None:
            if why and scope["method"] == method and word in scope["path"]:
                scope = {**scope, "headers": [*scope["headers"], (SCENARIO_HEADER.lower().encode(), why.encode())]}
            await emulator(scope, receive, send)

        collector = Collector([], 0)
        plan = CasePlan(cases=tuple(case for case in cases if case.is_lifecycle and case.operation == made_by))
        asked = CheckSettings(
            provenance=Provenance.RECORDED,
            base_urls={"ttsai": {"": "http://emulated/ttsai"}},
            keys={"ttsai": EMULATED_KEY},
            clock=VirtualClock,
            app=app,
            **settings,
        )
        asyncio.run(check_service([target], plan, asked, collector))
        return collector.report()

    return run


@pytest.mark.parametrize(("method", "word"), [("DELETE", "user-voices"), ("POST", "archive")])
def test_what_was_refused_did_not_happen(live, method, word) -> None:
    report = live("createUserVoice", method, word, "unauthorized")
    assert [finding.rule for finding in report.findings] == ["refuses-valid"]


@pytest.mark.parametrize(("method", "word"), [("DELETE", "user-voices"), ("POST", "archive"), ("GET", "user-voices")])
def test_an_account_that_is_told_to_come_back_later_says_nothing_of_what_is_kept(live, method, word) -> None:
    report = live("createUserVoice", method, word, "rate-limited")
    assert report.findings == ()
    assert [case.verdict for case in report.cases] == ["skipped"]


@pytest.mark.parametrize(("made_by", "name"), [("createUserVoice", "kokoro"), ("chat", "chat")])
def test_each_use_of_what_is_kept_is_paid_for_from_the_budget(live, made_by, name) -> None:
    report = live(made_by, ledger=Ledger(1.0), prices={f"ttsai/{name}": 0.01})
    assert report.spending.total.billable > 1
    assert report.spent_usd == pytest.approx(0.01 * report.spending.total.billable)
    assert not live(made_by, ledger=Ledger(0.015), prices={f"ttsai/{name}": 0.01}).finished


def test_nothing_is_made_that_nobody_knows_the_price_of_using(live) -> None:
    report = live("createUserVoice", ledger=Ledger(1.0))
    assert report.exchanges == {}
    assert "give it with --price ttsai/kokoro=USD" in report.cases[0].reason
