"""Conformance tests and benchmarks for hosted text-to-speech and voice-cloning APIs.

    import voicegauge

    report = voicegauge.check("pixelapi", emulated=True)
    result = voicegauge.benchmark("pixelapi", max_texts=2)
    comparison = voicegauge.compare("reports/baseline", result.folder)

For every command, this package has a function that does the same and returns the record that the command writes with
`--json`. The functions are synchronous. They can be called while an event loop is running (in a notebook, for example),
but they block that loop; in asynchronous code use `await asyncio.to_thread(voicegauge.check, "pixelapi")`. `emulate`,
`replay` and `proxy` return context managers for `with` and `async with`. All errors are subclasses of
`VoicegaugeError`; `voicegauge.errors` lists them.

Modules are imported on first use, so that `import voicegauge` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from voicegauge.version import __version__

if TYPE_CHECKING:
    from voicegauge import errors
    from voicegauge.api import (
        Conversion,
        CostEstimate,
        FileToOverwrite,
        ListenResult,
        LiveOptions,
        LocalServer,
        ProgressListener,
        ProviderList,
        RecordedFile,
        RecordResult,
        RuleExplanation,
        RuleList,
        RunningProxy,
        RunningReplay,
        ScoreResult,
        analyze_runs,
        apply_baseline,
        benchmark,
        build_report,
        check,
        check_job_steps,
        check_profile,
        check_request,
        compare,
        compare_targets,
        convert,
        convert_all,
        emulate,
        estimate_cost,
        explain_rule,
        find_drift,
        find_official_drift,
        list_asr_engines,
        list_providers,
        list_rules,
        listen,
        load_contracts,
        load_run,
        plan_benchmark,
        plan_check,
        propose_contract_patch,
        propose_overlay,
        proxy,
        read_history,
        record,
        render_report,
        replay,
        score,
        write_badge,
        write_baseline,
        write_findings_page,
        write_history_page,
        write_junit,
        write_report,
        write_sarif,
        write_site,
    )
    from voicegauge.bench import BenchPlanResult, BenchResult
    from voicegauge.bench.analysis import RunComparison, TargetSummary
    from voicegauge.bench.history import RunHistory
    from voicegauge.conformance import CheckReport, PricedPlan
    from voicegauge.contract import Catalogue, Contract, Target
    from voicegauge.drift import DriftReport
    from voicegauge.emulator import RunningEmulator
    from voicegauge.errors import VoicegaugeError
    from voicegauge.model import Finding, Provenance, Run, Severity
    from voicegauge.report import AnalyzedRuns, BenchReport


_EXPORTED_NAMES_BY_MODULE = {
    "voicegauge.bench": ("BenchPlanResult", "BenchResult"),
    "voicegauge.bench.analysis": ("RunComparison", "TargetSummary"),
    "voicegauge.bench.history": ("RunHistory",),
    "voicegauge.conformance": ("CheckReport", "PricedPlan"),
    "voicegauge.contract": ("Catalogue", "Contract", "Target"),
    "voicegauge.drift": ("DriftReport",),
    "voicegauge.emulator": ("RunningEmulator",),
    "voicegauge.errors": ("VoicegaugeError",),
    "voicegauge.model": ("Finding", "Provenance", "Run", "Severity"),
    "voicegauge.report": ("AnalyzedRuns", "BenchReport"),
}
_MODULE_BY_EXPORTED_NAME = {name: module for module, names in _EXPORTED_NAMES_BY_MODULE.items() for name in names}
"""Modules of the exported names that are not imported from `voicegauge.api`, by name."""

__all__ = [
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
    "propose_contract_patch",
    "propose_overlay",
    "proxy",
    "read_history",
    "record",
    "render_report",
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


def __getattr__(name: str) -> Any:
    """Return an exported name; its module is imported on first use."""
    if name == "errors":
        return import_module("voicegauge.errors")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_BY_EXPORTED_NAME.get(name, "voicegauge.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names of this module, including exported names that are not imported yet."""
    return sorted({*globals(), *__all__})
