"""Operations with audio input: complete plans, no findings for a correct service, every injected fault found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import EMULATOR_API_KEY, CheckSettings, Reproduction, build_emulator_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.provider import RejectionReason
from voicegauge.contract.loading import Catalogue, load_contract
from voicegauge.emulator import _transcription as transcription
from voicegauge.emulator.app import create_app
from voicegauge.model.base import Severity
from voicegauge.rules._audio import compute_plausible_duration_range_s
from voicegauge.rules.registry import FaultExample, Rule
from voicegauge.speech.audio_measurement import is_silent
from voicegauge.speech.decoding import decode
from voicegauge.transport.timing import VirtualClock

from ..builders.acme import DOCUMENT
from ..builders.fault_examples import list_fault_examples
from ..builders.in_process_check import run_to_the_end

URL = "http://127.0.0.1:9"
MEGABYTE = 10**6

# fault -> the cases that show it
CASE_CHOOSERS: dict[str, Callable[[ConformanceCase], bool]] = {
    "upload-limit-ignored": lambda case: case.id.endswith(f"{50 * 2**20 + 1} bytes"),
    "upload-format-ignored": lambda case: "text instead" in case.id or "recording as" in case.id,
    "other-transcript": lambda case: case.operation == "transcribe" and case.is_in_every_plan,
    "other-rate": lambda case: "sample_rate" in case.id and case.expected_response.acceptance == "accepted",
}
# An accepted upload is a call like any other.
FOUND_BY: dict[str, tuple[str, Callable[[ConformanceCase], bool]]] = {
    "missing-field@ttsai/analyzeAudio": (
        "response-schema",
        lambda case: case.operation == "analyzeAudio" and case.is_in_every_plan,
    ),
    "undocumented-status@ttsai/transcribe": (
        "status-undocumented",
        lambda case: case.id.endswith(": a valid recording"),
    ),
}


class Parrot:
    """A recognizer that knows the text of the one recording."""

    id, has_closed_vocabulary, settings = "parrot", True, {}

    def supports_language(self, language: str) -> bool:
        return language == "en"

    def transcribe(self, samples: object, language: str) -> str:
        return load_spoken_sentence().text


@pytest.fixture(scope="module")
def ttsai(voicegauge_catalogue: Catalogue) -> Contract:
    return voicegauge_catalogue.find_provider("ttsai")


@pytest.fixture(scope="module")
def cases(ttsai: Contract) -> list[ConformanceCase]:
    plan = plan_cases(list(ttsai.targets.values()), is_emulated=True, include_all_billable_cases=True)
    taking = {target.operation.id for target in ttsai.audio_input_targets.values()}
    return [case for case in plan.cases if case.operation in taking]


@pytest.fixture
def check(
    ttsai: Contract, cases: list[ConformanceCase], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., CheckReport]]:
    """Check some of the cases against an in-process emulator with a perfect recognizer."""
    monkeypatch.setattr(transcription, "load_embedded_asr", Parrot)
    transcription._transcript_cache.clear()

    def run(only: Callable[[ConformanceCase], bool], *faults: str) -> CheckReport:
        targets = list(ttsai.targets.values())
        settings = CheckSettings(
            base_urls_by_provider={"ttsai": {"": f"{URL}/ttsai"}},
            api_key_by_provider={"ttsai": EMULATOR_API_KEY},
            create_clock=VirtualClock,
            emulator_app=create_app([ttsai], build_emulator_settings(faults=faults)),
            reproduction=Reproduction(check_arguments=("ttsai", "--emulated")),
        )
        collector = ResultCollector(["ttsai"], 0)
        plan = CasePlan(cases=tuple(filter(only, cases)))
        run_to_the_end(collector, check_service(targets, plan, settings, collector))
        return collector.build_report()

    yield run
    transcription._transcript_cache.clear()


def test_the_uploaded_sentence_ends_in_a_pause() -> None:
    """Otherwise its last word would be cut off, and every transcript wrong."""
    sentence = load_spoken_sentence()
    decoded = decode(sentence.file.data)
    end = decoded.samples[-int(0.1 * decoded.sample_rate_hz) :]
    assert is_silent(end, decoded.sample_rate_hz)
    assert sentence.text.count(".") == 1
    low, high = compute_plausible_duration_range_s(sentence.text, "en")
    assert low < sentence.audio_duration_s < high


@pytest.mark.slow
def test_free_requests_are_not_counted_as_billable(check) -> None:
    report = check(lambda case: case.is_in_every_plan and case.target_name in ("convert", "analysis", "enhance"))
    paid = {name: spent.billable_request_count for name, spent in report.spending.total_by_target.items()}
    assert paid == {"ttsai/convert": 0, "ttsai/analysis": 0, "ttsai/enhance": 1}


def quick(case: ConformanceCase) -> bool:
    """Complete uploads and rejected ones; `test_emulated.py` sends every other value."""
    return case.upload_padding is None and (case.is_in_every_plan or case.expected_response.acceptance == "rejected")


def test_a_correct_service_has_no_findings(check, cases) -> None:
    report = check(quick)
    assert [f"{finding.rule}: {finding.message}" for finding in report.findings] == []
    assert {case.verdict for case in report.case_results} == {"passed"}
    assert len(report.case_results) == len(list(filter(quick, cases))) > 100


@pytest.mark.parametrize(
    ("rule", "example"), list_fault_examples("upload", fast_fault_ids=("other-transcript", "upload-format-ignored"))
)
def test_an_injected_fault_is_found_by_its_rule(rule: Rule, example: FaultExample, check) -> None:
    report = check(CASE_CHOOSERS.get(example.fault_id, quick), example.fault_id)
    assert {finding.rule for finding in report.findings if finding.severity is Severity.ERROR} == {rule.id}
    assert all(finding.where.contract_line and finding.reproduction_command for finding in report.findings)


@pytest.mark.parametrize("fault", FOUND_BY)
def test_any_other_fault_is_found_by_its_rule(fault, check) -> None:
    rule, only = FOUND_BY[fault]
    report = check(only, fault)
    assert {finding.rule for finding in report.findings if finding.severity is Severity.ERROR} == {rule}
    assert all(finding.where.contract_line and finding.reproduction_command for finding in report.findings)


def test_every_operation_has_a_success_and_every_documented_error(ttsai, cases) -> None:
    tested_statuses: dict[str, set[int]] = {}
    for case in cases:
        tested_statuses.setdefault(case.operation, set()).update(case.expected_response.statuses)
    for target in ttsai.audio_input_targets.values():
        operation = target.operation
        assert any(case.target_name == target.name and case.is_in_every_plan for case in cases), target.id
        documented = {int(status) for status in operation.responses if not status.startswith("2")}
        assert documented <= tested_statuses[operation.id]


@pytest.mark.parametrize(
    ("operation", "megabytes"),
    [("transcribe", 100), ("translateSpeech", 100), ("convertVoice", 50), ("restyleSpeech", 50)],
)
def test_sizes_below_at_and_beyond_each_limit(cases, operation, megabytes) -> None:
    sizes = {
        case.upload_padding.size_bytes: case.expected_response.acceptance
        for case in cases
        if case.operation == operation and case.upload_padding
    }
    limit = megabytes * 2**20
    assert sizes == {megabytes * MEGABYTE: "accepted", limit: "accepted", limit + 1: "rejected"}


@pytest.mark.slow
def test_a_size_limit_is_exact_to_the_byte(check) -> None:
    report = check(lambda case: case.operation == "convertVoice" and case.upload_padding is not None)
    assert not report.findings
    assert sorted(case.status for case in report.case_results) == [200, 200, 413]


def test_every_documented_format_is_uploaded(cases, check) -> None:
    sent = [
        case
        for case in cases
        if case.operation == "transcribe" and case.expected_response.contract_pointer.endswith("/file/accepted_formats")
    ]
    accepted = {case.id.rpartition(" ")[2] for case in sent if case.expected_response.acceptance == "accepted"}
    assert accepted == {"wav", "mp3", "flac", "ogg", "m4a", "webm"}
    report = check(lambda case: case.id == "ttsai/transcribe: a recording as webm")
    assert [case.status for case in report.case_results] == [200]
    assert not report.findings


@pytest.mark.slow
def test_a_service_that_takes_every_format_is_sent_no_other(tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    limits = document["paths"]["/clone"]["post"]["x-limits"]["upload_limits"]["sample"]
    limits.update(accepted_formats=["wav", "mp3", "flac", "ogg", "aac"], max_bytes=10**6)
    (tmp_path / "acme.json").write_text(json.dumps(document))
    targets = list(load_contract(tmp_path / "acme.json").targets.values())
    plan = plan_cases(targets, is_emulated=True, include_all_billable_cases=True)
    sent = {
        case.id.rpartition(" ")[2]: case.expected_response.acceptance
        for case in plan.cases
        if "a recording as" in case.id
    }
    assert sent == dict.fromkeys(limits["accepted_formats"], "accepted")


def test_bounds_and_enum_values_are_each_sent(cases) -> None:
    tried = {case.id.partition("/")[2] for case in cases}
    for description in ("enhanceAudio: strength 0", "enhanceAudio: strength 3", "enhanceAudio: strength 4"):
        assert description in tried
    for description in ("removeEcho: intensity 5", "removeEcho: intensity 6", "convertAudio: bitrate 320"):
        assert description in tried
    assert {f"separateAudio: stems {count}" for count in (2, 4, 5, 6)} <= tried


def test_a_large_upload_is_not_planned_for_a_live_service(ttsai) -> None:
    targets = list(ttsai.targets.values())
    live = plan_cases(targets, is_emulated=False, include_all_billable_cases=False)
    assert max(case.upload_padding.size_bytes for case in live.cases if case.upload_padding) < 32 * 2**20
    # 20 MB may be 20,000,000 bytes or 20,971,520: a live service may accept or reject a size between the two.
    between = [case for case in live.cases if case.upload_padding and case.upload_padding.size_bytes == 20 * 2**20]
    assert all(case.expected_response.acceptance == "either" for case in between)
    large = plan_cases(targets, is_emulated=False, include_all_billable_cases=False, include_large_uploads=True)
    assert max(case.upload_padding.size_bytes for case in large.cases if case.upload_padding) == 100 * 2**20 + 1


def test_every_billable_call_has_a_target_and_a_duration(cases) -> None:
    accepted = [case for case in cases if case.expected_response.acceptance == "accepted"]
    assert all(case.is_billable and case.target_name and case.audio_duration_s > 0 for case in accepted)


def test_rejection_reasons_are_planned(cases) -> None:
    situations: tuple[RejectionReason, ...] = ("no-credit", "forbidden", "rate-limited", "internal", "busy")
    for situation in situations:
        assert f"ttsai/transcribe: rejected as {situation}" in {case.id for case in cases}
