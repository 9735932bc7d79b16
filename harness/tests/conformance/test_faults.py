"""Every injected fault is found by the rule for it, and by no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voicegauge.cases.case import ConformanceCase
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.service_check import EMULATOR_API_KEY
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.model.base import Severity
from voicegauge.rules.registry import RULE_BY_ID, FaultExample, FaultTraffic, Rule

from ..builders.fault_examples import assert_found, list_fault_examples

TARGETS = ("pixazo/chatterbox", "pixelapi/voice-design", "ttsai/kokoro", "ttsai/kokoro-sync")

# Cases that can show a fault, so that the tests are faster but not weaker.
_CASE_CHOOSERS: dict[FaultTraffic, Callable[[ConformanceCase], bool]] = {
    # Both models of one provider would be asked for each format, speed and voice.
    "speech": lambda case: (
        case.speech_request is not None
        and (
            case.target_name != "kokoro"
            or not (case.speech_request.format or case.speech_request.speed or case.speech_request.voice)
        )
    ),
    "speeds": lambda case: "speed" in case.id,
    "list": lambda case: case.request is not None and bool(case.request.query_parameters),
    # A synchronous call would speak the 100,001 characters that should have been rejected.
    "invalid": lambda case: case.expected_response.case_kind == "invalid" and case.target_name != "kokoro-sync",
    # The valid requests of one provider have every kind of response that these faults change.
    "valid": lambda case: case.expected_response.case_kind == "valid" and case.provider == "pixazo",
    **{
        kind: lambda case, kind=kind: case.expected_response.case_kind == kind
        for kind in ("authentication", "rejection-reason")
    },
}


def test_every_fault_is_found_by_a_rule_or_says_why_not() -> None:
    named = {example.fault_id for rule in RULE_BY_ID.values() for example in rule.shown_by}
    assert named <= FAULTS.keys()
    assert {fault.id for fault in FAULTS.values() if fault.unfound_reason is None} == named


def test_a_fault_is_found_only_by_rules_that_exist() -> None:
    examples = [example for rule in RULE_BY_ID.values() for example in rule.shown_by]
    assert {rule_id for example in examples for rule_id in example.also_found_by} <= RULE_BY_ID.keys()


@pytest.mark.parametrize(("rule", "example"), list_fault_examples(*_CASE_CHOOSERS))
def test_an_injected_fault_is_found_by_its_rule(rule: Rule, example: FaultExample, check) -> None:
    targets = TARGETS if example.target_id in (None, *TARGETS) else (example.target_id,)
    report = check(
        targets,
        faults=[example.fault_id],
        only=_CASE_CHOOSERS[example.found_in],
        fully_checked_providers=targets if example.found_in == "list" else None,
    )
    _assert_shown(rule, example, report)


@pytest.mark.parametrize(("rule", "example"), list_fault_examples("socket"))
def test_a_fault_of_connections_is_found_by_its_rule(rule: Rule, example: FaultExample, check_over_sockets) -> None:
    report = check_over_sockets(
        [example.target_id],
        faults=[example.fault_id],
        # three lost connections in a row end a check
        only=lambda case: case.expected_response.case_kind == "authentication" and case.target_name is not None,
    )
    _assert_shown(rule, example, report)


def _assert_shown(rule: Rule, example: FaultExample, report: CheckReport) -> None:
    severities = (rule.severity, Severity.WARNING)  # some violations of a rule about errors are warnings
    assert_found(
        rule,
        example,
        {one for finding in report.findings if finding.severity in severities for one in finding.violated_rules},
    )
    assert any(case.verdict == "failed" for case in report.case_results)
    found = next(finding for finding in report.findings if rule.id in finding.violated_rules)
    assert found.where.contract_file
    assert found.where.contract_line
    assert found.reproduction_command
    assert EMULATOR_API_KEY not in str(report)


def test_a_slow_service_has_no_findings(check_over_sockets) -> None:
    report = check_over_sockets(
        ["pixazo/chatterbox"],
        faults=["slow@pixazo/chatterbox"],
        only=lambda case: case.expected_response.case_kind == "authentication",
    )
    assert not report.findings
