"""The prices of one run are the same wherever they are shown, and in `cost`."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest

from voicegauge.bench.benchmark_plan import build_target_ref as build_documented_ref
from voicegauge.bench.run_store import save_run
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.cli import run as voicegauge_command
from voicegauge.cli._bench_tables import print_summaries
from voicegauge.contract.catalogue import Catalogue
from voicegauge.contract.pricing import quote_price
from voicegauge.model.base import Provenance
from voicegauge.model.run import Run
from voicegauge.model.sample import Cost

from ..builders.runs import build_run, build_sample

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


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, voicegauge_catalogue: Catalogue) -> tuple[Path, Run]:
    samples = []
    for name in TARGETS:
        quote = quote_price(voicegauge_catalogue.targets[name], 11)
        cost = Cost(price_usd=quote.price_usd, price_credits=quote.price_credits, reserved_usd=quote.reserved_usd)
        samples.append(build_sample(1, target=name, cost=cost, words="hello world", audio_s=3.0))
    run = build_run(
        tuple(samples),
        targets=tuple(build_documented_ref(voicegauge_catalogue.targets[name]) for name in TARGETS),
        provenance=Provenance.EMULATED,
    )
    folder = tmp_path_factory.mktemp("run")
    save_run(folder, run)
    return folder, run


def test_all_formats_and_the_command_cost_show_the_same_prices(
    saved: tuple[Path, Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = saved
    monkeypatch.setenv("COLUMNS", "600")
    expected = {
        summary.target: (
            summary.cost.price_per_1m_characters.describe(),
            summary.cost.price_per_month.format_amount(),
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

    for target, (text, month, price) in expected.items():
        amount, remark = price.format_amount(), price.format_remark()
        # Invoices are rounded to the cent, which is at most half a cent of a million characters here.
        assert costs[target]["price_per_1m_characters"]["usd"] == pytest.approx(price.usd, abs=0.005)
        assert rows[target]["price_text"] == text
        assert (samples[target]["target_price_text"], reported[target]["usd"]) == (text, price.usd)
        assert reported[target]["third_party_usd"] == list(price.third_party_usd)
        line = next(line for line in by_format["text"].splitlines() if re.search(rf"^ *{re.escape(target)} ", line))
        assert (text or "-") in line
        assert (month or "-") in line
        assert (text or "-") in next(line for line in by_format["markdown"].splitlines() if f"| {target} |" in line)
        assert amount in next(line for line in markdown.splitlines() if f"| {target} |" in line)
        assert remark in next(line for line in markdown.splitlines() if f"| {target} |" in line)
        in_terminal = next(line for line in terminal.splitlines() if re.search(rf"^ *{re.escape(target)} ", line))
        assert amount in in_terminal
        assert remark in in_terminal
        row = _find_table_row(page, target)
        assert re.search(rf'data-price="million">{re.escape(html.escape(amount) or "x*")}', row) or not amount
        assert html.escape(remark) in row


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
    assert "free quota of google: 1,000,000 characters per month without a fee (default): chirp-3-hd" in printed
    assert "$0.00" not in printed
