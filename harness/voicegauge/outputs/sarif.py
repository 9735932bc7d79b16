"""Writes findings as SARIF 2.1.0 (an OASIS standard), which GitHub code scanning and editors read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voicegauge.outputs.exported_report import ExportedReport, FileLocation, ReportedFinding, RuleDescription
from voicegauge.version import __version__

SARIF_SCHEMA_URL = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def format_sarif_json(report: ExportedReport, repository_folder: Path) -> str:
    """Return `report` as SARIF. Accepted findings are included, marked as suppressed.

    Args:
        report: the report with the findings and rules.
        repository_folder: the folder to which file paths are made relative, normally the checkout.
    """
    used = {finding.rule for finding in (*report.findings, *report.accepted_findings)}
    rules = [rule for rule in report.rules if rule.id in used]
    index = {rule.id: number for number, rule in enumerate(rules)}
    results = [_build_sarif_result(finding, index, repository_folder) for finding in report.findings]
    for finding in report.accepted_findings:
        suppression = {"kind": "external", "justification": "accepted in the baseline"}
        results.append({**_build_sarif_result(finding, index, repository_folder), "suppressions": [suppression]})
    driver = {"name": "voicegauge", "version": __version__, "rules": [_build_rule_descriptor(rule) for rule in rules]}
    run = {
        "tool": {"driver": driver},
        "invocations": [
            # SARIF's date-time has the suffix Z, not +00:00 (section 3.9).
            {"executionSuccessful": report.is_finished, "startTimeUtc": report.created_at.replace("+00:00", "Z")}
        ],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": SARIF_SCHEMA_URL, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _build_rule_descriptor(rule: RuleDescription) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.summary},
        "help": {"text": rule.explanation},
        "defaultConfiguration": {"level": rule.default_level.value},
    }


def _build_sarif_result(
    finding: ReportedFinding, index_by_rule: dict[str, int], repository_folder: Path
) -> dict[str, Any]:
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": finding.operation_path, "kind": "function"}],
    }
    if finding.location is not None:
        location["physicalLocation"] = _build_physical_location(finding.location, repository_folder)
    result = {
        "ruleId": finding.rule,
        "ruleIndex": index_by_rule[finding.rule],
        "level": finding.level.value,
        "message": {"text": finding.message},
        "locations": [location],
        # GitHub matches results of different runs by this fingerprint, so that a moved line does not reopen an alert.
        "partialFingerprints": {"voicegauge/v1": finding.fingerprint},
        "occurrenceCount": finding.occurrence_count,
        "properties": {name: value for name, value in finding.sarif_properties.items() if value is not None},
    }
    if finding.related_location is not None:
        result["relatedLocations"] = [
            {"id": 0, "physicalLocation": _build_physical_location(finding.related_location, repository_folder)}
        ]
    return result


def _build_physical_location(location: FileLocation, repository_folder: Path) -> dict[str, Any]:
    path = location.make_path_relative_to(repository_folder)
    # A file outside the checkout can only be found by an absolute URI.
    uri = Path(location.file).resolve().as_uri() if path is None else quote(path)
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if location.line is not None:
        physical["region"] = {"startLine": location.line}
    return physical
