"""Writes findings as JUnit XML, which Jenkins, GitLab and other CI servers read.

Each provider or API becomes a test suite. Its test cases come in this order: first the passed cases, then one case per
operation and rule with findings, then the skipped cases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from xml.etree import ElementTree as ET

from voicegauge.outputs.exported_report import ExportedReport, ReportedFinding

_INVALID_XML_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain, not even escaped (section 2.2)."""


def format_junit_xml(report: ExportedReport) -> str:
    """Return `report` as JUnit XML. Findings that do not make the command fail are written as `system-out`."""
    root = ET.Element("testsuites", name="voicegauge")
    names = [*(case.api_name for case in report.cases), *(finding.api_name for finding in report.findings)]
    for name in dict.fromkeys(names):
        cases = list(_build_case_elements(report, name))
        failures = sum(case.find("failure") is not None for case in cases)
        skip_reason = sum(case.find("skipped") is not None for case in cases)
        counts = {"tests": len(cases), "failures": failures, "errors": 0, "skipped": skip_reason}
        suite = ET.SubElement(
            root, "testsuite", {"name": _replace_invalid_characters(name), **{k: str(v) for k, v in counts.items()}}
        )
        suite.set("timestamp", report.created_at.partition("+")[0])  # the JUnit schema allows no UTC offset
        suite.set("time", "0")
        suite.extend(cases)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _build_case_elements(report: ExportedReport, api_name: str) -> Iterator[ET.Element]:
    cases = [case for case in report.cases if case.api_name == api_name]
    for case in cases:
        if case.skip_reason is None:
            yield _build_case_element(case.subject, case.case_name)
    findings = (finding for finding in report.findings if finding.api_name == api_name)
    ordered = sorted(findings, key=lambda finding: (finding.operation_path, finding.rule))
    for (subject, rule), group in groupby(ordered, key=lambda finding: (finding.operation_path, finding.rule)):
        yield _add_findings_to_case(_build_case_element(subject, rule), list(group))
    for case in cases:
        if case.skip_reason is not None:
            element = _build_case_element(case.subject, case.case_name)
            ET.SubElement(element, "skipped", message=_replace_invalid_characters(case.skip_reason))
            yield element


def _build_case_element(case_subject: str, case_name: str) -> ET.Element:
    # CI servers group test cases by the dots of the class name.
    return ET.Element(
        "testcase",
        classname=_replace_invalid_characters(case_subject.replace("/", ".")),
        name=_replace_invalid_characters(case_name),
        time="0",
    )


def _add_findings_to_case(case_element: ET.Element, findings: list[ReportedFinding]) -> ET.Element:
    failing = [finding for finding in findings if finding.fails_command]
    if failing:
        failure = ET.SubElement(
            case_element, "failure", message=_replace_invalid_characters(failing[0].message), type=failing[0].severity
        )
        failure.text = _join_detailed_texts(failing)
    others = [finding for finding in findings if not finding.fails_command]
    if others:
        ET.SubElement(case_element, "system-out").text = _join_detailed_texts(others)
    return case_element


def _join_detailed_texts(findings: Iterable[ReportedFinding]) -> str:
    return _replace_invalid_characters(
        "\n\n".join(f"{finding.severity}: {finding.detailed_text}" for finding in findings)
    )


def _replace_invalid_characters(text: str) -> str:
    return _INVALID_XML_CHARACTERS.sub("\ufffd", text)
