"""Lifecycles of resources and batches, and every fault in them."""

from __future__ import annotations

import asyncio

import pytest

from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.client.ledger import Ledger
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import EMULATOR_API_KEY, CheckSettings, build_emulator_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import SCENARIO_HEADER
from voicegauge.model.base import Provenance, Severity
from voicegauge.rules.registry import FaultExample, Rule
from voicegauge.transport.timing import VirtualClock

from ..builders.fault_examples import assert_found, list_fault_examples

TARGETS = ["ttsai"]


def is_lifecycle_or_list(case) -> bool:
    return case.is_lifecycle or (case.operation == "submitBatch" and "items" in case.expected_response.description)


def test_a_correct_lifecycle_has_every_step_and_no_findings(check) -> None:
    report = check(TARGETS, only=is_lifecycle_or_list)
    assert report.findings == ()
    assert {case.verdict for case in report.case_results} == {"passed"}
    steps = {"createUserVoice", "listUserVoices", "archiveUserVoice", "reactivateUserVoice", "deleteUserVoice"}
    assert {name.partition("/")[2] for name in report.operations} >= {
        *steps,
        *("submitSpeech", "createEmbedding", "cloneVoice", "chat", "submitBatch", "getBatchResult", "getSpeechResult"),
    }


@pytest.mark.parametrize(("rule", "example"), list_fault_examples("lifecycle"))
def test_an_injected_fault_is_found_by_its_rule(rule: Rule, example: FaultExample, check) -> None:
    report = check(TARGETS, faults=[example.fault_id], only=is_lifecycle_or_list)
    errors = {finding.rule for finding in report.findings if finding.severity is Severity.ERROR}
    assert_found(rule, example, errors)
    found = next(finding for finding in report.findings if finding.rule == rule.id)
    assert found.where.contract_line
    assert found.reproduction_command


@pytest.fixture(scope="module")
def kokoro():
    [target] = load_catalogue().select_targets(["ttsai/kokoro"])
    return target, plan_cases(
        [target], is_emulated=False, include_all_billable_cases=True, fully_checked_providers={"ttsai"}
    ).cases


@pytest.fixture
def live(kokoro):
    """Run the lifecycle of a resource as at a live service that may reject one kind of request."""
    target, cases = kokoro

    def run(made_by: str, method: str = "", word: str = "", why: str = "", **more) -> CheckReport:
        emulator = create_app([target.contract], build_emulator_settings())

        async def app(scope, receive, send) -> None:
            if why and scope["method"] == method and word in scope["path"]:
                scope = {**scope, "headers": [*scope["headers"], (SCENARIO_HEADER.lower().encode(), why.encode())]}
            await emulator(scope, receive, send)

        collector = ResultCollector([], 0)
        plan = CasePlan(cases=tuple(case for case in cases if case.is_lifecycle and case.operation == made_by))
        settings = CheckSettings(
            provenance=Provenance.LIVE,
            base_urls_by_provider={"ttsai": {"": "http://emulated/ttsai"}},
            api_key_by_provider={"ttsai": EMULATOR_API_KEY},
            create_clock=VirtualClock,
            emulator_app=app,
            **more,
        )
        asyncio.run(check_service([target], plan, settings, collector))
        return collector.build_report()

    return run


@pytest.mark.parametrize(("method", "word"), [("DELETE", "user-voices"), ("POST", "archive")])
def test_a_rejected_step_does_not_change_the_expected_state(live, method, word) -> None:
    report = live("createUserVoice", method, word, "unauthorized")
    assert [finding.rule for finding in report.findings] == ["rejects-valid"]


@pytest.mark.parametrize(("method", "word"), [("DELETE", "user-voices"), ("POST", "archive"), ("GET", "user-voices")])
def test_a_rate_limited_step_gives_no_verdict(live, method, word) -> None:
    report = live("createUserVoice", method, word, "rate-limited")
    assert report.findings == ()
    assert [case.verdict for case in report.case_results] == ["skipped"]


@pytest.mark.parametrize(("made_by", "name"), [("createUserVoice", "kokoro"), ("chat", "chat")])
def test_each_use_of_a_resource_is_reserved_from_the_budget(live, made_by, name) -> None:
    report = live(made_by, ledger=Ledger(1.0), price_usd_by_name={f"ttsai/{name}": 0.01})
    assert report.spending.total.billable_request_count > 1
    assert report.spent_usd == pytest.approx(0.01 * report.spending.total.billable_request_count)
    assert not live(made_by, ledger=Ledger(0.015), price_usd_by_name={f"ttsai/{name}": 0.01}).is_finished


def test_a_resource_is_not_created_if_the_price_of_its_use_is_unknown(live) -> None:
    report = live("createUserVoice", ledger=Ledger(1.0))
    assert report.exchange_count_by_provenance == {}
    assert (
        "give it with --price ttsai/kokoro=USD, or that of a credit with --credit-rate ttsai=USD"
        in report.case_results[0].not_judged_reason
    )
