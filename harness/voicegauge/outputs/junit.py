"""JUnit XML, as Jenkins, GitLab and their like read it.

A test suite is a provider or an API. Its test cases are what was judged without an item,
the operations with one, one for each rule that reported, and what came to no verdict, as skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from xml.etree import ElementTree as ET

from voicegauge.outputs.results import ExportedReport, ReportedFinding

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold (section 2.2)."""


def junit_xml(results: ExportedReport) -> str:
    """The results as JUnit XML: what fails is a failure, other items are output."""
    root = ET.Element("testsuites", name="voicegauge")
    names = [*(case.suite for case in results.cases), *(item.suite for item in results.items)]
    for name in dict.fromkeys(names):
        cases = list(_cases(results, name))
        failures = sum(case.find("failure") is not None for case in cases)
        skipped = sum(case.find("skipped") is not None for case in cases)
        counts = {"tests": len(cases), "failures": failures, "errors": 0, "skipped": skipped}
        suite = ET.SubElement(root, "testsuite", {"name": _clean(name), **{k: str(v) for k, v in counts.items()}})
        suite.set("timestamp", results.created_at.partition("+")[0])
        suite.set("time", "0")
        suite.extend(cases)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _cases(results: ExportedReport, suite: str) -> Iterator[ET.Element]:
    mine = [case for case in results.cases if case.suite == suite]
    for case in mine:
        if case.skipped is None:
            yield _case(case.subject, case.name)
    items = (item for item in results.items if item.suite == suite)
    ordered = sorted(items, key=lambda item: (item.subject, item.rule))
    for (subject, rule), group in groupby(ordered, key=lambda item: (item.subject, item.rule)):
        yield _judged(_case(subject, rule), list(group))
    for case in mine:
        if case.skipped is not None:
            element = _case(case.subject, case.name)
            ET.SubElement(element, "skipped", message=_clean(case.skipped))
            yield element


def _case(subject: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_clean(subject.replace("/", ".")), name=_clean(name), time="0")


def _judged(case: ET.Element, items: list[ReportedFinding]) -> ET.Element:
    failing = [item for item in items if item.fails]
    if failing:
        failure = ET.SubElement(case, "failure", message=_clean(failing[0].message), type=failing[0].severity)
        failure.text = _told(failing)
    others = [item for item in items if not item.fails]
    if others:
        ET.SubElement(case, "system-out").text = _told(others)
    return case


def _told(items: Iterable[ReportedFinding]) -> str:
    return _clean("\n\n".join(f"{item.severity}: {item.details}" for item in items))


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
