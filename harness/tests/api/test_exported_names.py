"""The public names of the package, and what importing it costs."""

from __future__ import annotations

import inspect
import pydoc
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import voicegauge

NAMES = [
    "AnalyzedRuns",
    "BenchPlanResult",
    "BenchReport",
    "BenchResult",
    "Catalogue",
    "CheckReport",
    "Contract",
    "Conversion",
    "CostEstimate",
    "DriftReport",
    "FileToOverwrite",
    "Finding",
    "ListenResult",
    "LiveOptions",
    "LocalServer",
    "PricedPlan",
    "ProgressListener",
    "Provenance",
    "ProviderList",
    "RecordResult",
    "RecordedFile",
    "RuleExplanation",
    "RuleList",
    "Run",
    "RunComparison",
    "RunHistory",
    "RunningEmulator",
    "RunningProxy",
    "RunningReplay",
    "ScoreResult",
    "Severity",
    "Target",
    "TargetSummary",
    "VoicegaugeError",
    "__version__",
    "analyze_runs",
    "apply_baseline",
    "benchmark",
    "build_report",
    "check",
    "check_job_steps",
    "check_profile",
    "check_request",
    "compare",
    "compare_targets",
    "convert",
    "convert_all",
    "emulate",
    "errors",
    "estimate_cost",
    "explain_rule",
    "find_drift",
    "find_official_drift",
    "list_asr_engines",
    "list_providers",
    "list_rules",
    "listen",
    "load_contracts",
    "load_run",
    "plan_benchmark",
    "plan_check",
    "plan_record",
    "propose_contract_patch",
    "propose_overlay",
    "proxy",
    "read_history",
    "record",
    "render_report",
    "render_summary",
    "replay",
    "score",
    "write_badge",
    "write_baseline",
    "write_findings_page",
    "write_history_page",
    "write_junit",
    "write_report",
    "write_sarif",
    "write_site",
]
HEAVY = {
    "av",
    "click",
    "httpx",
    "hypothesis",
    "jinja2",
    "msgspec",
    "numpy",
    "rich",
    "scipy",
    "starlette",
    "torch",
    "yaml",
}


def test_the_public_names_are_pinned() -> None:
    assert sorted(voicegauge.EXPORTED_NAMES) == NAMES
    assert set(NAMES) <= set(dir(voicegauge))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(voicegauge, name)
    assert name == "__version__" or value.__doc__


def test_the_first_screen_of_help_names_every_function() -> None:
    """A pager shows 24 lines of 80 columns at first; what follows are modules."""
    help_lines = pydoc.render_doc(voicegauge, renderer=pydoc.plaintext).splitlines()
    screen = help_lines[:24]
    assert max(map(len, screen)) <= 80
    assert "PACKAGE CONTENTS" in screen
    functions = {name for name in NAMES if inspect.isfunction(getattr(voicegauge, name))}
    named = set(re.findall(r"\w+", "\n".join(screen)))
    assert functions - named == {"analyze_runs", "apply_baseline", "build_report", "write_history_page"}
    assert len(help_lines) < 75


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        _ = voicegauge.chek


def test_no_public_function_is_shadowed_by_a_package_of_the_same_name() -> None:
    """Importing `voicegauge.x` would replace the attribute `voicegauge.x` by the module."""
    packages = {path.stem for path in Path(voicegauge.__file__).parent.iterdir()}
    assert packages & set(NAMES) == {"errors"}
    assert voicegauge.errors is import_module("voicegauge.errors")


def test_importing_the_package_imports_little() -> None:
    code = "import sys; before = {*sys.modules}; import voicegauge; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {name for name in imported if name.startswith("voicegauge")} == {"voicegauge", "voicegauge.version"}
    assert not HEAVY & {name.partition(".")[0] for name in imported}
    assert len(imported) < 60
