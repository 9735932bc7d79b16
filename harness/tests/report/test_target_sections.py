"""The section of a target: failures by cause with an exchange, findings and drift of saved results."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from voicegauge.cli import run as voicegauge
from voicegauge.conformance.check_report import CheckReport
from voicegauge.drift.drift_report import ComparedInput, DriftChange, DriftLevel, DriftReport
from voicegauge.model.base import Finding, FindingLocation, Provenance, Severity
from voicegauge.model.run import Run
from voicegauge.model.sample import Interval, Latency
from voicegauge.report.findings_page import CheckAndDriftReports
from voicegauge.report.html_page import render_page
from voicegauge.report.report_data import analyze_runs
from voicegauge.report.target_sections import build_job_state_chart, build_latency_curve

from ..builders.report_runs import BROKEN, HOSTILE, VOICES, make_run


def find(message: str, **where: str) -> Finding:
    return Finding(
        rule="response-schema",
        severity=Severity.ERROR,
        message=message,
        where=FindingLocation(provider="north", **where),
        provenance=Provenance.EMULATED,
    )


CHECK = CheckReport(
    voicegauge_version="1",
    created_at="2026-11-20T09:12:31Z",
    is_finished=True,
    seed=0,
    targets=("north/aurora", "north/borealis", "pebble/skip"),
    exchange_count_by_provenance={Provenance.EMULATED: 12},
    findings=(
        find(f"of the provider {HOSTILE[0]}", operation="speak"),
        find("of aurora", target="north/aurora"),
        find("of borealis", target="north/borealis"),
    ),
)
DRIFT = DriftReport(
    comparison="contracts",
    old_input=ComparedInput(file="old.yaml", title="North", version="1.0", provider="north"),
    new_input=ComparedInput(file="new.yaml", title="North", version="2.0", provider="north"),
    count_by_level={DriftLevel.BREAKING: 1, DriftLevel.POSSIBLY_BREAKING: 0, DriftLevel.COMPATIBLE: 0},
    changes=(
        DriftChange(
            rule="request-body-removed",
            level=DriftLevel.BREAKING,
            message=f"the body was removed {HOSTILE[1]}",
            operation="speak",
            location="request body",
            old_position=None,
            new_position=None,
        ),
    ),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("run")
    return make_run(folder, (VOICES[0], VOICES[3], VOICES[6], BROKEN), repetitions=1, message=HOSTILE[0])


@pytest.fixture(scope="module")
def page(run: tuple[Path, Run]) -> str:
    return render_page(analyze_runs([run]), check_and_drift_reports=CheckAndDriftReports((CHECK,), (DRIFT,)))


def section(page: str, target: str) -> str:
    start = page.index(f'<div id="target-{target}"')
    end = page.find('<details class="target', start)
    return page[start:end]


def test_the_times_of_a_streamed_target_are_in_the_order_of_a_request(page: str) -> None:
    def list_times(target: str) -> list[str]:
        body = section(page, target)
        start = body.index("Where the time goes")
        return re.findall(r"<dt>([^<]+)</dt>", body[start : body.index("</dl>", start)])

    ends = ["Everything, median", "Everything, 95th percentile"]
    assert list_times("pebble-skip")[:3] == ["First byte of audio", "First speech is played", ends[0]]
    jobs = list_times("north-aurora")
    assert jobs[0] == "Submit answered"
    assert jobs.index("Job complete") < jobs.index("First byte of audio")


def test_the_wait_between_the_end_of_a_job_and_the_poll_has_a_name(run: tuple[Path, Run]) -> None:
    """The provider's timestamps say when the job ended, which was long before the poll that saw it."""
    folder, usual = run
    replace = msgspec.structs.replace
    samples = tuple(
        replace(one, latency=replace(one.latency, completion_ms=Interval(low_ms=900, high_ms=1_000)))
        if one.latency and one.latency.completion_ms
        else one
        for one in usual.samples
    )
    early = (folder, replace(usual, samples=samples))
    page = render_page(analyze_runs([early]))
    assert "wait for the poll that saw the end" in page
    assert "unattributed" not in page


