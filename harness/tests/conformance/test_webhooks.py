"""Webhooks in a check: subscribed to, waited for and judged, and every fault is found by its rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from voicegauge.callback_receiver import run_receiver
from voicegauge.cases.audio_input_cases import plan_audio_input_cases
from voicegauge.cases.delivery_cases import add_webhook_cases
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.conformance import received_callbacks
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import Reproduction, build_emulator_check_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.model.base import Provenance, Severity
from voicegauge.rules.registry import FaultExample, Rule

from ..builders.fault_examples import assert_found, list_fault_examples
from ..builders.in_process_check import run_to_the_end

TARGETS = ("pixazo/chatterbox", "ttsai/batch-kokoro")

# faults that only one operation of these targets can show
OF_ONE_OPERATION = {"webhook-early", "webhook-plain-http"}


@pytest.fixture
def check(voicegauge_catalogue, voicegauge_emulator) -> Callable[..., CheckReport]:
    def run(*names: str, separated: bool = False, **settings_more: Any) -> CheckReport:
        targets = voicegauge_catalogue.select_targets(names)
        cases = list(
            plan_cases(targets, is_emulated=True, include_all_billable_cases=True, include_webhooks=True).cases
        )
        if separated:  # a plan of all audio input would take longer than everything else here
            contracts = {"ttsai": voicegauge_catalogue.find_provider("ttsai")}
            cases += add_webhook_cases(
                plan_audio_input_cases(contracts["ttsai"].find_operation("separateAudio"), ()), contracts
            )
        cases = [case for case in cases if case.callback_url_parameter or case.kind == "plain-http"]
        settings = replace(build_emulator_check_settings(voicegauge_emulator, targets), **settings_more)
        collector = ResultCollector(names, 0)
        run_to_the_end(collector, check_service(targets, CasePlan(cases=tuple(cases)), settings, collector))
        return collector.build_report()

    return run


def _found(report: CheckReport) -> dict[str, int]:
    """Errors and warnings by rule, each with the number of operations."""
    seen: dict[str, set[str | None]] = {}
    for finding in report.findings:
        if finding.severity in (Severity.ERROR, Severity.WARNING):
            seen.setdefault(finding.rule, set()).add(finding.where.operation)
    return {rule: len(operations) for rule, operations in seen.items()}


def test_every_documented_webhook_is_tested_in_each_mode(check) -> None:
    report = check("pixazo", "ttsai/batch-kokoro", separated=True)
    assert {case.id: case.verdict for case in report.case_results} == dict.fromkeys(
        [
            "pixazo/xtts-v2: a webhook with plain http at header.X-Webhook-URL",
            "pixazo/xtts-v2: a webhook with plain http at body#/webhook",
            "pixazo/chatterbox: a webhook with plain http at header.X-Webhook-URL",
            "pixazo/vibevoice: a webhook with plain http at header.X-Webhook-URL",
            "pixazo/vibevoice-realtime: a webhook with plain http at header.X-Webhook-URL",
            "pixazo/xtts-v2: a webhook at header.X-Webhook-URL in mode terminal",
            "pixazo/xtts-v2: a webhook at header.X-Webhook-URL in mode sync",
            "pixazo/xtts-v2: a webhook at body#/webhook in mode *",
            "pixazo/xtts-v2: a webhook at body#/webhook in mode completed",
            "pixazo/chatterbox: a webhook at header.X-Webhook-URL in mode terminal",
            "pixazo/chatterbox: a webhook at header.X-Webhook-URL in mode sync",
            "pixazo/vibevoice: a webhook at header.X-Webhook-URL",
            "pixazo/vibevoice-realtime: a webhook at header.X-Webhook-URL",
            "ttsai/batch-kokoro: a webhook at body#/webhook_url",
            "ttsai/stems-demucs: a webhook at body#/webhook_url",
        ],
        "passed",
    )
    assert _found(report) == {}


@pytest.mark.parametrize(
    ("rule", "example"),
    list_fault_examples("webhook", fast_fault_ids=("webhook-forged", "webhook-twice", "webhook-wrong-shape")),
)
def test_an_injected_fault_is_found_by_its_rule(rule: Rule, example: FaultExample, inject_faults, check) -> None:
    inject_faults(example.fault_id)
    targets = TARGETS if example.target_id is None else (example.target_id,)
    report = check(*targets, reproduction=Reproduction(check_arguments=("--emulated",)))
    found = _found(report)
    assert_found(rule, example, set(found))
    assert found[rule.id] == (1 if example.fault_id in OF_ONE_OPERATION else len(targets))
    finding = next(finding for finding in report.findings if finding.rule == rule.id)
    assert finding.where.contract_file
    assert finding.where.contract_line
    assert finding.reproduction_command or rule.id == "callback-schema"  # a user cannot send a callback again


def test_a_live_check_uses_the_given_receiver(check, monkeypatch) -> None:
    monkeypatch.setattr(received_callbacks, "REPEATED_CALLBACK_WAIT_S", 0.0)
    with run_receiver() as receiver:
        report = check("pixazo/chatterbox", provenance=Provenance.LIVE, callback_receiver=receiver)
        states = [json.loads(one.request.body)["status"] for one in receiver.callbacks]
    assert {case.verdict for case in report.case_results} == {"passed"}
    assert sorted(states) == ["COMPLETED", "COMPLETED", "PROCESSING"]


def test_a_live_check_needs_a_tunnel_for_webhooks(check) -> None:
    report = check("pixazo/vibevoice", provenance=Provenance.LIVE)
    (skipped,) = [case for case in report.case_results if case.verdict == "skipped"]
    assert "--public-url" in (skipped.not_judged_reason or "")


def test_by_default_no_request_has_a_webhook_url(voicegauge_catalogue) -> None:
    plan = plan_cases(
        voicegauge_catalogue.select_targets(["pixazo"]), is_emulated=True, include_all_billable_cases=True
    )
    assert not [case for case in plan.cases if case.callback_url_parameter or case.kind == "plain-http"]
    named = [case.request.headers.get("X-Webhook-URL") for case in plan.cases if case.request is not None]
    assert not [url for url in named if url is not None and url.startswith("http")]
