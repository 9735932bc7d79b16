"""JUnit, SARIF, annotations and baselines of `voicegauge drift`, read as their consumers read them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from junitparser import JUnitXml
from sarif_pydantic import Sarif

from voicegauge.cli import run
from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.drift.drift_report import export_drift_report
from voicegauge.outputs.finding_exports import format_workflow_commands
from voicegauge.outputs.result_summary import format_summary_markdown
from voicegauge.report.result_summaries import summarize

from ..builders.documents import REMOVED, edited, put
from .operation_edits import BASE, SPEAK

HOSTILE = "x | <img src=x> @everyone [a](b)\n\n::error::`code` %0A \x00"
BREAKING = put("/paths/~1jobs~1{id}/delete", REMOVED)
POSSIBLE = put(f"{SPEAK}/responses/200/links/job/parameters/id", "$response.body#/job")
COMPATIBLE = put(f"{SPEAK}/tags/-", HOSTILE)
GRADES = {"breaking": "error", "possibly-breaking": "warning", "compatible": "note"}

Drift = Callable[..., tuple[int, str]]


@pytest.fixture
def drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Drift:
    """`voicegauge drift` of the base document and an edit of it, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)

    def call(*arguments: str, edits: tuple[Any, ...] = (BREAKING, POSSIBLE, COMPATIBLE)) -> tuple[int, str]:
        for name, document in (("old.json", BASE), ("new.json", edited(BASE, *edits))):
            Path(name).write_text(json.dumps(document, indent=1), encoding="utf-8")
        status = run(["drift", "old.json", "new.json", *arguments])
        return status, capsys.readouterr().out

    return call


@pytest.mark.parametrize(("fail_on", "failures"), [("breaking", 1), ("possibly-breaking", 2), ("compatible", 3)])
def test_junit_fails_where_the_command_does(drift: Drift, fail_on: str, failures: int) -> None:
    assert drift("--junit", "out.xml", "--fail-on", fail_on)[0] == 1
    (suite,) = JUnitXml.fromfile("out.xml")
    assert (suite.name, suite.tests, suite.failures, suite.errors) == ("Acme", 3, failures, 0)
    broken = {(case.classname, case.name): case.result[0] for case in suite if case.result}
    assert len(broken) == failures
    removed = broken["Acme.cancel", "api-removed-without-deprecation"]
    assert removed.type == "breaking"
    assert re.search(r"^at old\.json:\d+$", removed.text, re.MULTILINE)


def test_junit_without_a_change_has_one_passed_case(drift: Drift) -> None:
    assert drift("--junit", "out.xml", edits=())[0] == 0
    (suite,) = JUnitXml.fromfile("out.xml")
    assert [(case.name, case.result) for case in suite] == [("nothing has changed", [])]


def test_sarif_has_every_change_with_its_level_and_both_positions(drift: Drift) -> None:
    drift("--sarif", "out.sarif", "--json", "out.json")
    log = json.loads(Path("out.sarif").read_text())
    (run_,) = Sarif.model_validate(log).runs
    changes = json.loads(Path("out.json").read_text())["changes"]
    assert len(run_.results) == len(changes) == 3
    for result, change in zip(run_.results, changes, strict=True):
        assert run_.tool.driver.rules[result.rule_index].id == result.rule_id == change["rule"]
        assert result.level.value == GRADES[change["level"]]
        assert change["message"] in result.message.text
        locations = [*result.locations, *(result.related_locations or [])]
        places = [one.physical_location for one in locations]
        spots = [change[side] for side in ("new_position", "old_position") if change[side]]
        assert [(unquote(place.artifact_location.uri), place.region.start_line) for place in places] == [
            (spot["file"], spot["line"]) for spot in spots
        ]
    assert sum(bool(result.related_locations) for result in run_.results) == 1  # what is new, or gone, has one place
    prints = [result["partialFingerprints"]["voicegauge/v1"] for result in log["runs"][0]["results"]]
    assert len(set(prints)) == len(prints)


def test_annotations_of_traffic_point_to_the_contract(tmp_path: Path) -> None:
    """A HAR file has no lines that a person would read; the contract has."""
    report = compare_inputs("pixelapi", "fixtures/pixelapi")
    items = export_drift_report(report).findings
    assert items
    for item in items:
        assert item.location is not None
        assert item.location.file.endswith("contracts/pixelapi/openapi.yaml")
        assert item.location.line


def test_annotations_are_one_line_each_worst_first(drift: Drift, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert "::" not in drift()[1].replace(":error::", "")
    out = drift("--github")[1]
    lines = [line for line in out.splitlines() if re.match(r"::(error|warning|notice) ", line)]
    places = [re.match(r"::(\w+) file=(\w+)\.json,line=\d+,", line) for line in lines]
    assert [place.groups() for place in places] == [("error", "old"), ("warning", "new"), ("notice", "new")]
    summary = (tmp_path / "summary.md").read_text()
    assert "## Breaking (1)" in summary
    (row,) = [line for line in summary.splitlines() if "api-tag-added" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    for sign in ("<img", "@everyone", "[a](b)"):
        assert sign not in row


def test_annotations_and_json_do_not_share_standard_output(drift: Drift) -> None:
    assert drift("--github", "--json", "-") == (2, "")


def test_a_baseline_accepts_what_is_known_and_lets_new_changes_fail(drift: Drift) -> None:
    assert drift("--write-baseline", "known.json", edits=(BREAKING,))[0] == 0
    files = ("--slack", "out.slack.json")
    status, out = drift("--baseline", "known.json", *files, edits=(put("/info/description", "Moves lines."), BREAKING))
    assert status == 0
    assert "0 changes, 1 accepted by the baseline" in Path("out.slack.json").read_text()
    assert out == "Acme 1 to Acme 1: nothing else has changed, 1 accepted by the baseline\n"
    status, out = drift(
        "--baseline", "known.json", "--fail-on", "compatible", "--sarif", "out.sarif", "--json", "out.json"
    )
    assert status == 1
    results = json.loads(Path("out.sarif").read_text())["runs"][0]["results"]
    assert [result["ruleId"] for result in results if "suppressions" in result] == ["api-removed-without-deprecation"]
    written = json.loads(Path("out.json").read_text())
    assert written["count_by_level"] == {"breaking": 0, "possibly-breaking": 1, "compatible": 1}
    assert len(written["changes"]) == 2
    status, out = drift("--baseline", "known.json", edits=())
    assert status == 0
    assert "take it out of the baseline: api-removed-without-deprecation Acme/cancel" in out


def test_a_report_without_changes_is_written_too(tmp_path: Path) -> None:
    report = compare_inputs("pixelapi", "pixelapi")
    assert format_workflow_commands(export_drift_report(report), tmp_path) == ""
    assert format_summary_markdown(summarize(report)).splitlines()[2] == "0 changes"
