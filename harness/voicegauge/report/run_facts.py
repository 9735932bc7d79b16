"""Collects facts about the runs of a report as table rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from voicegauge.bench.analysis import describe_disturbed_samples
from voicegauge.model import Provenance, RunKind
from voicegauge.printable_text import format_count
from voicegauge.report.report_data import BenchReport, RunReport
from voicegauge.report.text_format import format_usd


class RunFact(NamedTuple):
    """One row of a table: a name, and a value for each run, which is empty if the fact does not apply to the run."""

    name: str
    run_values: tuple[str, ...]


def _describe_provenance(provenance: Provenance) -> str:
    return "live service" if provenance is Provenance.LIVE else provenance.upper()


_NOTE_BY_RUN_KIND: dict[RunKind, str] = {
    "speech": "",
    "transcription": "speech to text: the texts of the suite were synthesized with espeak-ng and uploaded; "
    "WER is of each target's own transcript",
    "conversion": "audio conversion: the texts of the suite were synthesized with espeak-ng and uploaded; "
    "WER is of the transcript of the converted audio",
}


def list_main_facts(report: BenchReport) -> tuple[RunFact, ...]:
    """Return the facts about what was run and how it was scored."""
    return _build_facts(
        report,
        {
            "Provenance": lambda r: _describe_provenance(r.manifest.provenance),
            "Run": lambda r: r.manifest.run_id,
            "Started": lambda r: r.manifest.created_at,
            "Finished": lambda r: "yes" if r.manifest.is_finished else "no: interrupted; the samples so far are shown",
            "Measured": lambda r: _NOTE_BY_RUN_KIND[r.manifest.kind],
            "Suite": _format_suite,
            "Targets": lambda r: str(len(r.manifest.targets)),
            "Requests": lambda r: f"{sum(t.sample_count for t in r.targets):,}",
            "Sessions": lambda r: str(r.manifest.sessions),
            "Repetitions": _format_repetitions,
            "Concurrency": lambda r: (
                "" if r.ramp or r.manifest.requests_per_s is not None else str(r.manifest.concurrency)
            ),
            "Ramp": lambda r: f"{r.ramp.load_type}, in {format_count(len(r.ramp.steps), 'step')}" if r.ramp else "",
            "Rate": _format_request_rate,
            "HTTP": lambda r: "HTTP/2 with servers that support it" if r.manifest.uses_http2 else "HTTP/1.1",
            "Error of times": _format_timing_error,
            "Seed": lambda r: str(r.manifest.seed),
            "ASR engine": _format_asr,
            "Reason for this engine": lambda r: r.scoring.asr_selection_reason if r.scoring else "",
            "Vocabulary": _describe_vocabulary,
            "Engine settings": lambda r: (
                ", ".join(f"{k} {v}" for k, v in r.scoring.settings.items()) if r.scoring else ""
            ),
            "Normalizer": lambda r: r.scoring.normalizer if r.scoring else "",
            "Not scored": _format_unscored_languages,
            "Scored earlier by": lambda r: ", ".join(r.scoring.earlier_asr_engines) if r.scoring else "",
            "Injected faults": lambda r: ", ".join(r.manifest.fault_ids),
            "Region": lambda r: r.manifest.region or "",
            "Base URLs": lambda r: ", ".join(f"{k}: {v}" for k, v in r.manifest.base_urls.items()),
            "Spent": _format_spending,
        },
    )


def list_environment_facts(report: BenchReport) -> tuple[RunFact, ...]:
    """Return the facts about where the runs were measured, and digests that show whether two runs are comparable."""
    names = dict.fromkeys(name for run in report.runs for name in run.manifest.environment)
    value_getters: dict[str, Callable[[RunReport], str]] = {"voicegauge": lambda r: r.manifest.voicegauge_version}
    for name in names:
        value_getters[name] = partial(_get_environment_value, name)
    value_getters["Suite, SHA-256"] = lambda r: r.manifest.suite.sha256
    value_getters["Plan, SHA-256"] = lambda r: r.manifest.plan_sha256
    return _build_facts(report, value_getters)


def _get_environment_value(fact_name: str, run: RunReport) -> str:
    return run.manifest.environment.get(fact_name, "")


def list_incomparable_facts(report: BenchReport) -> tuple[str, ...]:
    """Return the names of facts that influence error rates and differ between the runs.

    The result is empty if the error rates of the runs can be compared.
    """
    value_getters: dict[str, Callable[[RunReport], str]] = {
        "kind of target": lambda r: r.manifest.kind,
        "suite": lambda r: r.manifest.suite.sha256,
        "ASR engine": _format_asr,
        "normalizer": lambda r: r.scoring.normalizer if r.scoring else "",
        "provenance": lambda r: r.manifest.provenance,
    }
    return tuple(name for name, value in value_getters.items() if len({value(run) for run in report.runs}) > 1)


def _build_facts(report: BenchReport, value_getters: dict[str, Callable[[RunReport], str]]) -> tuple[RunFact, ...]:
    return tuple(RunFact(name, tuple(value(run) for run in report.runs)) for name, value in value_getters.items())


def _format_timing_error(run: RunReport) -> str:
    error = run.manifest.timing_error
    busy = describe_disturbed_samples(run.targets)
    note = f"; {busy}" if busy else ""
    if error is None:
        return f"not measured{note}"
    measured = f"{error.median_error_ms:.2f} ms (median), {error.p99_error_ms:.2f} ms (p99)"
    return f"{measured}, with {error.concurrency} requests in flight at a server on the same machine{note}"


def _format_request_rate(run: RunReport) -> str:
    rate = run.manifest.requests_per_s
    return "" if rate is None else f"{rate:g} requests/s to each target, {run.manifest.arrival_process} arrivals"


def _format_repetitions(run: RunReport) -> str:
    count = "as many as the ramp needed" if run.ramp else str(run.manifest.repetitions)
    return f"{count}, after {run.manifest.warmup_request_count} for warm-up"


def _format_suite(run: RunReport) -> str:
    suite = run.manifest.suite
    return f"{suite.id}, version {suite.version}, {format_count(suite.text_count, 'text')}"


def _format_asr(run: RunReport) -> str:
    return run.scoring.asr_engine if run.scoring else "not scored"


def _describe_vocabulary(run: RunReport) -> str:
    if run.scoring is None:
        return ""
    if run.scoring.has_closed_vocabulary:
        known = run.scoring.known_words
        return f"CLOSED: {known}" if known else "CLOSED: small-vocabulary ASR made for the bundled suites"
    return "open"


def _format_unscored_languages(run: RunReport) -> str:
    if run.scoring is None or not run.scoring.unsupported_languages:
        return ""
    return f"{', '.join(run.scoring.unsupported_languages)}: languages that the ASR engine does not support"


def _format_spending(run: RunReport) -> str:
    manifest = run.manifest
    if manifest.provenance is not Provenance.LIVE:
        return "nothing: emulated"
    limit = f" of at most {format_usd(manifest.max_cost_usd)}" if manifest.max_cost_usd is not None else ""
    return f"{format_usd(manifest.spent_usd)}{limit}"
