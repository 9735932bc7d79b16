"""The emulator follows every bundled contract with any seed: no false positives."""

from __future__ import annotations

import pytest

from voicegauge.conformance.check_report import CheckReport
from voicegauge.contract.loading import load_catalogue

ELSEWHERE = ("openai", "openai-compatible")  # in test_openai_compatible.py and the tests of the emulator
PROVIDERS = [contract.id for contract in load_catalogue() if contract.id not in ELSEWHERE]
"""A new provider is covered by being bundled."""


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_target_of_a_bundled_contract_has_findings(check, voicegauge_catalogue, provider) -> None:
    report: CheckReport = check([provider])
    assert report.findings == ()
    assert {case.verdict for case in report.case_results} == {"passed"}
    delivered = {case.target for case in report.case_results if "full delivery" in case.id}
    assert delivered == {name for name in voicegauge_catalogue.targets if name.startswith(f"{provider}/")}
    contract = next(one for one in voicegauge_catalogue if one.id == provider)
    assert set(report.operations) >= {f"{provider}/{operation}" for operation in contract.operations}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 20])
def test_another_seed_raises_no_false_alarm(seed, check) -> None:
    targets = ["pixazo/xtts-v2", "pixelapi/voice-clone", "ttsai/piper", "ttsai/kokoro-sync"]
    report = check(targets, seed=seed, only=lambda case: case.speech_request is not None)
    assert report.findings == ()


@pytest.mark.slow
def test_fuzzing_a_correct_service_has_no_findings(check) -> None:
    report = check(["pixelapi/voice-design", "ttsai/kokoro"], only=lambda _: False, fuzz=40, seed=3)
    assert report.findings == ()
    assert report.exchange_count_by_provenance["emulated"] >= 2 * 40


def test_a_body_that_is_one_text_is_fuzzed(check) -> None:
    report = check(["azure/neural"], only=lambda _: False, fuzz=5, seed=3)
    assert report.findings == ()
    assert report.exchange_count_by_provenance["emulated"] >= 5


@pytest.mark.slow
def test_fuzzing_reports_the_smallest_request_that_breaks_a_rule(check) -> None:
    def search() -> CheckReport:
        faults = ["accepts-invalid@pixelapi"]
        return check(["pixelapi/voice-design"], faults=faults, only=lambda _: False, fuzz=15, seed=3)

    report, again = search(), search()
    assert {finding.rule for finding in report.findings} == {"accepts-invalid"}
    assert all(finding.reproduction_command for finding in report.findings)
    assert [finding.case_id for finding in again.findings] == [finding.case_id for finding in report.findings]
