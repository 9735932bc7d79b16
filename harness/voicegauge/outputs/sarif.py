"""SARIF 2.1.0 (OASIS), as GitHub code scanning and editors read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voicegauge.outputs.results import ExportedReport, FileLocation, ReportedFinding, RuleDescription
from voicegauge.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif_json(results: ExportedReport, root: Path) -> str:
    """The results as SARIF.

    Accepted items are there as suppressed ones.

    Args:
        results: what was found.
        root: the folder that paths are told from, as the consumer has it.
    """
    named = {item.rule for item in (*results.items, *results.accepted)}
    rules = [rule for rule in results.rules if rule.id in named]
    index = {rule.id: number for number, rule in enumerate(rules)}
    written = [_result(item, index, root) for item in results.items]
    for item in results.accepted:
        suppression = {"kind": "external", "justification": "accepted in the baseline"}
        written.append({**_result(item, index, root), "suppressions": [suppression]})
    driver = {"name": "voicegauge", "version": __version__, "rules": [_rule(rule) for rule in rules]}
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {"executionSuccessful": results.finished, "startTimeUtc": results.created_at.replace("+00:00", "Z")}
        ],
        "columnKind": "unicodeCodePoints",
        "results": written,
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(rule: RuleDescription) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.text},
        "fullDescription": {"text": rule.text},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": rule.grade.value},
    }


def _result(item: ReportedFinding, index: dict[str, int], root: Path) -> dict[str, Any]:
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": item.subject, "kind": "function"}],
    }
    if item.place is not None:
        location["physicalLocation"] = _physical(item.place, root)
    result = {
        "ruleId": item.rule,
        "ruleIndex": index[item.rule],
        "level": item.grade.value,
        "message": {"text": item.message},
        "locations": [location],
        "partialFingerprints": {"voicegauge/v1": item.fingerprint},
        "occurrenceCount": item.times,
        "properties": {name: value for name, value in item.properties.items() if value is not None},
    }
    if item.other_place is not None:
        result["relatedLocations"] = [{"id": 0, "physicalLocation": _physical(item.other_place, root)}]
    return result


def _physical(place: FileLocation, root: Path) -> dict[str, Any]:
    inside = place.below(root)
    # Outside the consumer's folder only an absolute address says where the file lies.
    uri = Path(place.file).resolve().as_uri() if inside is None else quote(inside)
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if place.line is not None:
        physical["region"] = {"startLine": place.line}
    return physical
