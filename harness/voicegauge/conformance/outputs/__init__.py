"""Findings in the words of other tools: JUnit XML, SARIF, GitHub's annotations. Pure functions from reports to text."""

from voicegauge.conformance.outputs.github import step_summary, workflow_commands
from voicegauge.conformance.outputs.junit import junit_xml
from voicegauge.conformance.outputs.sarif import sarif_json

__all__ = ["junit_xml", "sarif_json", "step_summary", "workflow_commands"]
