"""A check of a transcription server of the user's own needs nothing but its URL."""

from __future__ import annotations

import pytest

import voicegauge
from voicegauge.errors import UsageError

from ..builders.notices import NoticeList
from ..builders.transcription_server import running_transcription_server

NAME = "openai-compatible-transcription"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path_factory.mktemp("state")))


def check(url: str, **more: object) -> voicegauge.CheckReport:
    return voicegauge.check(NAME, live=voicegauge.LiveOptions(base_urls={"": url}), **more)  # type: ignore[arg-type]


def list_findings(report: voicegauge.CheckReport) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule, set()).update(finding.message_counts or {finding.message: 1})
    return found


def test_a_right_server_has_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    notices = NoticeList()
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "k-123456")
    with running_transcription_server(key="k-123456", is_strict=True) as url:
        report = check(url, progress=notices)
    assert list_findings(report) == {}
    assert f"{NAME}: 1 model listed; uses model tiny" in notices.lines
    cases = {case.id.partition(": ")[2] for case in report.case_results}
    assert {"model 'no-such-model', which does not exist", "a request with a wrong key"} <= cases
    assert report.spent_usd == 0
    assert not any(case.not_judged_reason for case in report.case_results)


def test_one_line_finds_what_the_server_does_wrong() -> None:
    with running_transcription_server() as url:
        report = check(url)
    found = list_findings(report)
    assert "a text instead of a recording: got status 500" in found["server-error"]
    assert "word error rate 100% against the spoken text" in found["transcript-wrong"]
    assert any("no-such-model" in message for message in found["accepts-invalid"])
    assert "requests with body#/response_format 'srt': rejected with 400" in found["rejects-valid"]
    assert not any("aac" in message for messages in found.values() for message in messages)  # more is not wrong
    unknown = next(one for one in report.findings if "no-such-model" in str(one.message_counts or one.message))
    assert unknown.evidence is not None
    assert "model=no-such-model" in unknown.evidence
    assert "sentence.mp3 (" in unknown.evidence


def test_requests_after_a_connection_that_the_server_closed_are_judged() -> None:
    with running_transcription_server(breaks_after_500=True) as url:
        report = check(url)
    assert {case.not_judged_reason for case in report.case_results} == {None}


def test_the_right_base_url_is_named() -> None:
    with running_transcription_server() as url, pytest.raises(UsageError, match=f"use --base-url {url}"):
        check(url.removesuffix("/v1"))