def test_each_cause_of_failure_has_one_exchange_with_nothing_interpreted(page: str, run: tuple[Path, Run]) -> None:
    body = section(page, "quay-harbour-lost")
    causes = {sample.failure.kind for sample in run[1].samples if sample.failure and sample.is_counted}
    assert body.count("One complete exchange") == len(causes)
    assert "POST /v1/speech\nAuthorization: Bearer [redacted]\n\n{&#34;text&#34;: &#34;Hello&#34;}" in body
    assert "HTTP 503\nContent-Type: text/html\nX-Reason: &lt;script&gt;" in body
    assert "(90,000 bytes: only the beginning)" in body
    assert "<script>alert" not in page


def test_findings_are_shown_with_the_targets_that_they_concern(page: str) -> None:
    aurora = section(page, "north-aurora")
    assert "check of 2026-11-20, EMULATED" in aurora
    assert aurora.index("of aurora") < aurora.index("of the provider &lt;script&gt;")
    assert "of borealis" not in aurora
    assert "No finding." in section(page, "pebble-skip")
    assert "Conformance" not in section(page, "quay-harbour-mini")  # not checked


def test_drift_is_shown_with_the_targets_of_the_provider(page: str) -> None:
    assert "from <bdi>1.0</bdi> to <bdi>2.0</bdi>" in section(page, "north-aurora")
    assert "the body was removed &#34;&gt;&lt;img" in section(page, "north-aurora")
    assert "Drift" not in section(page, "pebble-skip")


def test_the_command_reads_saved_results(run: tuple[Path, Run], tmp_path: Path) -> None:
    files = {"--findings": CHECK, "--changes": DRIFT}
    arguments = []
    for option, record in files.items():
        file = tmp_path / f"{option[2:]}.json"
        file.write_bytes(msgspec.json.encode(record))
        arguments += [option, str(file)]
    out = tmp_path / "page.html"
    assert voicegauge(["report", str(run[0]), *arguments, "--out", str(out)]) == 0
    assert "of aurora" in out.read_text()
    assert "the body was removed" in out.read_text()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not a result of `voicegauge check --json`"),
        (
            json.dumps({"schema": "voicegauge/report/3"}),
            "its schema is 'voicegauge/report/3', not 'voicegauge/check/2'",
        ),
    ],
)
def test_a_file_that_is_no_such_result_is_rejected(
    run: tuple[Path, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, reason: str
) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    assert voicegauge(["report", str(run[0]), "--findings", str(file), "--out", str(tmp_path / "x.html")]) == 2
    assert reason in capsys.readouterr().err


def test_results_without_a_page_are_rejected(run: tuple[Path, Run], tmp_path: Path) -> None:
    assert voicegauge(["report", str(run[0]), "--format", "csv", "--changes", str(tmp_path / "x.json")]) == 2


def heights(path: str) -> list[float]:
    return [float(y) for _, y in re.findall(r"([\d.]+),([\d.]+)", path)]


def test_the_curve_rises_from_0_to_100_percent_with_a_step_for_each_request() -> None:
    curve = build_latency_curve([300.0, 100.0, 200.0, 200.0])
    assert curve
    steps = [float(y) for y in re.findall(r"V([\d.]+)", curve.svg_path)]
    bottom, _, top = (tick.position_px for tick in curve.y_ticks)
    expected = [bottom + (top - bottom) * share for share in (0.25, 0.5, 0.75, 1.0)]
    assert steps == [pytest.approx(y, abs=0.1) for y in expected]
    assert build_latency_curve([100.0]) is None


def test_every_job_is_in_one_state_until_it_is_complete() -> None:
    jobs = [
        Latency(
            submit_latency_ms=100.0,
            queue_ms=Interval(low_ms=100.0, high_ms=300.0),
            completion_ms=Interval(low_ms=900.0, high_ms=1_000.0),
        ),
        Latency(submit_latency_ms=50.0, completion_ms=Interval(low_ms=0.0, high_ms=1_000.0)),
    ]
    chart = build_job_state_chart(jobs)
    assert chart
    assert [area.job_state for area in chart.areas] == [
        "processing-or-completed",
        "processing",
        "queue-or-processing",
        "queue",
        "submit",
    ]
    top = chart.y_ticks[-1].position_px
    outline = chart.areas[-1].svg_path  # the sum of all states
    assert heights(outline)[:80] == [pytest.approx(top, abs=0.1)] * 80
    assert build_job_state_chart([Latency(submit_latency_ms=1.0)]) is None
