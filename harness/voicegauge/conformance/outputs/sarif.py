"""SARIF 2.1.0 (OASIS), as GitHub code scanning and editors read it.

A result stands at the statement of the contract that was broken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voicegauge.checks import RULES, Rule
from voicegauge.conformance.outputs.wording import operation_of, path_in
from voicegauge.conformance.result import CheckReport
from voicegauge.model import Finding, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.DISPUTED: "note", Severity.INFO: "note"}


def sarif_json(report: CheckReport, root: Path) -> str:
    """The report as SARIF.

    Accepted findings are there as suppressed ones.

    Args:
        report: what was found.
        root: the folder that paths are told from, as the consumer has it.
    """
    named = {finding.rule for finding in (*report.findings, *report.accepted)}
    rules = [rule for rule in RULES.values() if rule.id in named]
    index = {rule.id: number for number, rule in enumerate(rules)}
    results = [_result(finding, index, root) for finding in report.findings]
    for finding in report.accepted:
        suppression = {"kind": "external", "justification": "accepted in the baseline"}
        results.append({**_result(finding, index, root), "suppressions": [suppression]})
    driver = {"name": "voicegauge", "version": report.voicegauge, "rules": [_rule(rule) for rule in rules]}
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": report.finished, "startTimeUtc": _utc(report.created_at)}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _utc(moment: str) -> str:
    return moment.replace("+00:00", "Z")


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.proves},
        "fullDescription": {"text": rule.proves},
        "help": {"text": f"{rule.proves}\n\nIt rests on: {rule.basis}"},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
    }


def _result(finding: Finding, index: dict[str, int], root: Path) -> dict[str, Any]:
    told = {
        "provenance": finding.provenance.value,
        "target": finding.where.target,
        "pointer": finding.where.pointer,
        "statement": finding.where.statement,
        "case": finding.case,
        "evidence": finding.evidence,
        "reading": finding.reading,
        "reproduce": finding.reproduce,
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [_location(finding, root)],
        "partialFingerprints": {"voicegauge/v1": finding.fingerprint},
        "occurrenceCount": finding.times,
        "properties": {name: value for name, value in told.items() if value is not None},
    }


def _location(finding: Finding, root: Path) -> dict[str, Any]:
    place: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": operation_of(finding), "kind": "function"}]}
    file = finding.where.file
    if file is None:
        return place
    inside = path_in(finding, root)
    # Outside the consumer's folder only an absolute address says where the document lies.
    uri = Path(file).resolve().as_uri() if inside is None else quote(inside)
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if finding.where.line is not None:
        physical["region"] = {"startLine": finding.where.line}
    return {**place, "physicalLocation": physical}
