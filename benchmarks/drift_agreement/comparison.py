"""Compares the changes that voicegauge reports for pairs of documents with those that oasdiff reports or documents."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from drift_agreement.document_pairs import build_document_pair
from drift_agreement.pair import DocumentPair
from drift_agreement.schema_pairs import iterate_schema_pairs
from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.drift.drift_report import DriftLevel

ROOT = Path(__file__).parents[2]
LEVEL_BY_NAME = {"ERR": DriftLevel.BREAKING, "WARN": DriftLevel.POSSIBLY_BREAKING, "INFO": DriftLevel.COMPATIBLE}
_LEVELS = (None, "INFO", "WARN", "ERR")
_SUFFIXES = (("_base", "_revision"), ("-base", "-revision"), ("-1", "-2"))
"""Ends of the names of the two files of a pair, before the extension."""


class RuleAndLevel(NamedTuple):
    """Rule and level of one reported change, which both tools name in the same way."""

    rule: str
    level: DriftLevel


def read_oasdiff_rules() -> dict[str, DriftLevel]:
    """Return the level of each rule of oasdiff by id, as `oasdiff checks changelog` lists them (August 2026)."""
    lines = (Path(__file__).parent / "oasdiff_rules.txt").read_text(encoding="utf-8").splitlines()
    return {rule: LEVEL_BY_NAME[level] for rule, level in map(str.split, lines)}


def read_designed_differences(*, in_some_documents: bool = False) -> dict[str, str]:
    """Return the reasons for which voicegauge reports something else, by a pattern of rule ids, from `docs/drift.md`.

    Args:
        in_some_documents: read the second table, of rules whose results differ in some documents only.
    """
    text = (ROOT / "docs" / "drift.md").read_text(encoding="utf-8")
    always, _, sometimes = text.partition("In these documents")
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|$", sometimes if in_some_documents else always, re.MULTILINE)
    return {pattern: reason for patterns, reason in rows for pattern in re.findall(r"`([^`]+)`", patterns)}


def find_reason(rule: str, reason_by_pattern: dict[str, str]) -> str | None:
    """Return the reason of the first pattern that matches `rule`; `None` if none does."""
    return next((reason for pattern, reason in reason_by_pattern.items() if fnmatch.fnmatchcase(rule, pattern)), None)


def build_pairs(rules: Sequence[str]) -> list[DocumentPair]:
    """Return a pair for each rule that oasdiff applies without configuration."""
    pairs = {pair.rule: pair for pair in iterate_schema_pairs(list(rules))}
    for rule in rules:
        pair = build_document_pair(rule)
        if pair is not None:
            pairs[rule] = pair
    return [pairs[rule] for rule in rules if rule in pairs]


def write_pair(pair: DocumentPair, folder: Path, index: int) -> tuple[Path, Path]:
    """Write the two documents of a pair to files."""
    name = re.sub(r"[^a-z-]", "", pair.rule) or "equivalent"
    paths = folder / f"{index:03}-{name}_base.json", folder / f"{index:03}-{name}_revision.json"
    for path, document in zip(paths, pair[1:], strict=True):
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return paths


def find_pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the pairs of files in a folder, such as `x_base.yaml` and `x_revision.yaml`."""
    for path in sorted(folder.rglob("*")):
        for old, new in _SUFFIXES:
            if path.suffix in (".yaml", ".yml", ".json") and path.stem.endswith(old):
                other = path.with_name(path.stem.removesuffix(old) + new + path.suffix)
                if other.exists():
                    yield path, other


def list_changes(old: Path, new: Path) -> set[RuleAndLevel]:
    """Return the changes that voicegauge reports."""
    return {RuleAndLevel(change.rule, change.level) for change in compare_inputs(str(old), str(new)).changes}


def list_oasdiff_changes(command: str, old: Path, new: Path) -> set[RuleAndLevel] | None:
    """Return the changes that oasdiff reports; `None` if it does not read the documents.

    Args:
        command: path of the program.
        old: the older document.
        new: the newer document.
    """
    arguments = [command, "changelog", str(old), str(new), "--format", "json", "--allow-external-refs"]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if run.returncode:
        return None
    found = json.loads(run.stdout or "null") or []
    return {RuleAndLevel(change["id"], LEVEL_BY_NAME[str(_LEVELS[change["level"]])]) for change in found}
