"""Results in a few lines: Markdown, Slack, Prometheus, notebooks, and annotations of GitHub."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import voicegauge
from voicegauge import cli
from voicegauge.bench.run_store import save_run
from voicegauge.conformance.report import CheckReport
from voicegauge.model.base import Provenance, Severity
from voicegauge.model.finding import Finding, FindingLocation
from voicegauge.outputs.result_summary import ResultSummary

from ..builders.nights import save_nights
from ..builders.report_runs import VOICES, make_run

HOSTILE = "\x00\x1b[31m 100%,\r\n::error::x ]]> <b> <!channel> | `@all` ```"
FORMATS = ("markdown", "slack", "prometheus", "html")


@pytest.fixture(scope="module")
def hostile() -> CheckReport:
    where = FindingLocation(provider="acme", operation="speak", contract_file="a.yaml", contract_line=7)
    found = Finding(
        rule="response-schema",
        severity=Severity.ERROR,
        message=HOSTILE,
        where=where,
        provenance=Provenance.LIVE,
        reproduction_command=f"curl -d '{HOSTILE}' \\\n  http://127.0.0.1/a|b",
    )
    return CheckReport(
        voicegauge_version="0",
        created_at="2026-01-01T00:00:00+00:00",
        is_finished=True,
        seed=0,
        targets=("acme/voice-1",),
        operations=("acme/speak",),
        findings=(found,),
    )


def test_hostile_text_stays_in_its_cell_of_markdown(hostile) -> None:
    *_, row = voicegauge.render_summary(hostile).rstrip().splitlines()
    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert "<b>" not in row
    assert "@all" not in row.partition("<code>")[0]
    assert "<br>" in row  # the second line of the command


def test_hostile_text_is_no_markup_in_slack(hostile) -> None:
    message = json.loads(voicegauge.render_summary(hostile, "slack"))
    texts = [block["text"] for block in message["blocks"]]
    assert all(len(one["text"]) <= 3000 for one in texts)
    table = texts[-1]["text"]
    assert (table[:3], table[-3:]) == ("```", "```")
    assert "```" not in table[3:-3]
    assert "<!channel>" not in json.dumps(message["blocks"])


def test_hostile_text_is_no_markup_in_a_notebook(hostile) -> None:
    html = hostile._repr_html_()
    assert "<b>" not in html
    assert "\x1b" not in html
    assert len(repr(hostile)) < 200


def test_metrics_are_read_by_the_parser_of_others(hostile) -> None:
    families = {
        one.name: one for one in text_string_to_metric_families(voicegauge.render_summary(hostile, "prometheus"))
    }
    errors = [one for one in families["voicegauge_check_findings"].samples if one.labels["severity"] == "error"]
    assert [(one.labels["provider"], one.value) for one in errors] == [("acme", 1.0)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    runs, nights = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("nights")
    for seed, name in enumerate("ab"):
        save_run(*make_run(runs / name, VOICES[:2], repetitions=1, seed=seed))
    save_nights(nights, 3)
    return {"a": runs / "a", "b": runs / "b", "nights": nights}


COMMANDS = {
    "compare": ["compare", "{a}", "{b}", "--fail-on", "never"],
    "history": ["history", "{nights}"],
    "bench": ["bench", "pixelapi/voice-design", "--limit", "1", "--warmup", "0", "--asr", "none", "--no-report"],
    "check": ["check", "pixelapi"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_sums_up_its_result_in_every_form(name, folders, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    arguments = [part.format(**folders) for part in COMMANDS[name]]
    files = ["--markdown", "out.md", "--slack", "out.json", "--prometheus", "out.prom"]
    assert cli.run([*arguments, "--github", *files]) == 0
    markdown = Path("out.md").read_text()
    assert markdown.startswith(f"## voicegauge {name} ")
    assert Path("step.md").read_text() == markdown
    headline = json.loads(Path("out.json").read_text())["text"].partition(": ")[2]
    assert headline.partition(":")[0] in markdown
    assert ("EMULATED" in headline) == (name in ("bench", "check", "history"))  # the compared runs are live
    assert list(text_string_to_metric_families(Path("out.prom").read_text())) or name in ("compare", "history")
    if name != "check":
        assert re.search(r"^::(notice|warning|error) title=voicegauge ", capsys.readouterr().out, re.MULTILINE)


def test_two_outputs_to_one_file_are_rejected(folders, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", str(folders["a"]), str(folders["b"])]
    assert cli.run([*arguments, "--markdown", "out", "--slack", "out"]) == 2
    assert "--markdown and --slack name the same file" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_summary_has_a_verdict_that_follows_the_command(folders) -> None:
    from voicegauge.report.result_summaries import summarize

    result = voicegauge.compare(folders["a"], folders["b"])
    summary = summarize(result, fails=True)
    assert isinstance(summary, ResultSummary)
    assert summary.verdict == "failed"
