"""What was run and where, as rows of words; the few numbers that a reader looks for first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from voicegauge.bench.analysis import Estimate, TargetSummary
from voicegauge.model import Provenance, RunKind
from voicegauge.report.gather import Report, RunReport
from voicegauge.report.text import interval, milliseconds, number, percent, usd


class RunFact(NamedTuple):
    """One fact, said of each run; empty where it does not hold."""

    name: str
    values: tuple[str, ...]


class RunHighlight(NamedTuple):
    """A number that a reader looks for first."""

    label: str
    value: str
    unit: str
    detail: str
    """The interval, or what else must be said with it."""
    target: str
    beside: str = ""
    """Which others may be as good."""


def provenance_word(provenance: Provenance) -> str:
    """How a provenance is shouted."""
    return "live service" if provenance is Provenance.RECORDED else provenance.upper()


_MEASURED: dict[RunKind, str] = {
    "speech": "",
    "transcription": "speech to text: the texts of the suite were sent, spoken by espeak-ng; "
    "WER is of what each target wrote down",
    "conversion": "conversion: the texts of the suite were sent, spoken by espeak-ng; "
    "WER is of what is still heard in the audio that came back",
}


def key_facts(report: Report) -> tuple[RunFact, ...]:
    """What was run and how it was judged."""
    return _collect(
        report,
        {
            "Answered by": lambda r: provenance_word(r.manifest.provenance),
            "Run": lambda r: r.manifest.run_id,
            "Started": lambda r: r.manifest.created_at,
            "Finished": lambda r: "yes" if r.manifest.finished else "no: interrupted, what came in is shown",
            "Measured": lambda r: _MEASURED[r.manifest.kind],
            "Suite": _suite,
            "Targets": lambda r: str(len(r.manifest.targets)),
            "Requests": lambda r: f"{sum(t.samples for t in r.targets):,}",
            "Sessions": lambda r: str(r.manifest.sessions),
            "Repetitions": lambda r: f"{r.manifest.repetitions}, after {r.manifest.warmup} for warm-up",
            "At once": lambda r: str(r.manifest.concurrency),
            "Seed": lambda r: str(r.manifest.seed),
            "Speech recognition": _asr,
            "Why this one": lambda r: r.scoring.reason if r.scoring else "",
            "Vocabulary": _vocabulary,
            "Its settings": lambda r: ", ".join(f"{k} {v}" for k, v in r.scoring.settings.items()) if r.scoring else "",
            "Normalizer": lambda r: r.scoring.normalizer if r.scoring else "",
            "Not scored": _left_out,
            "Scored before by": lambda r: ", ".join(r.scoring.others) if r.scoring else "",
            "Sent elsewhere": lambda r: ", ".join(f"{k} to {v}" for k, v in r.manifest.base_urls.items()),
            "Spent": _spent,
        },
    )


def environment(report: Report) -> tuple[RunFact, ...]:
    """Where it ran: whatever the runs noted, and the digests that tell whether two are comparable."""
    names = dict.fromkeys(name for run in report.runs for name in run.manifest.environment)
    read: dict[str, Callable[[RunReport], str]] = {"voicegauge": lambda r: r.manifest.voicegauge}
    for name in names:
        read[name] = partial(_noted, name)
    read["Suite, SHA-256"] = lambda r: r.manifest.suite.sha256
    read["Plan, SHA-256"] = lambda r: r.manifest.plan_sha256
    return _collect(report, read)


def _noted(name: str, run: RunReport) -> str:
    return run.manifest.environment.get(name, "")


def incomparable(report: Report) -> tuple[str, ...]:
    """What the runs differ in that an error rate is a function of; empty where they may be compared."""
    read: dict[str, Callable[[RunReport], str]] = {
        "kind of target": lambda r: r.manifest.kind,
        "suite": lambda r: r.manifest.suite.sha256,
        "ASR engine": _asr,
        "normalizer": lambda r: r.scoring.normalizer if r.scoring else "",
        "provenance": lambda r: r.manifest.provenance,
    }
    return tuple(name for name, value in read.items() if len({value(run) for run in report.runs}) > 1)


def is_uneven(run: RunReport) -> bool:
    """Whether the scored targets spoke different languages, so that their rows are not of the same texts."""
    spoken = (frozenset(rate.language for rate in target.languages) for target in run.targets)
    return len(set(filter(None, spoken))) > 1


def _collect(report: Report, read: dict[str, Callable[[RunReport], str]]) -> tuple[RunFact, ...]:
    return tuple(RunFact(name, tuple(value(run) for run in report.runs)) for name, value in read.items())


def _suite(run: RunReport) -> str:
    suite = run.manifest.suite
    return f"{suite.id}, version {suite.version}, {suite.texts} texts"


def _asr(run: RunReport) -> str:
    return run.scoring.asr if run.scoring else "not scored"


def _vocabulary(run: RunReport) -> str:
    if run.scoring is None:
        return ""
    if run.scoring.closed_vocabulary:
        return "CLOSED: it knows few words, among them those of the bundled suites, so the error rates are flattering"
    return "open: it had to choose among all the words it knows"


def _left_out(run: RunReport) -> str:
    if run.scoring is None or not run.scoring.left_out:
        return ""
    return f"{', '.join(run.scoring.left_out)}: languages that the recognizer does not know"


def _spent(run: RunReport) -> str:
    manifest = run.manifest
    if manifest.provenance is not Provenance.RECORDED:
        return "nothing: emulated"
    limit = f" of at most {usd(manifest.max_cost_usd)}" if manifest.max_cost_usd is not None else ""
    return f"{usd(manifest.spent_usd)}{limit}"


def highlights(run: RunReport) -> tuple[RunHighlight, ...]:
    """The lowest error rate, the shortest time, the lowest price and the failures of a run."""
    words = [(t, t.wer.corpus) for t in run.targets if t.wer]
    rates = words or [(t, t.cer.corpus) for t in run.targets if t.cer]
    times = [(t, t.total_latency_ms) for t in run.targets if t.total_latency_ms]
    prices = [(t, price) for t in run.targets if (price := t.cost.usd_per_1m_characters) is not None]
    found = []
    if rates:
        target, lowest = min(rates, key=lambda pair: pair[1].value)
        name = "Lowest WER" if words else "Lowest CER"
        ends = interval(lowest, 100, 1)
        found.append(RunHighlight(name, percent(lowest.value), "%", ends, target.target, _rivals(lowest, rates)))
    if times:
        target, time = min(times, key=lambda pair: pair[1].value)
        rivals = _rivals(time, times)
        found.append(
            RunHighlight("Shortest time to file", milliseconds(time.value), "ms", interval(time), target.target, rivals)
        )
    if prices:
        target, price = min(prices, key=lambda pair: pair[1])
        same = _others(sum(other == price for _, other in prices) - 1, "at the same price")
        detail = f"in texts of {target.cost.characters:,}"
        found.append(RunHighlight("Lowest price, 1M characters", usd(price), "", detail, target.target, same))
    return (*found, _failed(run))


def _rivals(best: Estimate, all_of: Sequence[tuple[TargetSummary, Estimate]]) -> str:
    """The others whose interval reaches the best one's."""
    high = best.value if best.high is None else best.high
    reaching = (e for _, e in all_of if e is not best and (e.value if e.low is None else e.low) <= high)
    return _others(sum(1 for _ in reaching), "not told apart from it")


def _others(count: int, what: str) -> str:
    return f"and {count} other{'' if count == 1 else 's'} {what}" if count else ""


def _failed(run: RunReport) -> RunHighlight:
    failures, samples = sum(t.failures for t in run.targets), sum(t.samples for t in run.targets)
    worst = max(run.targets, key=lambda t: t.failures, default=None)
    name = worst.target if worst and worst.failures else ""
    return RunHighlight("Failed", number(failures), "", f"of {samples:,} requests", name)
