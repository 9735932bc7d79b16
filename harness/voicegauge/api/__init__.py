"""Functions that do what the commands do, from planning to saving. They return records and print nothing.

`voicegauge` exports most of them. Modules are imported on first use, so that importing this package is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicegauge.api.benchmark_run import benchmark, plan_benchmark
    from voicegauge.api.conformance_check import check, check_job_steps, check_profile, check_request, plan_check
    from voicegauge.api.cost_estimation import CostEstimate, MonthlyCost, estimate_cost
    from voicegauge.api.drift_detection import find_drift, find_official_drift, propose_contract_patch
    from voicegauge.api.listings import (
        AsrEngineList,
        ProviderList,
        RuleExplanation,
        RuleList,
        explain_rule,
        install_weights,
        list_asr_engines,
        list_providers,
        list_rules,
    )
    from voicegauge.api.local_servers import LocalServer, RunningReplay, emulate, replay, serve_emulator, serve_replay
    from voicegauge.api.options import LiveOptions
    from voicegauge.api.plan_sending import describe_plan, describe_undeletable_resources
    from voicegauge.api.progress import ProgressListener
    from voicegauge.api.result_files import (
        apply_baseline,
        format_github_annotations,
        to_exported_report,
        write_badge,
        write_baseline,
        write_findings_page,
        write_junit,
        write_sarif,
    )
    from voicegauge.api.saved_runs import (
        ReportFormat,
        ScoreResult,
        analyze_runs,
        build_report,
        compare,
        compare_targets,
        load_run,
        read_history,
        render_report,
        score,
        write_history_page,
        write_report,
        write_site,
    )
    from voicegauge.api.target_selection import (
        download_document,
        load_contracts,
        propose_contract,
        propose_overlay,
        select_providers,
    )
    from voicegauge.api.traffic import (
        Conversion,
        ConvertedFile,
        FileToOverwrite,
        ListenResult,
        RecordedFile,
        RecordResult,
        RunningProxy,
        convert,
        convert_all,
        listen,
        proxy,
        record,
    )

_NAMES_BY_MODULE = {
    "benchmark_run": ("benchmark", "plan_benchmark"),
    "conformance_check": ("check", "check_job_steps", "check_profile", "check_request", "plan_check"),
    "cost_estimation": ("CostEstimate", "MonthlyCost", "estimate_cost"),
    "drift_detection": ("find_drift", "find_official_drift", "propose_contract_patch"),
    "listings": (
        "ProviderList",
        "AsrEngineList",
        "RuleExplanation",
        "RuleList",
        "explain_rule",
        "install_weights",
        "list_providers",
        "list_asr_engines",
        "list_rules",
    ),
    "local_servers": ("LocalServer", "RunningReplay", "emulate", "replay", "serve_emulator", "serve_replay"),
    "options": ("LiveOptions",),
    "plan_sending": ("describe_undeletable_resources", "describe_plan"),
    "progress": ("ProgressListener",),
    "result_files": (
        "apply_baseline",
        "format_github_annotations",
        "to_exported_report",
        "write_baseline",
        "write_junit",
        "write_badge",
        "write_findings_page",
        "write_sarif",
    ),
    "saved_runs": (
        "ReportFormat",
        "ScoreResult",
        "analyze_runs",
        "build_report",
        "compare",
        "compare_targets",
        "load_run",
        "read_history",
        "render_report",
        "score",
        "write_history_page",
        "write_report",
        "write_site",
    ),
    "target_selection": (
        "download_document",
        "load_contracts",
        "propose_contract",
        "propose_overlay",
        "select_providers",
    ),
    "traffic": (
        "Conversion",
        "ConvertedFile",
        "ListenResult",
        "FileToOverwrite",
        "RecordResult",
        "RecordedFile",
        "RunningProxy",
        "convert",
        "convert_all",
        "listen",
        "proxy",
        "record",
    ),
}
_MODULE_BY_NAME = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}
"""For each exported name, the module that defines it."""

__all__ = [
    "AsrEngineList",
    "Conversion",
    "ConvertedFile",
    "CostEstimate",
    "FileToOverwrite",
    "ListenResult",
    "LiveOptions",
    "LocalServer",
    "MonthlyCost",
    "ProgressListener",
    "ProviderList",
    "RecordResult",
    "RecordedFile",
    "ReportFormat",
    "RuleExplanation",
    "RuleList",
    "RunningProxy",
    "RunningReplay",
    "ScoreResult",
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
    "describe_plan",
    "describe_undeletable_resources",
    "download_document",
    "emulate",
    "estimate_cost",
    "explain_rule",
    "find_drift",
    "find_official_drift",
    "format_github_annotations",
    "install_weights",
    "list_asr_engines",
    "list_providers",
    "list_rules",
    "listen",
    "load_contracts",
    "load_run",
    "plan_benchmark",
    "plan_check",
    "propose_contract",
    "propose_contract_patch",
    "propose_overlay",
    "proxy",
    "read_history",
    "record",
    "render_report",
    "replay",
    "score",
    "select_providers",
    "serve_emulator",
    "serve_replay",
    "to_exported_report",
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
    if name not in _MODULE_BY_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_BY_NAME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names of this module, including exported names that are not imported yet."""
    return sorted({*globals(), *__all__})
