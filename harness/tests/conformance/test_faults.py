"""Every injected fault is found by the rule for it, and by no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voicegauge.cases.case import ConformanceCase
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import EMULATOR_API_KEY
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.model.base import Severity
from voicegauge.rules.registry import RULE_BY_ID, FaultExample, FaultTraffic, Rule

from ..builders.fault_examples import assert_found, list_fault_examples

TARGETS = ("pixazo/chatterbox", "pixelapi/voice-design", "ttsai/kokoro", "ttsai/kokoro-sync")
SPEECH_TARGETS = ("pixelapi/voice-design", "ttsai/kokoro-sync")
"""A job and a direct response: recognizing the words of more clips takes most of the time and shows nothing else."""

FAST_FAULT_IDS = (
    "accepts-invalid",
    "completed-without-output",
    "html-as-audio",
    "ignored-key",
    "missing-header",
    "seed-ignored",
    "silent-audio",
    "speech-cut",
    "terminal-flip",
    "wrong-charge",
    "wrong-error-shape",
)
"""At least one of each kind: what a response, a job, audio, speech and a price may be.

Of streams and timestamps, see `test_streams.py` and `test_other_shapes.py`.
"""

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
    assert {fault.id for fault in FAULTS.values() if fault.why_checks_miss_it is None} == named


def test_a_fault_is_found_only_by_rules_that_exist() -> None:
    examples = [example for rule in RULE_BY_ID.values() for example in rule.shown_by]
    assert {rule_id for example in examples for rule_id in example.also_found_by} <= RULE_BY_ID.keys()


@pytest.mark.parametrize(("rule", "example"), list_fault_examples(*_CASE_CHOOSERS, fast_fault_ids=FAST_FAULT_IDS))
def test_an_injected_fault_is_found_by_its_rule(rule: Rule, example: FaultExample, check) -> None:
    known = SPEECH_TARGETS if example.found_in == "speech" and not rule.id.startswith("job-") else TARGETS
    targets = known if example.target_id in (None, *known) else (example.target_id,)
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
        {
            one
            for finding in report.findings
            if finding.severity in severities or rule.id in finding.same_cause_messages
            for one in finding.violated_rules
        },
    )
    assert any(case.verdict == "failed" for case in report.case_results)
    found = next(finding for finding in report.findings if rule.id in finding.violated_rules)
    assert found.where.contract_file
    assert found.where.contract_line
    assert found.reproduction_command
    assert EMULATOR_API_KEY not in str(report)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("wrong-charge", ("charge-wrong",)),
        ("undocumented-status", ("status-undocumented",)),
        ("empty-body", ("empty-body",)),
        ("null-field", ("response-schema",)),
        ("missing-field", ("response-schema",)),
        ("wrong-error-shape", ("error-shape",)),
        ("negative-retry-after", ("header-schema", "retry-after-invalid")),
        ("completed-without-output", ("response-schema", "job-completed-without-output", "audio-missing")),
    ],
)
def test_what_a_whole_service_does_wrong_is_one_finding(fault: str, expected: tuple[str, ...], check) -> None:
    report = check(["pixelapi"], faults=[fault], only=_is_of_few_cases)
    assert [set(finding.violated_rules) for finding in report.findings] == [set(expected)]
    (finding,) = report.findings
    assert finding.occurrence_count > 1


def _is_of_few_cases(case: ConformanceCase) -> bool:
    return case.id.endswith(": a full delivery") or case.expected_response.case_kind in (
        "authentication",
        "rejection-reason",
    )


def test_a_wrong_charge_names_each_operation_and_price(check) -> None:
    (finding,) = check(["pixelapi"], faults=["wrong-charge"], only=_is_of_few_cases).findings
    assert {place.operation for place in finding.locations} == {"generateSpeech", "getSpeechStatus"}
    assert len({place.contract_line for place in finding.locations}) == 2
    assert set(finding.message_counts) == {
        "charged 101 credits; documented: 50",
        "charged 201 credits; documented: 100",
    }


def test_a_slow_service_has_no_findings(check_over_sockets) -> None:
    report = check_over_sockets(
        ["pixazo/chatterbox"],
        faults=["slow@pixazo/chatterbox"],
        only=lambda case: case.expected_response.case_kind == "authentication",
    )
    assert not report.findings
