"""The tables that `voicegauge bench` prints."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.bench.cost import TargetCost
from voicegauge.bench.plan import Plan
from voicegauge.bench.statistics import Estimate, IntervalEstimate
from voicegauge.bench.summary import ErrorRate, StreamSummary, TargetSummary
from voicegauge.cli.output import console, table
from voicegauge.model import Provenance, ScoreSet

_NONE = "-"


def print_plan(plan: Plan) -> None:
    """What would be sent, and what it would cost."""
    out = console()
    rows = table("target", "requests", "characters", "price", "cost", right=("requests", "characters", "cost"))
    for line in plan.quoted:
        cost = f"${line.usd:.4f}" if line.usd is not None else "not known in dollars"
        rows.add_row(line.target, str(line.requests), str(line.characters), line.price, cost)
    out.print(rows)
    free = " (EMULATED: nothing is paid)" if plan.provenance is Provenance.EMULATED else ""
    out.print(f"{plan.requests} requests of the suite {plan.suite.id}, ${plan.usd:.4f} in all{free}")


def print_summaries(summaries: Sequence[TargetSummary], scores: ScoreSet | None, provenance: Provenance) -> None:
    """The comparison: medians with 95% intervals."""
    out = console()
    emulated = provenance is Provenance.EMULATED
    if emulated:
        out.print("[bold yellow]EMULATED[/]: the numbers show that the tool works; they say nothing of a provider")
    by_minute = any(_minute(one.cost) != _NONE for one in summaries)
    prices = ("a request", "a minute") if by_minute else ("a request",)
    numbers = ("ok", "to file ms", "p95 ms", "job done ms", "RTF", "WER", *prices, "$/1M chars")
    rows = table("target", *numbers, right=numbers)
    for one in summaries:
        rows.add_row(
            f"{'*' if one.pareto else ' '} {one.target}",
            f"{one.samples - one.failures}/{one.samples}",
            _number(one.file_ms),
            _number(one.file_p95_ms, interval=False),
            _between(one.done_ms),
            _number(one.rtf, digits=2, interval=False),
            _rate(one.wer or one.cer),
            _price(one.cost),
            *([_minute(one.cost)] if by_minute else []),
            _NONE if one.cost.usd_per_1m_characters is None else f"{one.cost.usd_per_1m_characters:.2f}",
        )
    out.print(rows)
    for line in _legend(summaries, scores):
        out.print(line, soft_wrap=True)


def _legend(summaries: Sequence[TargetSummary], scores: ScoreSet | None) -> list[str]:
    lines = ["medians, 95% intervals in brackets"]
    if any(one.pareto for one in summaries):
        lines.append("* no other target of this run is both faster and more intelligible")
    if summaries:
        lines.append(f"$/1M chars is for texts of {summaries[0].cost.characters} characters")
    if any(one.done_ms for one in summaries):
        lines.append("job done: seen only by polling, so it is known between two polls; time to file includes polling")
    if scores:
        closed = ", which knows few words, among them those of the bundled suites" if scores.closed_vocabulary else ""
        lines.append(f"WER by {scores.asr}{closed} ({scores.asr_reason}); normaliser {scores.normaliser}")
    lines += [_streamed(one.target, one.streaming) for one in summaries if one.streaming]
    for one in summaries:
        if one.failures:
            kinds = ", ".join(f"{count} {kind}" for kind, count in one.failure_kinds.items())
            lines.append(f"[red]{one.target}[/]: {one.failures} of {one.samples} failed ({kinds})")
    return lines


def _streamed(target: str, stream: StreamSummary) -> str:
    times = (stream.speech_ms, stream.gap_p50_ms, stream.gap_max_ms, stream.underrun_ms)
    speech, gap, longest, waited = (_number(time, interval=False) for time in times)
    ran_out = _number(stream.underruns, digits=2, interval=False)
    return (
        f"{target} streams: first speech after {speech} ms, pauses of {gap} ms (longest {longest} ms), "
        f"a player runs out {ran_out} times a sample and waits {waited} ms"
    )


def _number(estimate: Estimate | None, *, digits: int = 0, interval: bool = True) -> str:
    if estimate is None:
        return _NONE
    value = f"{estimate.value:.{digits}f}"
    if not interval or estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({estimate.low:.{digits}f}-{estimate.high:.{digits}f})"


def _between(interval: IntervalEstimate | None) -> str:
    return _NONE if interval is None else f"{interval.low.value:.0f}..{interval.high.value:.0f}"


def _price(cost: TargetCost) -> str:
    if cost.usd_per_request is not None:
        return f"${cost.usd_per_request:.4f}"
    return _NONE if cost.credits_per_request is None else f"{cost.credits_per_request:.0f} credits"


def _minute(cost: TargetCost) -> str:
    """The price of a minute of audio, where that is how it is priced."""
    if cost.usd_per_audio_minute is not None:
        return f"${cost.usd_per_audio_minute:.4f}"
    return _NONE if cost.credits_per_audio_minute is None else f"{cost.credits_per_audio_minute:.0f} credits"


def _rate(rate: ErrorRate | None) -> str:
    if rate is None:
        return _NONE
    corpus, unit = rate.corpus, " (characters)" if rate.unit == "character" else ""
    if corpus.low is None or corpus.high is None:
        return f"{corpus.value:.1%}{unit}"
    return f"{corpus.value:.1%} ({corpus.low:.1%}-{corpus.high:.1%}){unit}"
