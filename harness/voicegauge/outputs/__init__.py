"""What rules found, in the words of other tools: JUnit XML, SARIF, GitHub's annotations; and baselines of it.

One view of it, `ExportedReport`, serves every command; each says how its own report is seen so.
The writers are pure functions from `ExportedReport` to text.
"""

from voicegauge.outputs.baseline import AcceptedFinding, FindingsBaseline, build_baseline, load_baseline
from voicegauge.outputs.github import step_summary, workflow_commands
from voicegauge.outputs.junit import junit_xml
from voicegauge.outputs.markdown import as_text
from voicegauge.outputs.results import (
    ExportedReport,
    FileLocation,
    JUnitCase,
    ReportedFinding,
    ResultLevel,
    RuleDescription,
)
from voicegauge.outputs.sarif import sarif_json

__all__ = [
    "AcceptedFinding",
    "ExportedReport",
    "FileLocation",
    "FindingsBaseline",
    "JUnitCase",
    "ReportedFinding",
    "ResultLevel",
    "RuleDescription",
    "as_text",
    "build_baseline",
    "junit_xml",
    "load_baseline",
    "sarif_json",
    "step_summary",
    "workflow_commands",
]
