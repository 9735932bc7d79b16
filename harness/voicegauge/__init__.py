"""Conformance tests and benchmarks of hosted text-to-speech APIs.

    report = voicegauge.check("pixelapi", emulated=True)
    result = voicegauge.benchmark("pixelapi", max_texts=2)

Most do what the command of their name does, `benchmark` what `bench` does,
and return what it writes with `--json`. `help(voicegauge.check)` says more.
check     check, plan_check, check_profile, check_request, check_job_steps
learn     list_providers, list_rules, explain_rule, estimate_cost, load_run
measure   benchmark, plan_benchmark, score, list_asr_engines, load_contracts
compare   compare, compare_targets, read_history, find_drift,
          find_official_drift, propose_contract_patch, propose_overlay
record    record, plan_record, convert, convert_all
serve     emulate, replay, proxy, listen: context managers, for `with`
write     write_report, write_site, write_junit, write_sarif, write_badge,
          write_baseline, write_findings_page, render_summary, render_report
They block: in asynchronous code, use `asyncio.to_thread(function)`.
Errors are subclasses of `VoicegaugeError`, see `voicegauge.errors`.
"""

from __future__ import annotations

from importlib import import_module

from voicegauge.version import __version__ as __version__

TYPE_CHECKING = False  # not from `typing`, whose import takes long enough for a Ctrl-C, before the command can catch it
if TYPE_CHECKING:
    from typing import Any

    from voicegauge import errors as errors
    from voicegauge.api.benchmark_sending import plan_benchmark as plan_benchmark
    from voicegauge.api.benchmarking import benchmark as benchmark
    from voicegauge.api.check_setup import plan_check as plan_check
    from voicegauge.api.checking import check as check
    from voicegauge.api.checking import check_job_steps as check_job_steps
    from voicegauge.api.checking import check_profile as check_profile
    from voicegauge.api.checking import check_request as check_request
    from voicegauge.api.cost_estimation import CostEstimate as CostEstimate
    from voicegauge.api.cost_estimation import estimate_cost as estimate_cost
    from voicegauge.api.documents import convert as convert
    from voicegauge.api.documents import convert_all as convert_all
    from voicegauge.api.documents import find_drift as find_drift
    from voicegauge.api.documents import find_official_drift as find_official_drift
    from voicegauge.api.documents import propose_contract_patch as propose_contract_patch
    from voicegauge.api.documents import propose_overlay as propose_overlay
    from voicegauge.api.listings import ProviderList as ProviderList
    from voicegauge.api.listings import RuleExplanation as RuleExplanation
    from voicegauge.api.listings import RuleList as RuleList
    from voicegauge.api.listings import explain_rule as explain_rule
    from voicegauge.api.listings import list_asr_engines as list_asr_engines
    from voicegauge.api.listings import list_providers as list_providers
    from voicegauge.api.listings import list_rules as list_rules
    from voicegauge.api.local_servers import ListenResult as ListenResult
    from voicegauge.api.local_servers import LocalServer as LocalServer
    from voicegauge.api.local_servers import RunningProxy as RunningProxy
    from voicegauge.api.local_servers import RunningReplay as RunningReplay
    from voicegauge.api.local_servers import emulate as emulate
    from voicegauge.api.local_servers import listen as listen
    from voicegauge.api.local_servers import proxy as proxy
    from voicegauge.api.local_servers import replay as replay
    from voicegauge.api.options import LiveOptions as LiveOptions
    from voicegauge.api.progress import ProgressListener as ProgressListener
    from voicegauge.api.recording import plan_record as plan_record
    from voicegauge.api.recording import record as record
    from voicegauge.api.result_files import apply_baseline as apply_baseline
    from voicegauge.api.result_files import render_summary as render_summary
    from voicegauge.api.result_files import write_badge as write_badge
    from voicegauge.api.result_files import write_baseline as write_baseline
    from voicegauge.api.result_files import write_findings_page as write_findings_page
    from voicegauge.api.result_files import write_history_page as write_history_page
    from voicegauge.api.result_files import write_junit as write_junit
    from voicegauge.api.result_files import write_sarif as write_sarif
    from voicegauge.api.saved_runs import ScoreResult as ScoreResult
    from voicegauge.api.saved_runs import analyze_runs as analyze_runs
    from voicegauge.api.saved_runs import build_report as build_report
    from voicegauge.api.saved_runs import compare as compare
    from voicegauge.api.saved_runs import compare_targets as compare_targets
    from voicegauge.api.saved_runs import load_run as load_run
    from voicegauge.api.saved_runs import read_history as read_history
    from voicegauge.api.saved_runs import render_report as render_report
    from voicegauge.api.saved_runs import score as score
    from voicegauge.api.saved_runs import write_report as write_report
    from voicegauge.api.saved_runs import write_site as write_site
    from voicegauge.api.target_selection import load_contracts as load_contracts
    from voicegauge.bench.benchmark_plan import BenchPlanResult as BenchPlanResult
    from voicegauge.bench.comparison_result import RunComparison as RunComparison
    from voicegauge.bench.run_history import RunHistory as RunHistory
    from voicegauge.bench.target_summaries import BenchResult as BenchResult
    from voicegauge.bench.target_summaries import TargetSummary as TargetSummary
    from voicegauge.conformance.check_report import CheckReport as CheckReport
    from voicegauge.conformance.plan_prices import PricedPlan as PricedPlan
    from voicegauge.conformance.recording_updates import FileToOverwrite as FileToOverwrite
    from voicegauge.conformance.recording_updates import RecordedFile as RecordedFile
    from voicegauge.conformance.recording_updates import RecordResult as RecordResult
    from voicegauge.contract.contract import Contract as Contract
    from voicegauge.contract.contract import Target as Target
    from voicegauge.contract.loading import Catalogue as Catalogue
    from voicegauge.drift.drift_report import DriftReport as DriftReport
    from voicegauge.emulator.process import RunningEmulator as RunningEmulator
    from voicegauge.errors import VoicegaugeError as VoicegaugeError
    from voicegauge.model.base import Finding as Finding
    from voicegauge.model.base import Provenance as Provenance
    from voicegauge.model.base import Severity as Severity
    from voicegauge.model.run import Run as Run
    from voicegauge.recording.foreign_recordings import Conversion as Conversion
    from voicegauge.report.report_data import AnalyzedRuns as AnalyzedRuns
    from voicegauge.report.report_data import BenchReport as BenchReport

