from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from voicegauge.cli import run
from voicegauge.drift.drift_report import DRIFT_RULE_BY_ID, DriftReport

from ..builders.documents import REMOVED, edited, put
from .operation_edits import BASE, SPEAK

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def voicegauge(capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(arguments)
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """The base document and an edit of it, as files."""

    def write(*edits: Any) -> tuple[str, str]:
        for name, document in (("old.json", BASE), ("new.json", edited(BASE, *edits))):
            (tmp_path / name).write_text(json.dumps(document, indent=1), encoding="utf-8")
        return str(tmp_path / "old.json"), str(tmp_path / "new.json")

    return write


COMPATIBLE = put(f"{SPEAK}/tags/-", "beta")
POSSIBLE = put(f"{SPEAK}/parameters/0", REMOVED)
BREAKING = put("/paths/~1jobs~1{id}/delete", REMOVED)


@pytest.mark.parametrize(
    ("edits", "statuses"),
    [
        ((), {"breaking": 0, "possibly-breaking": 0, "compatible": 0}),
        ((COMPATIBLE,), {"breaking": 0, "possibly-breaking": 0, "compatible": 1}),
        ((COMPATIBLE, POSSIBLE), {"breaking": 0, "possibly-breaking": 1, "compatible": 1}),
        ((COMPATIBLE, BREAKING), {"breaking": 1, "possibly-breaking": 1, "compatible": 1}),
    ],
    ids=["none", "compatible", "possibly-breaking", "breaking"],
)
def test_the_exit_status_follows_the_worst_change(
    voicegauge: Command, files: Any, edits: tuple[Any, ...], statuses: dict[str, int]
) -> None:
    paths = files(*edits)
    assert {level: voicegauge("drift", *paths, "--fail-on", level)[0] for level in statuses} == statuses
    assert voicegauge("drift", *paths)[0] == statuses["breaking"]


def test_the_worst_change_comes_first_with_its_rule_and_positions(voicegauge: Command, files: Any) -> None:
    old, new = files(COMPATIBLE, BREAKING)
    status, out, err = voicegauge("drift", old, new)
    lines = out.splitlines()
    assert (status, err) == (1, "")
    assert lines[0] == "breaking api-removed-without-deprecation  cancel: operation"
    assert lines[2].strip().startswith(f"{old}:")
    assert lines[3] == "compatible api-tag-added  speak: operation"
    assert lines[-1] == "Acme 1 to Acme 1: 1 breaking, 1 compatible"


def test_output_without_changes(voicegauge: Command, files: Any) -> None:
    old, new = files()
    assert voicegauge("drift", old, new)[1] == "Acme 1 to Acme 1: nothing has changed\n"
    assert "Nothing has changed." in voicegauge("drift", old, new, "--format", "markdown")[1]


def test_json_has_the_whole_report(voicegauge: Command, files: Any, tmp_path: Path) -> None:
    paths = files(COMPATIBLE, BREAKING)
    out = voicegauge("drift", *paths, "--json", "-")[1]
    report = msgspec.json.decode(out.encode(), type=DriftReport)
    assert json.loads(out)["schema"] == "voicegauge/drift/2"
    assert report.count_by_level == {"breaking": 1, "possibly-breaking": 0, "compatible": 1}
    assert (report.old_input.file, report.new_input.file) == paths
    voicegauge("drift", *paths, "--json", str(tmp_path / "drift.json"))
    assert json.loads((tmp_path / "drift.json").read_bytes()) == json.loads(out)


def test_markdown_has_a_table_per_level_and_escapes_values(voicegauge: Command, files: Any) -> None:
    paths = files(BREAKING, put(f"{SPEAK}/tags/-", "x | <img src=x> @everyone [a](b)\n\n# heading `code`"))
    out = voicegauge("drift", *paths, "--format", "markdown")[1]
    assert "## Breaking (1)" in out
    assert "<summary>Compatible (1)</summary>" in out
    (row,) = [line for line in out.splitlines() if "api-tag-added" in line]
    assert row.replace("\\|", "").count("|") == 5
    for sign in ("<img", "@everyone", "](b)", "`code`"):
        assert sign not in row.replace("\\" + sign[0], "")


def test_an_input_error_is_one_line(voicegauge: Command, files: Any, tmp_path: Path) -> None:
    old, _ = files()
    (tmp_path / "bad.yaml").write_text("openapi: 1\n", encoding="utf-8")
    for second in (str(tmp_path / "bad.yaml"), str(tmp_path / "none.yaml")):
        status, out, err = voicegauge("drift", old, second)
        assert (status, out) == (2, "")
        assert err.startswith("voicegauge: ")
        assert err.count("\n") == 1


def test_the_rules_command_filters_by_words_in_ids(voicegauge: Command) -> None:
    rows = json.loads(voicegauge("rules", "drift", "--json", "-")[1])["drift_rules"]
    assert {row["id"] for row in rows} == set(DRIFT_RULE_BY_ID)
    out = voicegauge("rules", "webhook", "removed")[1]
    assert "webhook-removed" in out
    assert "webhook-added" not in out
    assert f"{len(DRIFT_RULE_BY_ID):,} rules of drift" in voicegauge("rules")[1]
