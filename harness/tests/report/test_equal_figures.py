"""The prices and figures of one run are the same wherever they are shown; the prices are those of `cost` too."""

from __future__ import annotations

import csv
import html
import io
import json
import operator
import random
import re
import statistics
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest

from voicegauge.bench.benchmark_plan import build_measured_target as build_documented_ref
from voicegauge.bench.estimates import Estimate
from voicegauge.bench.run_store import save_run
from voicegauge.bench.scoring import describe_unjudged_clips
from voicegauge.bench.target_summaries import TargetSummary, summarize_targets
from voicegauge.bench.voice_quality import describe_predicted_quality, describe_steadiness, describe_voice
from voicegauge.cli import run as voicegauge_command
from voicegauge.cli._bench_tables import print_summaries
from voicegauge.contract.loading import Catalogue
from voicegauge.contract.price_computation import quote_price
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import WEBSOCKET_VERSION, Failure, Interruption, TranscriptTiming
from voicegauge.model.run import ListeningSet, QualitySet, Run, VoiceSet
from voicegauge.model.sample import (
    AudioFacts,
    Cost,
    Latency,
    ListeningVerdict,
    MeasuredVoice,
    QualityPrediction,
    RequestPhases,
    Sample,
    StreamArrivals,
)
from voicegauge.report import report_data
from voicegauge.report._result_tables import build_comparison_columns
from voicegauge.report.html_page import render_page
from voicegauge.report.report_data import analyze_runs
from voicegauge.report.result_summaries import render_csv
from voicegauge.report.run_comparison import render_markdown
from voicegauge.report.text_format import RANGE_DASH
from voicegauge.speech.transcripts import score_transcript

from ..builders.filled_records import RecordT, fill_record, find_shown_numbers, list_figures
from ..builders.report_runs import VOICES, make_run
from ..builders.runs import build_run, build_sample, build_score_set

TARGETS = (
    "azure/neural",
    "cartesia/sonic-3.5",
    "deepgram/aura-2",
    "elevenlabs/multilingual-v2",
    "google/chirp-3-hd",
    "inworld/tts-1-5-max",
    "lmnt/blizzard",
    "murf/falcon",
    "openai/gpt-4o-mini-tts",
    "openai/gpt-4o-mini-tts-sse",
    "openai/tts-1",
    "pixazo/vibevoice",
    "pixazo/xtts-v2",
    "replicate/kokoro",
    "ttsai/piper",
    "xai/tts",
)
"""Targets with every kind of price: by character, token, request, second; with plans, free quotas, several claims."""