_NAMES_BY_MODULE = {
    "voicegauge.api.benchmark_sending": "plan_benchmark",
    "voicegauge.api.benchmarking": "benchmark",
    "voicegauge.api.check_setup": "plan_check",
    "voicegauge.api.checking": "check check_job_steps check_profile check_request",
    "voicegauge.api.cost_estimation": "CostEstimate estimate_cost",
    "voicegauge.api.documents": """
        convert convert_all find_drift find_official_drift propose_contract_patch propose_overlay
    """,
    "voicegauge.api.listings": """
        ProviderList RuleExplanation RuleList explain_rule list_asr_engines list_providers list_rules
    """,
    "voicegauge.api.local_servers": "ListenResult LocalServer RunningProxy RunningReplay emulate listen proxy replay",
    "voicegauge.api.options": "LiveOptions",
    "voicegauge.api.progress": "ProgressListener",
    "voicegauge.api.recording": "plan_record record",
    "voicegauge.conformance.recording_updates": "FileToOverwrite RecordResult RecordedFile",
    "voicegauge.api.result_files": """
        apply_baseline render_summary write_badge write_baseline write_findings_page write_history_page
        write_junit write_sarif
    """,
    "voicegauge.api.saved_runs": """
        ScoreResult analyze_runs build_report compare compare_targets load_run read_history render_report score
        write_report write_site
    """,
    "voicegauge.api.target_selection": "load_contracts",
    "voicegauge.bench.benchmark_plan": "BenchPlanResult",
    "voicegauge.bench.comparison_result": "RunComparison",
    "voicegauge.bench.run_history": "RunHistory",
    "voicegauge.bench.target_summaries": "BenchResult TargetSummary",
    "voicegauge.conformance.plan_prices": "PricedPlan",
    "voicegauge.conformance.check_report": "CheckReport",
    "voicegauge.contract.contract": "Contract Target",
    "voicegauge.contract.loading": "Catalogue",
    "voicegauge.drift.drift_report": "DriftReport",
    "voicegauge.emulator.process": "RunningEmulator",
    "voicegauge.errors": "VoicegaugeError",
    "voicegauge.model.base": "Finding Provenance Severity",
    "voicegauge.model.run": "Run",
    "voicegauge.recording.foreign_recordings": "Conversion",
    "voicegauge.report.report_data": "AnalyzedRuns BenchReport",
}
_MODULE_BY_NAME = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names.split()}
"""For each exported name, the module that defines it."""

_DIFFERENT_FUNCTION_NAME_BY_COMMAND = {
    "asr": "list_asr_engines",
    "bench": "benchmark",
    "cost": "estimate_cost",
    "drift": "find_drift",
    "explain": "explain_rule",
    "history": "read_history",
    "providers": "list_providers",
    "rules": "list_rules",
    "serve": "emulate",
}
"""Name of the function of each command whose function has another name than the command."""

EXPORTED_NAMES = ("__version__", "errors", *_MODULE_BY_NAME)
"""All public names. They are not `__all__`, because `help` would print the whole of each: five thousand lines."""


def __getattr__(name: str) -> Any:
    """Return the value of an exported name, whose module is imported on first use; `AttributeError` for other names."""
    if name == "errors":
        return import_module("voicegauge.errors")
    if name not in _MODULE_BY_NAME:
        hint = (
            f"; use voicegauge.{_DIFFERENT_FUNCTION_NAME_BY_COMMAND[name]}"
            if name in _DIFFERENT_FUNCTION_NAME_BY_COMMAND
            else ""
        )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    value = getattr(import_module(_MODULE_BY_NAME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names of this module, including exported names that are not imported yet."""
    return sorted({*globals(), *EXPORTED_NAMES})
