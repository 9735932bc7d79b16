"""JUnit XML, as Jenkins, GitLab and their like read it.

A test suite is a provider. Its test cases are the operations that were judged, one for
each rule that they broke, and the planned cases that came to no verdict, as skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from xml.etree import ElementTree as ET

from voicegauge.conformance.outputs.wording import FAILING, FAILING_STRICTLY, details, operation_of
from voicegauge.conformance.result import CheckReport
from voicegauge.model import Finding

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold (section 2.2)."""


def junit_xml(report: CheckReport, *, strict: bool = False) -> str:
    """The report as JUnit XML.

    Args:
        report: what was found.
        strict: whether warnings are failures too.
    """
    root = ET.Element("testsuites", name="voicegauge")
    for provider in _providers(report):
        cases = list(_cases(report, provider, strict=strict))
        failures = sum(case.find("failure") is not None for case in cases)
        skipped = sum(case.find("skipped") is not None for case in cases)
        counts = {"tests": len(cases), "failures": failures, "errors": 0, "skipped": skipped}
        suite = ET.SubElement(root, "testsuite", {"name": provider, **{k: str(v) for k, v in counts.items()}})
        suite.set("timestamp", report.created_at.partition("+")[0])
        suite.set("time", "0")
        suite.extend(cases)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _providers(report: CheckReport) -> list[str]:
    names = [*report.operations, *map(operation_of, report.findings), *(case.id for case in report.cases)]
    return list(dict.fromkeys(name.partition("/")[0] for name in names))


def _cases(report: CheckReport, provider: str, *, strict: bool) -> Iterator[ET.Element]:
    findings = [finding for finding in report.findings if finding.where.provider == provider]
    broken = {operation_of(finding) for finding in findings}
    for operation in report.operations:
        if operation.startswith(f"{provider}/") and operation not in broken:
            yield _case(operation, "keeps its contract")
    ordered = sorted(findings, key=lambda finding: (operation_of(finding), finding.rule))
    for (operation, rule), group in groupby(ordered, key=lambda finding: (operation_of(finding), finding.rule)):
        yield _judged(_case(operation, rule), list(group), strict=strict)
    for skipped in report.cases:
        if skipped.verdict == "skipped" and skipped.id.partition("/")[0] == provider:
            case = _case(skipped.operation or skipped.id, skipped.id)
            ET.SubElement(case, "skipped", message=_clean(skipped.reason or "no verdict"))
            yield case


def _case(operation: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_clean(operation.replace("/", ".")), name=_clean(name), time="0")


def _judged(case: ET.Element, findings: list[Finding], *, strict: bool) -> ET.Element:
    failing = [finding for finding in findings if finding.severity in (FAILING_STRICTLY if strict else FAILING)]
    if failing:
        failure = ET.SubElement(case, "failure", message=_clean(failing[0].message), type=failing[0].severity.value)
        failure.text = _told(failing)
    others = [finding for finding in findings if finding not in failing]
    if others:
        ET.SubElement(case, "system-out").text = _told(others)
    return case


def _told(findings: Iterable[Finding]) -> str:
    return _clean("\n\n".join(f"{finding.severity.value}: {details(finding)}" for finding in findings))


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
