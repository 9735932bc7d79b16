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
from voicegauge.conformance.check_report import CheckReport
from voicegauge.model.base import Finding, FindingLocation, Provenance, Severity
from voicegauge.outputs.result_summary import ResultSummary, format_summary_slack

from ..builders.nights import CHANGED_NIGHT, made_run, save, save_nights
from ..builders.report_runs import VOICES, make_run

HOSTILE = "\x00\x1b[31m 100%,\r\n::error::x ]]> <b> <!channel> | `@all` ```"
SPEAK = {"operationId": "speak", "responses": {"200": {"description": "audio"}}}


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


@pytest.mark.usefixtures("short_emulated_times")
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
    assert list(text_string_to_metric_families(Path("out.prom").read_text()))
    if name != "check":
        assert re.search(r"^::(notice|warning|error) title=voicegauge ", capsys.readouterr().out, re.MULTILINE)


def read_metrics(result: object) -> dict[str, list[tuple[dict[str, str], float]]]:
    text = voicegauge.render_summary(result, "prometheus")  # type: ignore[arg-type]
    return {
        one.name: [(sample.labels, sample.value) for sample in one.samples]
        for one in text_string_to_metric_families(text)
    }


def test_metrics_of_two_checks_on_one_host_have_labels_that_tell_them_apart(hostile) -> None:
    metrics = read_metrics(hostile)
    assert all("provider" in labels for samples in metrics.values() for labels, _ in samples)


def test_numbers_of_a_comparison_are_those_of_its_metrics(folders) -> None:
    result = voicegauge.compare(folders["a"], folders["b"])
    metrics = read_metrics(result)
    changes = {(labels["target"], labels["metric"]): value for labels, value in metrics["voicegauge_compare_change"]}
    assert changes == {(one.target, one.metric): pytest.approx(one.change) for one in result.metrics}
    verdicts = {
        (labels["target"], labels["metric"]): labels["verdict"] for labels, _ in metrics["voicegauge_compare_verdict"]
    }
    assert verdicts == {(one.target, one.metric): one.verdict for one in result.metrics}
    regressed = sum(value for _, value in metrics["voicegauge_compare_regression"])
    assert regressed == len(result.regressions)


def test_a_comparison_counts_its_changes_in_the_same_way_everywhere(folders) -> None:
    result = voicegauge.compare(folders["a"], folders["b"])
    counts = result.describe_verdict_counts()
    assert counts in repr(result)
    assert counts in voicegauge.render_summary(result)


def test_a_regression_of_a_history_is_an_alert_in_numbers_and_symbols(tmp_path) -> None:
    from voicegauge.report.result_summaries import summarize

    save_nights(tmp_path, CHANGED_NIGHT + 2, provenance=Provenance.LIVE)
    history = voicegauge.read_history(tmp_path)
    metrics = read_metrics(history)
    alerts = {labels["metric"]: value for labels, value in metrics["voicegauge_history_alerts"]}
    levels = {labels["metric"]: value for labels, value in metrics["voicegauge_history_level"]}
    assert alerts["total_latency_ms"] == 1
    assert alerts["wer"] == 0
    assert levels["total_latency_ms"] == pytest.approx(800, rel=0.04)
    tolerated = summarize(history, fails=False)
    assert ":warning:" in format_summary_slack(tolerated)
    assert ":white_check_mark:" not in format_summary_slack(tolerated)


def test_rows_of_two_configurations_have_different_names(tmp_path) -> None:
    save_nights(tmp_path, 2)
    save(tmp_path / "other", made_run(1, run_id="other", concurrency=2))
    text = voicegauge.render_summary(voicegauge.read_history(tmp_path))
    names = [line.split("|")[2].strip() for line in text.splitlines() if line.startswith("| acme/")]
    assert len(names) > 2
    assert len(set(names)) == len(names)


def test_changes_between_contracts_are_numbers_by_level(tmp_path) -> None:
    old = {"openapi": "3.1.0", "info": {"title": "Acme", "version": "1"}, "paths": {"/speak": {"post": SPEAK}}}
    for name, document in (("old.json", old), ("new.json", {**old, "paths": {}})):
        (tmp_path / name).write_text(json.dumps(document))
    report = voicegauge.find_drift(tmp_path / "old.json", tmp_path / "new.json")
    counted = {labels["level"]: value for labels, value in read_metrics(report)["voicegauge_drift_changes"]}
    assert counted == {level.value: count for level, count in report.count_by_level.items()}
    assert counted["breaking"] == 1


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
