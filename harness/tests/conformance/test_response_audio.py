"""The audio of every accepted response is judged, not only that of full deliveries."""

from __future__ import annotations

import pytest

from voicegauge.speech.spoken_text import is_ordinary_text

TARGET = "ttsai/kokoro-sync"


def _is_single_speech_call(case) -> bool:
    return (
        case.speech_request is None
        and case.operation == "createSpeech"
        and case.expected_response.case_kind in ("valid", "undocumented")
    )


def _leaves_format_out(case) -> bool:
    return _is_single_speech_call(case) and "response_format" not in (case.request.body or {})


@pytest.mark.parametrize(
    ("fault", "rule"),
    [("wrong-format", "audio-format"), ("html-as-audio", "audio-not-audio"), ("silent-audio", "audio-silent")],
)
def test_a_fault_of_audio_is_found_in_single_responses(check, fault, rule) -> None:
    report = check(
        [TARGET],
        faults=[fault],
        only=lambda case: _is_single_speech_call(case) and case.expected_response.case_kind == "valid",
    )
    assert rule in {finding.rule for finding in report.findings}


def test_a_response_without_a_requested_format_has_the_documented_default(check) -> None:
    findings = check([TARGET], faults=["wrong-format"], only=_leaves_format_out).findings
    found = [finding for finding in findings if finding.rule == "audio-format"]
    assert found
    assert {finding.message for finding in found} == {"expected wav, the documented default, got flac"}


def test_correct_responses_to_single_calls_have_no_findings(check) -> None:
    report = check([TARGET], only=_is_single_speech_call)
    assert not report.findings
    judged = [case for case in report.case_results if case.verdict == "passed"]
    assert len(judged) > 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good morning. This is a short test.", True),
        ("Guten Morgen, liebe Leute", True),
        ("1234567890 1,000.50 2026-01-01", False),
        ("a", False),
        ("\U0001d50a\U0001d52c\U0001d52c\U0001d521 \U0001d52a\U0001d52c \U0001d52b\U0001d526", False),
        ("<speak>Good <break time='1s'/> morning</speak>" * 3, False),
    ],
)
def test_only_a_text_of_words_has_a_predictable_duration(text, expected) -> None:
    assert is_ordinary_text(text) is expected
