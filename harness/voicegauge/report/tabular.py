"""A report as CSV, one row a sample, and as a Markdown table for a pull request."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from voicegauge.model import Interval, Record, Run, Sample, Score
from voicegauge.report.facts import is_uneven
from voicegauge.report.gather import Report, RunReport, latest_scores
from voicegauge.report.table import TableCell, columns, rows
from voicegauge.report.text import visible

Value = str | int | float | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula."""


def render_csv(runs: Sequence[tuple[Path, Run]]) -> str:
    """One row a sample, warm-up included and marked, with its scores under the run's last ASR.

    Texts that a spreadsheet would run as a formula get an apostrophe in front.
    """
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for _, run in runs:
        scores = latest_scores(run)
        by_id = {score.sample_id: score for score in scores.scores} if scores else {}
        for sample in run.samples:
            row = _sample_row(run, sample) | _score_row(scores.asr if scores else None, by_id.get(sample.id))
            if writer is None:
                writer = csv.DictWriter(out, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow({key: _safe(value) for key, value in row.items()})
    return out.getvalue()


def _safe(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _sample_row(run: Run, sample: Sample) -> dict[str, Value]:
    return {
        "run_id": run.manifest.run_id,
        "provenance": run.manifest.provenance.value,
        "sample_id": sample.id,
        "target": sample.target,
        "session": sample.session,
        "repetition": sample.repetition,
        "warmup": int(sample.warmup),
        "text_id": sample.text_id,
        "language": sample.language,
        "category": sample.category,
        "text": sample.text,
        "started_at": sample.started_at,
        "attempts": sample.attempts,
        "polls": sample.polls,
        "failure": sample.failure.kind if sample.failure else None,
        "failure_status": sample.failure.status if sample.failure else None,
        "failure_message": sample.failure.message if sample.failure else None,
        **_latency_row(sample),
        **_streaming_row(sample),
        **_audio_row(sample),
        "price_usd": sample.cost.price_usd,
        "price_credits": sample.cost.price_credits,
        "charged_usd": sample.cost.charged_usd,
        "charged_credits": sample.cost.charged_credits,
        "price_disputed": int(sample.cost.disputed),
    }


def _latency_row(sample: Sample) -> dict[str, Value]:
    latency = sample.latency
    row = _fields(latency, "submit_latency_ms", "ttfb_ms", "ttfa_ms", "ttfs_ms", "total_latency_ms", "download_ms")
    for name in ("queue", "processing", "completion"):
        between: Interval | None = getattr(latency, f"{name}_ms") if latency else None
        row[f"{name}_low_ms"] = between.low_ms if between else None
        row[f"{name}_high_ms"] = between.high_ms if between else None
    return row


def _streaming_row(sample: Sample) -> dict[str, Value]:
    names = ("first_event_ms", "first_speech_ms", "gap_p50_ms", "gap_max_ms", "underruns", "stalled_ms")
    return {f"stream_{name}": value for name, value in _fields(sample.streaming, *names).items()}


def _audio_row(sample: Sample) -> dict[str, Value]:
    facts = _fields(sample.audio, "sha256", "bytes", "container", "sample_rate_hz", "channels", "leading_silence_s")
    length = sample.audio.audio_s if sample.audio else None
    return {"audio_s": length, **{f"audio_{name}": value for name, value in facts.items()}}


def _score_row(asr: str | None, score: Score | None) -> dict[str, Value]:
    counts = ("units", "hits", "substitutions", "deletions", "insertions", "error_rate")
    texts = ("reference", "hypothesis", "transcript")
    return {"asr": asr if score else None, **_fields(score, "audio_content", "unit", *counts, *texts)}


def _fields(record: Record | None, *names: str) -> dict[str, Value]:
    return {name: getattr(record, name) if record else None for name in names}


def render_markdown(report: Report) -> str:
    """The comparison of each run as a table, headed by what was run and under which ASR."""
    return "\n".join(line for run in report.runs for line in _run_markdown(run, report.characters))


def _run_markdown(run: RunReport, characters: int) -> list[str]:
    shown = columns(run.targets, characters)
    heads = ["Target", *(" ".join(filter(None, (_head(c.group, c.label), c.unit))) for c in shown)]
    body = [
        [_escape(row.summary.target), *(_markdown_cell(cell) for cell in row.cells)] for row in rows(run.targets, shown)
    ]
    return [
        f"### {_heading(run)}",
        "",
        _escape(_judged(run)),
        "",
        _line(heads),
        _line(["---", *("---:" for _ in shown)]),
        *(_line(cells) for cells in body),
        "",
    ]


def _head(group: str, label: str) -> str:
    return f"{group} {label}" if group.startswith("Time") or group == "Price" else label


def _heading(run: RunReport) -> str:
    manifest = run.manifest
    mark = "" if manifest.provenance == "recorded" else f"{manifest.provenance.upper()}: "
    return f"{mark}voicegauge {_escape(manifest.suite.id)}, {_escape(manifest.created_at)}"


def _judged(run: RunReport) -> str:
    if run.scoring is None:
        return "Not scored."
    closed = " (closed vocabulary: flattering)" if run.scoring.closed_vocabulary else ""
    uneven = " Not all targets spoke the same languages." if is_uneven(run) else ""
    return f"ASR {run.scoring.asr}{closed}, normalizer {run.scoring.normalizer}; 95% intervals.{uneven}"


def _markdown_cell(cell: TableCell) -> str:
    text = f"{cell.text} ({cell.detail})" if cell.detail else cell.text
    return text.replace("$", "&#36;")  # two of them would set what lies between as a formula


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """`text` as words only: no HTML, link, mention, code or table border comes of it."""
    line = " ".join(visible(text).split())
    return re.sub(r"([\\`*_\[\]<>#|~@&$])", _entity, line)


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[1])};"
