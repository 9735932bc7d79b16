"""The page of findings says what to do first, and shows each finding with its requirement and its evidence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from voicegauge.cli import run as voicegauge
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.coverage import CoverageEntry
from voicegauge.drift.drift_report import ComparedInput, DriftChange, DriftLevel, DriftReport, FilePosition
from voicegauge.model.base import Finding, FindingClip, FindingLocation, Provenance, Severity
from voicegauge.report.findings_page import build_check_page, build_drift_page, render_findings_page
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.speech.encoding import encode

from ..builders.report_runs import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCUMENT = "paths:\n  /speak:\n    post:\n      required: [request_id]\n      other: 1\n"


def find(severity: Severity, message: str, number: int = 0, **changes: object) -> Finding:
    where = FindingLocation(provider="acme", operation=f"speak{number}", traffic_pointer="/request_id", **changes)
    return Finding(
        rule="response-schema",
        severity=severity,
        message=message,
        where=where,
        provenance=Provenance.LIVE,
        case_id="acme/one: a full delivery",
        evidence='{"request": 1}',
        reproduction_command="curl -X POST https://api.acme.test/speak",
        satisfied_claim="the pricing page says another thing" if severity is Severity.DISPUTED else None,
    )


TONE = np.sin(np.arange(32_000, dtype=np.float32) / 10)
CLIP = FindingClip(media_type="audio/mpeg", data=encode(TONE, 16_000, "mp3")[0], audio_duration_s=9.5)


def report_of(*findings: Finding, **changes: object) -> CheckReport:
    return CheckReport(
        voicegauge_version="1",
        created_at="2026-11-21T09:12:31Z",
        is_finished=True,
        seed=0,
        targets=("acme/one",),
        operations=("acme/speak",),
        exchange_count_by_provenance={Provenance.LIVE: 12},
        findings=findings,
        **changes,
    )


@pytest.fixture
def page(tmp_path: Path) -> str:
    document = tmp_path / "openapi.yaml"
    document.write_text(DOCUMENT)
    coverage = (
        CoverageEntry(kind="status", operation_or_provider="acme/speak", name="200", conforming_count=1),
        CoverageEntry(
            kind="status", operation_or_provider="acme/speak", name="429", untried_reason="the service never sent it"
        ),
    )
    findings = (
        find(Severity.INFO, "a header is missing"),
        find(Severity.DISPUTED, "the price is 2, not 1"),
        find(Severity.ERROR, '"request_id" is a required property', contract_file=str(document), contract_line=4),
    )
    return render_findings_page(build_check_page(report_of(*findings, coverage=coverage)))


def test_findings_are_ordered_by_what_to_do_first(page: str) -> None:
    order = ["Fix first", "is a required property", "Decide", "the price is 2, not 1", "Good to know", "a header is"]
    positions = [page.index(text, page.index("<main>")) for text in order]
    assert positions == sorted(positions)
    assert "1 error, 2 notes in 1 operation." in page


def test_a_finding_has_its_requirement_evidence_line_reading_and_command(page: str) -> None:
    assert RULE_BY_ID["response-schema"].description in page
    assert re.search(r'class="violated">\s+4\s+required: \[request_id\]', page)
    assert "the pricing page says another thing" in page
    assert "{&#34;request&#34;: 1}" in page
    assert "curl -X POST https://api.acme.test/speak" in page


def test_a_finding_of_a_service_names_its_other_operations_and_what_it_violates_too() -> None:
    one = msgspec.structs.replace(
        find(Severity.ERROR, "no output"),
        other_places=(FindingLocation(provider="acme", operation="list"),),
        same_cause_messages={"audio-missing": "there is no audio"},
    )
    page = render_findings_page(build_check_page(report_of(one)))
    facts = re.findall(r"<dt>(.*?)</dt><dd>(?:<bdi>)?(.*?)<", page)
    assert {("Also in", "list"), ("Violated too", "audio-missing: there is no audio")} <= set(facts)


def test_what_was_not_covered_is_listed_with_its_reason(page: str) -> None:
    covered = page[page.index('id="covered"') :]
    assert "1 of 2" in covered
    assert "status 429: the service never sent it" in covered


def test_a_report_without_findings_says_so() -> None:
    assert "No finding in 1 operation." in render_findings_page(build_check_page(report_of()))


def test_a_download_is_not_counted_as_an_operation() -> None:
    report = msgspec.structs.replace(report_of(), operations=("acme/speak", "acme/(download)"))
    assert build_check_page(report).headline == "No finding in 1 operation."


def test_500_findings_are_less_than_a_megabyte() -> None:
    findings = (find(Severity.ERROR, f"{'x' * 300} {i}", i) for i in range(500))
    text = render_findings_page(build_check_page(report_of(*findings)))
    assert text.count("data-finding") >= 500
    assert len(text.encode()) < 1_000_000


def test_a_finding_about_audio_has_a_player() -> None:
    with_clip = msgspec.structs.replace(find(Severity.ERROR, "too short"), clip=CLIP)
    page = render_findings_page(build_check_page(report_of(with_clip, find(Severity.WARNING, "silent", 1))))
    assert page.count("<audio controls") == 1
    assert "data:audio/mpeg;base64," in page
    assert "at most 5 s from 0 s on; the audio has 9.5 s" in page


def test_changes_are_ordered_by_what_breaks_clients() -> None:
    def change(rule: str, level: DriftLevel, message: str) -> DriftChange:
        position = FilePosition(file="old.yaml", pointer="/paths", line=3)
        return DriftChange(
            rule=rule,
            level=level,
            message=message,
            operation="speak",
            location="request body#/<b>x<~1b>",
            old_position=position,
            new_position=None,
            old_value="1",
            new_value="2",
        )

    report = DriftReport(
        comparison="contracts",
        old_input=ComparedInput(file="old.yaml", title="Acme", version="1"),
        new_input=ComparedInput(file="new.yaml", title="Acme", version="2"),
        count_by_level={DriftLevel.BREAKING: 1, DriftLevel.POSSIBLY_BREAKING: 0, DriftLevel.COMPATIBLE: 1},
        changes=(
            change("request-body-removed", DriftLevel.BREAKING, "was removed"),
            change("request-body-media-type-schema-added", DriftLevel.COMPATIBLE, "was added"),
        ),
    )
    page = render_findings_page(build_drift_page(report))
    assert "1 breaking, 1 compatible change." in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert (
        page.index("Adapt first") < page.index("was removed") < page.index("Good to know: c") < page.index("was added")
    )


def test_check_and_drift_write_pages(tmp_path: Path) -> None:
    contract = Path(__file__).parents[3] / "contracts" / "pixelapi" / "openapi.yaml"
    out = tmp_path / "drift.html"
    assert voicegauge(["drift", str(contract), str(contract), "--html", str(out)]) == 0
    assert "Nothing has changed." in out.read_text()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_accessible_fits_and_interprets_nothing(browser: Browser, tmp_path: Path, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    findings = [
        find(severity, text, i) for i, text in enumerate(HOSTILE) for severity in (Severity.ERROR, Severity.INFO)
    ]
    file = tmp_path / "page.html"
    reasons = {"acme/one": f"the service never sent it: {HOSTILE[1]}"}
    coverage = (
        CoverageEntry(
            kind="status", operation_or_provider="acme/speakWithALongName", name="429", untried_reason="never sent"
        ),
    )
    report = report_of(*findings, doubt_reason=HOSTILE[0], coverage=coverage, not_judged_reason_by_name=reasons)
    file.write_text(render_findings_page(build_check_page(report)))
    trouble: list[str] = []
    for scheme in ("light", "dark"):
        with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as session:
            tab = session.new_page()
            tab.on("console", lambda message: trouble.append(message.text))
            tab.on("pageerror", lambda error: trouble.append(str(error)))
            tab.goto(file.as_uri())
            tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            for table in tab.locator(".scroll").all():
                assert table.evaluate("one => one.scrollWidth - one.clientWidth") <= 0
            found = Axe().run(tab)
            assert found.violations_count == 0, found.generate_report()
            tab.get_by_label("Filter findings").fill("alert(1)")
            assert 0 < tab.locator("[data-finding]:visible").count() < len(findings)
            assert tab.locator("script").count() == 1
            assert tab.locator("img, iframe, object, embed").count() == 0
    assert trouble == []


@pytest.mark.slow
@pytest.mark.browser
def test_the_audio_of_findings_plays_one_at_a_time_and_a_link_opens_its_finding(
    browser: Browser, tmp_path: Path
) -> None:
    findings = [msgspec.structs.replace(find(Severity.ERROR, f"too short {i}", i), clip=CLIP) for i in range(25)]
    page = build_check_page(report_of(*findings))
    file = tmp_path / "page.html"
    file.write_text(render_findings_page(page))
    with browser.new_context(viewport={"width": 360, "height": 640}) as session:
        tab = session.new_page()
        tab.goto(f"{file.as_uri()}#{page.findings[20].anchor}")
        body = tab.locator(f"#{page.findings[20].anchor}")
        body.wait_for(state="visible", timeout=60_000)
        playing = tab.evaluate(
            "async () => { const [a, b] = document.querySelectorAll('audio'); a.muted = b.muted = true;"
            " await a.play(); await b.play(); return [a.paused, b.paused, b.duration > 0.5]; }"
        )
        assert playing == [True, False, True]
        tab.emulate_media(media="print")
        assert all(one.bounding_box()["height"] > 100 for one in tab.locator(".finding .body").all())  # type: ignore[index]  # a box