TEXT_COUNT = 24


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, voicegauge_catalogue: Catalogue) -> tuple[Path, Run]:
    samples, rng = [], random.Random(1)
    for number, name in enumerate(TARGETS):
        quote = quote_price(voicegauge_catalogue.targets[name], 11)
        cost = Cost(price_usd=quote.price_usd, price_credits=quote.price_credits, reserved_usd=quote.reserved_usd)
        for text in range(TEXT_COUNT):
            total_ms = (300 + 40 * number) * rng.lognormvariate(0, 0.3)
            is_job, has_failed = number % 3 == 0, text and rng.random() < 0.02 * number
            samples.append(
                build_sample(
                    text,
                    target=name,
                    cost=cost,
                    words="hello world",
                    audio_s=3.0 + rng.random(),
                    total_latency_ms=total_ms,
                    done=(0.6 * total_ms, 0.8 * total_ms) if is_job else None,
                    failure=Failure(kind="timeout", message="60 s have passed") if has_failed else None,
                )
            )
    scores = build_score_set(
        tuple(samples), lambda one: 10 if one.failure else rng.choice((0, 0, 0, 1, 2, TARGETS.index(one.target) // 4))
    )
    run = build_run(
        tuple(samples),
        score_sets=(scores,),
        targets=tuple(build_documented_ref(voicegauge_catalogue.targets[name]) for name in TARGETS),
        provenance=Provenance.EMULATED,
    )
    folder = tmp_path_factory.mktemp("run")
    save_run(folder, run)
    return folder, run


@pytest.mark.slow
def test_all_formats_and_the_command_cost_show_the_same_prices(
    saved: tuple[Path, Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = saved
    monkeypatch.setenv("COLUMNS", "600")
    expected = {
        summary.target: (
            summary.cost.price_per_1m_characters.describe(),
            summary.cost.price_per_month,
            summary.cost.price_per_1m_characters,
        )
        for summary in summarize_targets(run)
    }
    assert expected["openai/gpt-4o-mini-tts"][0] == expected["openai/gpt-4o-mini-tts-sse"][0]
    assert {text for text, _, _ in expected.values() if not text} == {""}  # credits without a rate alone

    # cost: terminal, CSV, Markdown and JSON
    by_format = {}
    for name in ("text", "csv", "markdown"):
        assert voicegauge_command(["cost", *TARGETS, "--format", name]) == 0
        by_format[name] = capsys.readouterr().out.replace("\\", "")  # Markdown escapes "$"
    assert voicegauge_command(["cost", *TARGETS, "--json", "-"]) == 0
    costs = {one["target"]: one for one in json.loads(capsys.readouterr().out)["costs"] if one["is_cheapest_plan"]}
    rows = {row["target"]: row for row in csv.DictReader(io.StringIO(by_format["csv"])) if row["is_free_quota"] == "0"}
    # report: HTML, Markdown, CSV, JSON; and the terminal of bench
    out = folder / "out"
    out.mkdir()
    for file_name in ("page.html", "table.md", "samples.csv"):
        arguments = ["report", str(folder), "--out", str(out / file_name), "--json", str(out / "report.json")]
        assert voicegauge_command(arguments if file_name != "samples.csv" else arguments[:-2]) == 0
    page = (out / "page.html").read_text(encoding="utf-8")
    markdown = html.unescape((out / "table.md").read_text(encoding="utf-8"))
    samples = {
        row["target"]: row for row in csv.DictReader(io.StringIO((out / "samples.csv").read_text(encoding="utf-8")))
    }
    reported = {
        target["target"]: target["cost"]["price_per_1m_characters"]
        for target in json.loads((out / "report.json").read_text(encoding="utf-8"))["runs"][0]["targets"]
    }
    capsys.readouterr()
    print_summaries(summarize_targets(run), None, run.manifest)
    terminal = capsys.readouterr().out

    for target, (text, month_price, price) in expected.items():
        month = month_price.describe()
        amount, remark = price.format_amount(), price.format_remark()
        # Invoices are rounded to the cent, which is at most half a cent of a million characters here.
        assert costs[target]["price_per_1m_characters"]["usd"] == pytest.approx(price.usd, abs=0.005)
        assert (rows[target]["price_text"], rows[target]["month_price_text"]) == (text, month)
        assert (samples[target]["target_price_text"], reported[target]["usd"]) == (text, price.usd)
        assert reported[target]["third_party_usd"] == list(price.third_party_usd)
        row_of_cost = _find_cost_row(by_format["text"], target)
        assert (text or "-") in row_of_cost
        assert (month or "-") in row_of_cost
        in_cost = next(line for line in by_format["markdown"].splitlines() if f"| {target} |" in line).split(" | ")
        assert in_cost[2:4] == [month or "-", text or "-"]
        in_markdown = next(line for line in markdown.splitlines() if f"| {target} |" in line)
        in_markdown = in_markdown.replace("\\$", "$")  # a pair of dollars would enclose a formula
        shown = (amount if price.usd is not None else amount[:-1], remark)  # the plan may stand in the parentheses
        assert all(one in in_markdown for one in shown)
        in_terminal = next(line for line in terminal.splitlines() if re.search(rf"^ *{re.escape(target)} ", line))
        assert all(one in in_terminal for one in shown)
        row = _find_table_row(page, target)
        assert re.search(rf'data-price="million">{re.escape(html.escape(amount) or "x*")}', row) or not amount
        assert html.escape(remark) in row


def _find_cost_row(table: str, target: str) -> str:
    """Return the row of a target, which others of its provider share if they cost the same."""
    provider, _, name = target.partition("/")
    rows = re.split(r"(?m)^ *(?=[a-z0-9.-]+/)", table)
    return next(
        row for row in rows if row.startswith(f"{provider}/") and re.search(rf"[/ ]{re.escape(name)}[,\s]", row)
    )


FIGURES = {
    "wer": ("wer.corpus_rate", 100),
    "latency": ("total_latency_ms", 1),
    "latency95": ("total_latency_p95_ms", 1),
    "ttfa": ("ttfa_ms", 1),
    "submit": ("submit_latency_ms", 1),
    "rtf": ("rtf", 1),
    "speed": ("characters_per_s", 1),
}
"""The estimate in JSON of each column that shows one, and the factor by which it is shown."""


def test_all_formats_show_the_same_figures(
    saved: tuple[Path, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = saved
    monkeypatch.setenv("COLUMNS", "600")
    page, table, samples, data = (tmp_path / name for name in ("page.html", "table.md", "samples.csv", "report.json"))
    for file in (table, samples):
        assert voicegauge_command(["report", str(folder), "--out", str(file)]) == 0
    assert voicegauge_command(["report", str(folder), "--out", str(page), "--json", str(data)]) == 0
    reported = {one["target"]: one for one in json.loads(data.read_bytes())["runs"][0]["targets"]}
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(samples.read_text(encoding="utf-8"))):
        rows.setdefault(row["target"], []).append(row)
    capsys.readouterr()
    print_summaries(summarize_targets(run, run.score_sets[0]), run.score_sets[0], run.manifest)
    terminal = capsys.readouterr().out.splitlines()
    markdown = html.unescape(table.read_text(encoding="utf-8")).splitlines()
    shown_keys: set[str] = set()
    for target in TARGETS:
        expected = reported[target]
        _assert_equals_samples(expected, rows[target])
        cells = _read_cells(_find_table_row(page.read_text(encoding="utf-8"), target))
        in_table = next(line for line in markdown if line.startswith(f"| {target} |"))
        in_markdown = re.split(r" *(?<!\\)\| *", in_table)[2:-1]
        assert len(in_markdown) == len(cells)
        for (key, exact, shown, small), cell in zip(cells, in_markdown, strict=True):
            if "$" not in cell and "no price" not in cell:
                assert cell == (f"{shown} ({small})" if small else shown), key
            if key in FIGURES and _find(expected, FIGURES[key][0]) is not None:
                estimate, factor = _find(expected, FIGURES[key][0]), FIGURES[key][1]
                assert float(exact) == pytest.approx(estimate["value"]), key
                _assert_shows(shown, estimate["value"] * factor)
                if small:
                    for text, end in zip(small.split(RANGE_DASH), (estimate["low"], estimate["high"]), strict=True):
                        assert (text == "?") == (end is None)
                        _assert_shows(text, None if end is None else end * factor)
                shown_keys.add(key)
        failed = next(shown for key, _, shown, _ in cells if key == "failures")
        assert failed == f"{expected['failure_count']}/{expected['sample_count']}"
        line = next(line for line in terminal if re.search(rf"^ *(EMULATED )?\*? *{re.escape(target)} ", line))
        _assert_prints(re.split(r"  +", line.strip()), expected)
    assert shown_keys == set(FIGURES)


def _assert_prints(printed: list[str], expected: dict[str, Any]) -> None:
    """The cells of a row in the terminal show the figures of a target."""
    assert f"{expected['sample_count'] - expected['failure_count']}/{expected['sample_count']}" in printed
    total = expected["total_latency_ms"]
    assert any(one.startswith(f"{total['value']:.0f} ({total['low']:.0f}-{total['high']:.0f})") for one in printed)
    if expected["total_latency_p95_ms"] is not None:
        assert f"{expected['total_latency_p95_ms']['value']:.0f}" in printed
    assert f"{expected['rtf']['value']:.2f}" in printed
    assert any(one.startswith(f"{100 * expected['wer']['corpus_rate']['value']:.1f}%") for one in printed)
    if (done := expected["completion_ms"]) is not None:
        assert f"{done['low']['value']:.0f}..{done['high']['value']:.0f}" in printed


def _assert_equals_samples(expected: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """Compute the figures of a target again, from the samples in a CSV."""
    measured = [row for row in rows if not row["failure"]]
    assert (expected["sample_count"], expected["failure_count"]) == (len(rows), len(rows) - len(measured))
    times = sorted(float(row["total_latency_ms"]) for row in measured)
    assert expected["total_latency_ms"]["value"] == pytest.approx(statistics.median(times))
    p95 = expected["total_latency_p95_ms"]
    assert (p95 is None) == (len(times) < 20)
    assert p95 is None or times[-3] <= p95["value"] <= times[-1]
    assert expected["ttfa_ms"]["value"] == pytest.approx(statistics.median(float(row["ttfa_ms"]) for row in measured))
    errors = sum(int(row[name]) for row in rows for name in ("substitutions", "deletions", "insertions"))
    assert expected["wer"]["corpus_rate"]["value"] == pytest.approx(errors / sum(int(row["units"]) for row in rows))
    cost = expected["cost"]["price_per_request"]["usd"]
    assert cost is None or cost == pytest.approx(statistics.mean(float(row["price_usd"]) for row in rows))


def _find(data: Any, path: str) -> Any:
    for name in path.split("."):
        data = None if data is None else data[name]
    return data


def _read_cells(row: str) -> list[tuple[str, str, str, str]]:
    """Return key, exact value, shown value and second line of each cell of a row in a page."""
    cells = re.findall(r'<td data-key="(\w+)"[^>]* data-value="([^"]*)"[^>]*>(.*?)</td>', row, re.DOTALL)
    found = []
    for key, exact, content in cells:
        value = re.search(r'<span class="value[^>]*>(.*?)</span>', content)
        small = re.search(r"<small[^>]*>(.*?)</small>", content)
        texts = [html.unescape(re.sub(r"<[^>]*>", "", one[1])) if one else "" for one in (value, small)]
        found.append((key, exact, texts[0], texts[1]))
    return found


def _assert_shows(text: str, value: float | None) -> None:
    """A shown number is the value, rounded to its decimals."""
    if value is None:
        return
    shown = text.replace(",", "")
    decimals = len(shown.partition(".")[2])
    assert float(shown) == pytest.approx(value, abs=0.5 * 10**-decimals + 1e-9)


def _find_table_row(page: str, target: str) -> str:
    """Return the row of a target in the comparison table of a page."""
    table = page[page.index('class="comparison') :]
    start = table.index(f'data-value="{target}"')
    return table[start : table.index("</tr>", start)]


def test_the_free_quota_of_an_account_is_a_line_of_its_own(
    saved: tuple[Path, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = saved
    summary = next(one for one in summarize_targets(run) if one.target == "google/chirp-3-hd")
    assert summary.cost.price_per_1m_characters.describe() == "$30.00 (quoted)"
    assert summary.cost.free_quotas == ("1,000,000 characters per month (default)",)
    assert voicegauge_command(["cost", "google/chirp-3-hd", "--characters-per-month", "500k"]) == 0
    printed = capsys.readouterr().out
    assert "$15.00" in printed
    table, _, quota = " ".join(printed.split()).partition("free quota of google: ")
    assert quota.startswith(
        "1,000,000 characters per month on its plan default; with it, this month costs $0.00 (quoted) for chirp-3-hd"
    )
    assert "$0.00" not in table


def _add_audio_results(run: Run) -> Run:
    """Return the run with ratings, similarities to a voice sample, and verdicts on its audio."""
    delivered = [one for one in run.samples if one.is_counted and one.audio is not None]
    verdicts = [
        ListeningVerdict(sample_id=one.id, outcome="not judged", explanation="the language is xx")
        if index == 0
        else ListeningVerdict(sample_id=one.id, outcome="right", explanation="")
        for index, one in enumerate(delivered)
    ]
    ratings = [
        QualityPrediction(
            sample_id=one.id, speech=3.1 + i / 100, background=4.2 - i / 90, overall=2.9 + i / 80, p808=3.3 - i / 70
        )
        for i, one in enumerate(delivered)
    ]
    voices = [MeasuredVoice(sample_id=one.id, vector="", similarity=0.9 + 0.001 * i) for i, one in enumerate(delivered)]
    targets = tuple(msgspec.structs.replace(one, clones_voice=True) for one in run.manifest.targets)
    return msgspec.structs.replace(
        run,
        manifest=msgspec.structs.replace(run.manifest, targets=targets),
        listening=ListeningSet(method="made/1", verdicts=tuple(verdicts)),
        predicted_quality=QualitySet(method="made/2", predictions=tuple(ratings)),
        voices=VoiceSet(method="made/3", voices=tuple(voices)),
    )


def test_terminal_page_and_markdown_say_the_same_about_the_audio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, made = make_run(tmp_path, VOICES[:2], repetitions=2)
    run = _add_audio_results(made)
    summaries = summarize_targets(run, run.score_sets[-1])
    sentences = [describe_unjudged_clips(one.listening for one in summaries)]
    for one in summaries:
        assert one.predicted_quality is not None
        assert one.voice is not None
        assert one.steadiness is not None
        sentences += [
            describe_predicted_quality(one.predicted_quality),
            describe_voice(one.voice),
            describe_steadiness(one.steadiness),
        ]
    monkeypatch.setenv("COLUMNS", "1000")
    print_summaries(summaries, run.score_sets[-1], run.manifest)
    analyzed = analyze_runs([(folder, run)])
    shown = (capsys.readouterr().out, render_page(analyzed), render_markdown(analyzed))
    for text in map(str.lower, map(html.unescape, shown)):
        assert [sentence for sentence in sentences if sentence.lower() not in text] == []


def test_the_recognizer_of_numbers_and_names_is_named_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = build_sample(1, words="The meeting is on 4 May at 10:00 AM.")
    score = score_transcript(
        sample_id=sample.id,
        reference=sample.text,
        transcript="The meeting is on May 4th at ten AM.",
        language="en",
        audio_content="speech",
    )
    scores = msgspec.structs.replace(build_score_set((), lambda _: 0), scores=(score,))
    run = build_run((sample,), score_sets=(scores,))
    summaries = summarize_targets(run, scores)
    print_summaries(summaries, scores, run.manifest)
    named = f"numbers, names: those of which {scores.asr} recognized an accepted reading"
    assert named in " ".join(capsys.readouterr().out.split())
    analyzed = analyze_runs([(tmp_path, run)])
    for text in (render_page(analyzed), render_markdown(analyzed)):
        assert "2 of 2 numbers, dates and names recognized in an accepted reading" in html.unescape(text)
        assert f"({scores.asr}; " in html.unescape(text)


def test_a_language_that_no_engine_knows_has_no_normalizer(capsys: pytest.CaptureFixture[str]) -> None:
    sample = build_sample(1, language="ru")
    scores = msgspec.structs.replace(
        build_score_set((), lambda _: 0), normalizer="", unsupported_languages=("ru",), has_closed_vocabulary=True
    )
    run = build_run((sample,), score_sets=(scores,))
    print_summaries(summarize_targets(run, scores), scores, run.manifest)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"not scored: ru, which {scores.asr} does not know" in printed
    assert "normalizer" not in printed
    assert "Not scored." in render_markdown(analyze_runs([(Path("none"), run)]))


# Every figure of a target, as the fields of its summary list them: in what is read by people, and in CSV.


SHOWN_IN = {
    "page± markdown± terminal±": """
        failure_rate total_latency_ms wer.corpus_rate""",
    "page± markdown± terminal": """
        total_latency_p95_ms rtf wer.delivered_rate streaming.first_speech_ms streaming.gap_p50_ms streaming.gap_max_ms
        streaming.underruns_per_sample socket.interruptions.last_audio_ms socket.interruptions.late_audio_s
        socket.interruptions.next_audio_ms socket.transcript_timing.final_delay_ms""",
    "page± markdown±": """
        ttfb_ms ttfa_ms ttfa_after_text_ms characters_per_s cer.corpus_rate readings.wer.corpus_rate socket.handshake_ms
        socket.text_ms socket.ttfa_after_flush_ms socket.transcript_timing.first_text_ms""",
    "page±": "error_rates_by_*.corpus_rate",
    "page markdown terminal": """
        sample_count disturbed_sample_count failure_count failure_count_by_kind lost_count repetition_count_by_cause
        streaming.stall_time_ms readings.entity_count readings.right_entity_count listening.*
        socket.interruptions.interruption_count socket.interruptions.last_audio_max_ms
        socket.interruptions.next_audio_max_ms socket.interruptions.silent_count
        socket.transcript_timing.recording_count socket.transcript_timing.cut_early_count
        socket.transcript_timing.never_ended_count socket.transcript_timing.flip_share
        socket.transcript_timing.curve[[]0].wait_ms socket.transcript_timing.curve[[]0].delay_p50_ms
        socket.transcript_timing.curve[[]0].cut_early_share predicted_quality.* voice.* steadiness.*
        cost.price_per_request_usd cost.price_per_1m_characters_usd cost.price_per_audio_minute_usd""",
    "page markdown": """
        processing_ms.* readings.sentence_count readings.right_sentence_count cost.price_per_month_usd""",
    "page terminal": "completion_ms.*",
    "page": """
        submit_latency_ms queue_ms.* download_ms ttfs_ms error_rates_by_*.reference_units error_rates_by_*.substitutions
        error_rates_by_*.deletions error_rates_by_*.insertions readings.entity_count_by_kind
        readings.right_entity_count_by_kind audio_quality.* cost.credits_per_request cost.charged_usd_per_request
        cost.charged_credits_per_request""",
    "terminal": "cost.characters_per_month",  # page and Markdown have that of the report, which is the same
    "": """
        mean_submit_count completion_p50_ms completion_p90_ms audio_ready_ms audio_ready_p95_ms speech_onset_s
        audio_duration_s streaming.first_event_ms streaming.share_late_at_most_* *.mean *.median *.text_count
        *.sample_count_by_audio_content wer.[rsdi]* cer.[rsdi]* readings.[wc]er.[rsdi]* readings.cer.corpus_rate
        *.delivered_rate socket.transcript_timing.curve[[]0].unanswered_share cost.charged_sample_count
        cost.credits_per_audio_minute""",
}
"""The figures by what shows them, beside JSON, which has all: with "±", also both ends of the interval. The first entry
with a pattern that fits counts. A figure of words stands for that of characters too if a target has both."""


UNLISTED = {"cost.price_function": None, "cost.text_length": 500}
"""What does not count as a figure: the price as a function of the length of a text, and the length that is assumed."""


def _choose_expected(figure: str) -> str | None:
    for shown, patterns in SHOWN_IN.items():
        if any(fnmatchcase(figure, pattern) for pattern in patterns.split()):
            return shown
    return None


def _read_visible_text(page: str) -> str:
    """Return the text of a page and its tooltips, without pictures and scripts."""
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", "", page, flags=re.DOTALL)
    tooltips = " ".join(re.findall(r'title="([^"]*)"', body))
    return html.unescape(f"{re.sub(r'<[^>]*>', ' ', body)} {tooltips}")


def test_every_figure_of_a_target_is_shown_with_its_value_where_it_should_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures are the fields of the summary of a target: a new one fails until it is listed in `SHOWN_IN`."""
    monkeypatch.setenv("COLUMNS", "2000")
    folder, run = make_run(tmp_path / "run", VOICES[:1])
    most = 9_021_099  # more samples than there are failures
    fixed = {"target": VOICES[0].id, "sample_count": most, "cost.account_plan_name": "pro", **UNLISTED}
    summary, numbers = fill_record(TargetSummary, fixed)
    numbers["sample_count"] = most
    monkeypatch.setattr(report_data, "summarize_targets", lambda *_, **__: (summary,))
    page, markdown, data = (tmp_path / name for name in ("page.html", "table.md", "report.json"))
    assert voicegauge_command(["report", str(folder), "--out", str(page), "--json", str(data)]) == 0
    assert voicegauge_command(["report", str(folder), "--out", str(markdown)]) == 0
    (in_json,) = json.loads(data.read_bytes())["runs"][0]["targets"]
    assert msgspec.convert(in_json, TargetSummary) == summary
    capsys.readouterr()
    print_summaries((summary,), run.score_sets[-1], run.manifest)
    shown = {
        "page": find_shown_numbers(_read_visible_text(page.read_text(encoding="utf-8")), numbers),
        "markdown": find_shown_numbers(html.unescape(markdown.read_text(encoding="utf-8")), numbers),
        "terminal": find_shown_numbers(capsys.readouterr().out, numbers),
    }
    found, expected = {}, {}
    for figure, paths in list_figures(numbers).items():
        if "[1]" in figure:  # as the first one
            continue
        ends = {f"{figure}.low", f"{figure}.high"} if len(paths) > 1 else set()
        signs = {name: "±" if ends and ends <= seen else "" for name, seen in shown.items()}
        found[figure] = " ".join(f"{name}{signs[name]}" for name, seen in shown.items() if seen & {*paths})
        expected[figure] = _choose_expected(figure)
    assert found == expected


def test_every_column_of_the_table_shows_a_figure() -> None:
    summary, numbers = fill_record(TargetSummary, UNLISTED)
    columns = build_comparison_columns([summary], 500)
    assert {column.key for column in columns} >= {*FIGURES, "processing", "cancel-late", "underrun", "million", "month"}
    for column in columns:
        if column.key != "cut-early":  # a share of two counts
            assert find_shown_numbers(column.build_cell(summary).text, numbers), column.key


COLUMNS_OF_MEDIANS = {
    **{
        name: name for name in ("submit_latency_ms", "ttfb_ms", "ttfa_ms", "ttfs_ms", "total_latency_ms", "download_ms")
    },
    **{
        f"{phase}_ms.{bound}": f"{phase}_{bound}_ms"
        for phase in ("queue", "processing", "completion")
        for bound in ("low", "high")
    },
    **{
        f"streaming.{name}": f"stream_{name}"
        for name in ("first_event_ms", "first_speech_ms", "gap_p50_ms", "gap_max_ms")
    },
    "speech_onset_s": "audio_speech_onset_s",
    "audio_duration_s": "audio_duration_s",
    **{f"audio_quality.{name}": f"audio_{name}" for name in ("loudness_lufs", "noise_floor_dbfs", "bandwidth_hz")},
    "socket.handshake_ms": "phase_connect_ms",
    "socket.text_ms": "phase_send_ms",
    **{
        f"socket.interruptions.{name}": f"interruption_{name}"
        for name in ("last_audio_ms", "late_audio_s", "next_audio_ms")
    },
    **{f"socket.transcript_timing.{name}": f"transcript_timing_{name}" for name in ("first_text_ms", "final_delay_ms")},
}
"""The column in CSV of which each figure is the median."""
COLUMNS_OF_MEANS = {
    "streaming.underruns_per_sample": "stream_underruns",
    "streaming.stall_time_ms": "stream_stalled_ms",
    "mean_submit_count": "attempts",
    **{f"predicted_quality.{name}": f"predicted_{name}" for name in ("speech", "background", "overall", "p808")},
    "voice.similarity": "voice_similarity",
    "cost.price_per_request_usd": "price_usd",
    "cost.credits_per_request": "price_credits",
    "cost.charged_usd_per_request": "charged_usd",
    "cost.charged_credits_per_request": "charged_credits",
}
"""The column in CSV of which each figure is the mean."""
OTHER_FIGURES = """
    title sample_count failure_* disturbed_sample_count lost_count repetition_count_by_cause completion_p50_ms
    completion_p90_ms audio_ready_* ttfa_after_text_ms total_latency_p95_ms streaming.share_late_at_most_* rtf
    characters_per_s wer.* cer.* error_rates_by_* readings.* listening.* socket.ttfa_after_flush_ms
    socket.interruptions.*count socket.interruptions.*_max_ms socket.transcript_timing.*count
    socket.transcript_timing.flip_share socket.transcript_timing.curve* audio_quality.*count audio_quality.max_*
    audio_quality.sample_rates_hz* audio_quality.channel_counts* predicted_quality.left_out* voice.*_low voice.*_high
    voice.*count steadiness.* cost.charged_sample_count cost.price_per_1m_characters_usd cost.price_per_month_usd
    cost.price_per_audio_minute_usd cost.credits_per_audio_minute cost.characters_per_month"""
"""Figures that are neither median nor mean of one column: counts, percentiles, rates, ratios, prices by volume. They
are computed again from samples by `test_all_formats_show_the_same_figures`, and by the tests of each."""


def _draw_sample(number: int) -> Sample:
    """Return a sample of a turn over a WebSocket of which everything was measured."""
    drawn, first = build_sample(number), 2_000 + 400 * ((number * 7) % 9)

    def draw(record_type: type[RecordT], **fixed: object) -> RecordT:
        return fill_record(record_type, fixed, first=first, step=3)[0]

    assert drawn.audio is not None
    audio = draw(AudioFacts, sha256=drawn.audio.sha256, file_path="audio/a.wav", is_upsampled=False, raw_format=None)
    phases = draw(RequestPhases, http_version=WEBSOCKET_VERSION)
    cost = Cost(price_usd=first / 1000, price_credits=first, charged_usd=first / 1001, charged_credits=first + 1.0)
    return msgspec.structs.replace(
        drawn,
        submit_count=1 + number % 3,
        latency=draw(Latency),
        request_phases=phases,
        streaming=draw(StreamArrivals),
        audio=audio,
        cost=cost,
        interruption=draw(Interruption),
        transcript_timing=draw(TranscriptTiming),
    )


def test_figures_are_medians_and_means_of_the_columns_of_csv() -> None:
    samples = tuple(map(_draw_sample, range(9)))
    run = _add_audio_results(build_run(samples))
    (summary,) = summarize_targets(run)
    rows = list(csv.DictReader(io.StringIO(render_csv([(Path(), run)]))))
    for columns, compute in ((COLUMNS_OF_MEDIANS, statistics.median), (COLUMNS_OF_MEANS, statistics.mean)):
        for figure, column in columns.items():
            values = [float(row[column]) for row in rows]
            assert len(set(values)) > 2, f"{column} is the same for all samples"
            path = re.sub(r"_usd$", ".usd", figure) if "price_per" in figure else figure
            found = operator.attrgetter(path)(summary)
            value = found.value if isinstance(found, Estimate) else found
            assert value == pytest.approx(compute(values)), figure
    _, numbers = fill_record(TargetSummary, UNLISTED)
    known = [*COLUMNS_OF_MEDIANS, *COLUMNS_OF_MEANS, *OTHER_FIGURES.split()]
    unknown = [one for one in list_figures(numbers) if not any(fnmatchcase(one, pattern) for pattern in known)]
    assert unknown == [], "say from which column the figure is computed, or that it is from none"
