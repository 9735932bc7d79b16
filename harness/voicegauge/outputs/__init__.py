"""What rules found, in the words of other tools: JUnit XML, SARIF, GitHub's annotations; and baselines of it.

One view of it, `Results`, serves every command; each says how its own report is seen so.
The writers are pure functions from `Results` to text.
"""

from voicegauge.outputs.baseline import Accepted, Baseline, baseline_of, load_baseline
from voicegauge.outputs.github import step_summary, workflow_commands
from voicegauge.outputs.junit import junit_xml
from voicegauge.outputs.markdown import as_text
from voicegauge.outputs.results import Case, Grade, Item, Place, Results, RuleText
from voicegauge.outputs.sarif import sarif_json

__all__ = [
    "Accepted",
    "Baseline",
    "Case",
    "Grade",
    "Item",
    "Place",
    "Results",
    "RuleText",
    "as_text",
    "baseline_of",
    "junit_xml",
    "load_baseline",
    "sarif_json",
    "step_summary",
    "workflow_commands",
]
