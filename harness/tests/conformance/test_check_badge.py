"""The badge of a check says what was found, how and when."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from voicegauge.cli import run as voicegauge
from voicegauge.conformance.check_report import CheckReport, render_check_badge
from voicegauge.model.base import Finding, FindingLocation, Provenance, Severity


def find(severity: Severity) -> Finding:
    where = FindingLocation(provider="acme")
    return Finding(rule="content-type", severity=severity, message="no", where=where, provenance=Provenance.LIVE)


def read_badge(report: CheckReport, *, strict: bool = False) -> tuple[str, str]:
    """Return the text and the color of the badge."""
    picture = ET.fromstring(render_check_badge(report, fail_on_warnings=strict))  # noqa: S314 - our own text
    rectangle = picture.find("{*}rect")
    assert rectangle is not None
    return picture.findtext("{*}title") or "", rectangle.attrib["fill"]


def build_report(*severities: Severity, **changes: object) -> CheckReport:
    facts = {
        "is_finished": True,
        "targets": ("acme/one", "acme/two"),
        "exchange_count_by_provenance": {Provenance.LIVE: 9},
        **changes,
    }
    findings = tuple(map(find, severities))
    return CheckReport(voicegauge_version="1", created_at="2026-11-23T09:00:00Z", seed=0, findings=findings, **facts)  # type: ignore[arg-type]  # as named


PASSED, FAILED, NOT_JUDGED = "#256f3a", "#9a1b1b", "#55606b"


@pytest.mark.parametrize(
    ("report", "strict", "text", "color"),
    [
        (build_report(), False, "acme contract: 0 findings, LIVE 2026-11-23", PASSED),
        (
            build_report(Severity.INFO, exchange_count_by_provenance={Provenance.EMULATED: 9}),
            False,
            "acme contract: 1 info, EMULATED 2026-11-23",
            PASSED,
        ),
        (
            build_report(Severity.ERROR, Severity.ERROR, Severity.WARNING),
            False,
            "acme contract: 2 errors, 1 warning, LIVE 2026-11-23",
            FAILED,
        ),
        (build_report(Severity.WARNING), False, "acme contract: 1 warning, LIVE 2026-11-23", PASSED),
        (build_report(Severity.WARNING), True, "acme contract: 1 warning, LIVE 2026-11-23", FAILED),
        (build_report(is_finished=False), False, "acme contract: 0 findings, incomplete, LIVE 2026-11-23", NOT_JUDGED),
        (
            build_report(exchange_count_by_provenance={}),
            False,
            "acme contract: not judged, nothing sent 2026-11-23",
            NOT_JUDGED,
        ),
        (
            build_report(targets=("a/1", "b/1", "c/1", "<d>/1")),
            False,
            "<d>, a, b and 1 more contracts: 0 findings, LIVE 2026-11-23",
            PASSED,
        ),
    ],
)
def test_the_badge_states_findings_provenance_and_date(
    report: CheckReport, strict: bool, text: str, color: str
) -> None:
    assert read_badge(report, strict=strict) == (text, color)


def test_check_writes_a_badge(tmp_path: Path) -> None:
    file = tmp_path / "badge.svg"
    assert voicegauge(["check", "pixelapi", "--badge", str(file)]) == 0
    assert "pixelapi contract: 1 disputed, EMULATED + DOCUMENTED" in file.read_text()
