"""The page as a reader has it: on a phone and a desk, light and dark, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from voicegauge.api.result_files import write_history_page
from voicegauge.bench.run_history import read_run_history
from voicegauge.bench.run_store import load_run
from voicegauge.bench.target_cost import PriceFunction
from voicegauge.bench.target_samples import measure_target_differences
from voicegauge.bench.target_summaries import describe_wrong_charges, summarize_targets
from voicegauge.model.base import Provenance
from voicegauge.report._ranking import RankingWeights, rank_targets
from voicegauge.report.html_page import write_report
from voicegauge.report.text_format import MISSING_TEXT

from ..builders.nights import made_run, save
from ..builders.report_runs import BROKEN, HOSTILE, LANGUAGES_ALL, PLANNED, VOICES, crowd, hostile_voices, make_run
from ..builders.runs import build_measured_target

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE = (390, 844)
SMALL_PHONE = (360, 640)
DESK = (1280, 900)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page of each kind that differs in what it shows."""
    base = tmp_path_factory.mktemp("pages")
    emulated = make_run(base / "a", (*VOICES, BROKEN), provenance=Provenance.EMULATED, repetitions=2)
    live = make_run(base / "live", (*VOICES, BROKEN), repetitions=2)
    multilingual = make_run(base / "b", VOICES[1:4], languages=LANGUAGES_ALL, closed=False, repetitions=2)
    hostile = make_run(
        base / "c", hostile_voices(), transcript=HOSTILE[0] + HOSTILE[4], message=HOSTILE[1], repetitions=1
    )
    lone = make_run(base / "d", VOICES[:1], repetitions=1, texts=2, scored=False, finished=False)
    runs = {
        "emulated": [emulated],
        "live": [live],
        "mixed": [multilingual, emulated],
        "hostile": [hostile],
        "lone": [lone],
    }
    runs["broken"] = [make_run(base / "f", (BROKEN,), repetitions=1)]
    runs["crowd"] = [make_run(base / "e", crowd(), repetitions=1)]
    runs["plans"] = [make_run(base / "g", PLANNED, repetitions=1)]
    sample = Path(__file__).resolve().parents[3] / "reports" / "sample" / "report.html"
    return {"sample": sample} | {name: write_report(many, base / f"{name}.html") for name, many in runs.items()}


@contextmanager
def opened(browser: Browser, path: Path, size: tuple[int, int], **context: Any) -> Iterator[tuple[Page, list[str]]]:
    """The page at `path`, and the list of everything that went wrong or asked for a network."""
    trouble: list[str] = []
    with browser.new_context(viewport={"width": size[0], "height": size[1]}, **context) as session:
        page = session.new_page()
        page.on("console", lambda message: trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("request", lambda request: trouble.append(request.url) if not _local(request.url) else None)
        page.goto(path.as_uri())
        yield page, trouble


def _local(url: str) -> bool:
    return url.startswith(("file:", "data:"))


@pytest.mark.parametrize(
    ("name", "size", "scheme"),
    [
        ("emulated", PHONE, "light"),
        ("emulated", DESK, "dark"),
        ("mixed", PHONE, "dark"),
        ("mixed", DESK, "light"),
        ("lone", PHONE, "dark"),
        ("broken", DESK, "light"),
    ],
)
def test_no_accessibility_rule_is_broken(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, pages[name], size, color_scheme=scheme) as (page, trouble):
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        found = Axe().run(page)
        ran = {rule["id"] for rule in found.response["passes"]}
        assert found.violations_count == 0, found.generate_report()
        assert {"color-contrast", "document-title", "html-has-lang", "region"} <= ran
        assert trouble == []


@pytest.mark.parametrize("size", [SMALL_PHONE, PHONE, DESK], ids=["small", "phone", "desk"])
@pytest.mark.parametrize("name", ["emulated", "mixed", "hostile", "lone", "crowd", "broken"])
def test_the_page_is_never_wider_than_the_screen(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    with opened(browser, pages[name], size) as (page, trouble):
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert trouble == []


def test_nothing_hostile_runs_or_becomes_markup(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["hostile"], DESK) as (page, trouble):
        assert page.locator("script").count() == 1
        assert page.locator("img, iframe, object, embed, link, a[href^=javascript]").count() == 0
        assert page.locator("#comparison tbody tr").count() == len(HOSTILE)
        assert "alert(1)" in page.locator("#comparison").inner_text()
        assert trouble == []


def test_a_foreign_script_is_blocked(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    """Were something to slip through the escaping, the page's own policy would stop it."""
    inject = "<script>document.title = 'owned'</script><img src='http://127.0.0.1:9/x.png'><p style='color:red'>"
    broken = tmp_path / "broken.html"
    broken.write_text(pages["lone"].read_text().replace("</main>", f"{inject}</main>"))
    with opened(browser, broken, DESK) as (page, trouble):
        assert page.title() != "owned"
        assert sum("Content Security Policy" in line for line in trouble) >= 3


def _find_words(text: str) -> list[str]:
    return re.findall(r"[\w,%]+", text)


def _column(page: Page, key: str) -> list[str]:
    cells = page.locator(f"#comparison tbody tr:not([hidden]) > [data-key={key}]")
    return [str(value) for value in cells.evaluate_all("cells => cells.map(c => c.dataset.value)")]


def test_rows_start_sorted_by_error_rate_and_say_so(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["live"], DESK) as (page, _):
        assert page.locator("#comparison th[aria-sort=ascending]").inner_text().startswith("Word errors")
        values = _column(page, "wer")
        rates = [float(value) for value in values if value]
        assert rates == sorted(rates)
        assert values == [*map(str, rates), ""]  # the target that delivered no audio has no error rate
        assert page.locator("#comparison tbody tr").last.inner_text().startswith(BROKEN.id)


def test_a_header_sorts_its_column_either_way_with_missing_numbers_last(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["live"], DESK) as (page, trouble):
        button = page.get_by_role("button", name="Total latency")
        for direction, sign in (("ascending", 1), ("descending", -1)):
            button.press("Enter")
            assert page.locator("#comparison th[aria-sort]").get_attribute("aria-sort") == direction
            values = _column(page, "latency")
            known = [sign * float(value) for value in values if value]
            assert known == sorted(known)
            assert values[-1] == ""  # the target that never answered
        page.get_by_role("button", name="Target").click()
        assert _column(page, "target") == sorted(_column(page, "target"))
        assert trouble == []


def test_a_link_restores_filter_sorting_columns_and_prices(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["live"], DESK) as (page, trouble):
        page.get_by_label("Filter targets").fill("north/")
        page.get_by_role("button", name="Total latency").click()
        page.locator("#comparison summary").click()
        page.get_by_role("checkbox", name="TTFA").check()
        page.get_by_label("Characters in a text").fill("1000")
        page.get_by_role("slider", name="Price").fill("4")
        page.locator("nav a[href='#cost']").click()
        page.wait_for_function("location.hash.startsWith('#cost&')")  # the page adds its state after the jump
        link = page.evaluate("location.hash")
        assert link.startswith("#cost&")
        before = _column(page, "latency"), _column(page, "million"), page.locator(".ranked").inner_text()
        page.goto("about:blank")
        page.goto(pages["live"].as_uri() + link)
        assert (_column(page, "latency"), _column(page, "million"), page.locator(".ranked").inner_text()) == before
        assert len(before[0]) == 3
        assert page.locator("#comparison th[data-key=ttfa]").is_visible()
        assert page.get_by_label("Filter targets").input_value() == "north/"
        assert page.locator("#cost").evaluate("one => Math.abs(one.getBoundingClientRect().top) < 200")
        assert trouble == []


@pytest.mark.parametrize("width", [360, 1024, 1440])
@pytest.mark.parametrize("name", ["emulated", "mixed", "crowd"])
def test_the_decision_table_needs_no_horizontal_scrolling(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    for script in (True, False):
        with opened(browser, pages[name], (width, 900), java_script_enabled=script) as (page, _):
            table = page.locator("#comparison .scroll")
            assert table.evaluate("one => one.scrollWidth - one.clientWidth") <= 0
            assert page.locator("#comparison tbody tr").first.locator("td:visible").count() <= 6
            labels = table.locator("tbody tr").first.locator(".label:visible").all_inner_texts()
            if width == 360:  # a block has no heading above it, so that its labels say what the heading says
                heads = table.locator("thead th:not(.name):not(.more):not([hidden])").all_text_contents()
                assert list(map(_find_words, labels)) == list(map(_find_words, heads))
                assert any("1M characters, texts of 500" in label for label in labels)
            else:
                assert labels == []


def test_the_history_page_shows_all_on_a_small_phone(browser: Browser, tmp_path: Path) -> None:
    nights = (0, 1, 6, 10, 11, 13)
    for index in nights:
        later = msgspec.structs.replace(build_measured_target(), contract_version="2" if index > 9 else "1")
        save(tmp_path / f"{index:02}", made_run(index, targets=(later,)))
    page_file = tmp_path / "page.html"
    write_history_page(read_run_history(tmp_path), page_file)
    with opened(browser, page_file, SMALL_PHONE) as (page, trouble):
        assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE[0]
        assert page.locator("#timeline-1 .scroll").evaluate("one => one.scrollWidth - one.clientWidth") <= 0
        change = page.locator("#timeline-1 bdi", has_text="contract from 1").bounding_box()
        assert change
        assert change["x"] + change["width"] <= SMALL_PHONE[0]
        chart = page.locator("svg.nights[role=img]").first
        dates = [one.bounding_box() for one in chart.locator("text", has_text=re.compile(r"^\d+-\d+-\d+$")).all()]
        for left, right in pairwise(dates):
            assert left
            assert right
            assert left["x"] + left["width"] + 2 < right["x"]
        assert len(dates) > 2
        mark, line = chart.locator(".rehearsal").bounding_box(), chart.locator(".line").bounding_box()
        assert mark
        assert line
        assert mark["y"] + mark["height"] <= line["y"]
        value = chart.locator("text[text-anchor=end]:not(.rehearsal)").first
        value.evaluate("one => { one.textContent = '100,000 ms'; }")  # a label as long as labels are
        label, area = value.bounding_box(), chart.bounding_box()
        assert label
        assert area
        assert area["x"] <= label["x"]
        assert trouble == []


CUT_TABLES = """() => [...document.querySelectorAll("table")].filter(one => one.checkVisibility()
  && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.closest("section").id)"""
BROKEN_NUMBERS = r"""() => {
  const found = [];
  for (const cell of document.querySelectorAll("td, thead th")) {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) for (const number of walker.currentNode.data.matchAll(/[\d$][\d.,]*/g)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, number.index);
      range.setEnd(walker.currentNode, number.index + number[0].length);
      const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      const isHash = walker.currentNode.parentElement.closest("code") !== null;
      if (lines.size > 1 && !cell.closest(".facts") && !isHash) found.push(number[0]);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("width", [718, 1031], ids=["portrait", "landscape"])
@pytest.mark.parametrize("name", ["live", "mixed", "plans", "sample"])
def test_print_cuts_no_table_and_breaks_no_number(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    with opened(browser, pages[name], (width, 1000)) as (page, trouble):
        page.emulate_media(media="print")
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        assert page.evaluate(CUT_TABLES) == []
        assert page.evaluate(BROKEN_NUMBERS) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("input:visible, select:visible, nav:visible, audio:visible").count() == 0
        assert trouble == []


def test_few_targets_are_printed_with_their_details_and_many_say_that_they_are_not(
    browser: Browser, pages: dict[str, Path]
) -> None:
    note = "On paper, a target has its details only if its section was open"
    for name, is_open in (("lone", True), ("live", False)):
        with opened(browser, pages[name], DESK) as (page, _):
            bodies = page.locator("details.target .body")
            assert bodies.count() > 0
            assert not bodies.first.is_visible()
            assert not page.get_by_text(note).is_visible()
            page.emulate_media(media="print")
            shown = bodies.evaluate_all("all => all.map(one => one.checkVisibility({contentVisibilityAuto: true}))")
            assert shown == [is_open] * bodies.count()
            assert page.get_by_text(note).is_visible() is not is_open


def test_print_keeps_every_column(browser: Browser, pages: dict[str, Path]) -> None:
    paper = (1031, 729)  # A4 landscape without margins, in px
    for script in (True, False):
        with opened(browser, pages["emulated"], paper, java_script_enabled=script) as (page, _):
            page.emulate_media(media="print")
            heads = page.locator("#comparison thead th")
            assert heads.count() > 12
            for box in (one.bounding_box() for one in heads.all()):
                assert box
                assert box["width"] > 0
                assert box["x"] + box["width"] <= paper[0]
            assert len(page.pdf(prefer_css_page_size=True)) > 10_000


def test_a_printed_report_is_short_and_cuts_no_plot(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["crowd"], (1031, 729)) as (page, _):
        page.emulate_media(media="print")
        shown = page.locator("figure:visible")
        assert shown.count() > 0
        for figure in shown.all():
            assert figure.evaluate("element => getComputedStyle(element).breakInside") == "avoid"
            box = figure.bounding_box()
            assert box
            assert box["height"] < 729
        closed = len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))
        page.evaluate("document.querySelectorAll('details.target').forEach(one => { one.open = true; })")
        everything = len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))
        assert closed < everything / 2


def test_weights_rank_the_targets_as_the_library_does(browser: Browser, pages: dict[str, Path]) -> None:
    run = load_run(pages["live"].parent / "live")
    targets = summarize_targets(run, run.score_sets[-1])
    differences = measure_target_differences(run, run.score_sets[-1])
    with opened(browser, pages["live"], DESK) as (page, trouble):
        shown = page.locator(".ranked li")
        for speed, intelligibility, price in ((2, 2, 0), (1, 4, 0), (4, 0, 3), (0, 0, 4)):
            for label, weight in (("Speed", speed), ("Intelligibility", intelligibility), ("Price", price)):
                page.get_by_role("slider", name=label).fill(str(weight))
            weights = RankingWeights(speed=speed, intelligibility=intelligibility, price=price)
            ranking = rank_targets(targets, differences, weights=weights)
            expected = ranking.targets
            points = [MISSING_TEXT if one.points is None else f"{one.points:.0f}" for one in expected]
            assert shown.locator("[data-points]").all_inner_texts() == points
            groups = [f"group {one.group}" for one in expected if one.group is not None]
            assert groups
            assert shown.locator("[data-group]").all_inner_texts()[: len(groups)] == groups
            line = page.locator("[data-decision-line]").inner_text()
            decision = ranking.decision.partition(": ")[2]
            assert line.partition(": ")[2] == f"{decision}; {describe_wrong_charges(targets)}."
        assert trouble == []


@pytest.mark.parametrize("length", [1, 137, 501, 5_001])
def test_the_chosen_text_length_sets_every_price_as_the_library_does(
    browser: Browser, pages: dict[str, Path], length: int
) -> None:
    with opened(browser, pages["live"], DESK) as (page, trouble):
        page.get_by_label("Characters in a text").fill(str(length))
        page.get_by_label("Characters per month").fill("2000000")
        shown = 0
        for price in page.locator("[data-price]").all():
            data = price.evaluate("one => one.closest('[data-claims]')?.dataset.claims")
            if not data:
                continue
            line = msgspec.json.decode(data, type=PriceFunction)
            million = line.compute_price_range_per_1m_characters(length, 2_000_000)
            expected = {"text": line.compute_price_range_of_text(length), "million": million, "month": million.scale(2)}
            found = expected[price.get_attribute("data-price") or ""]
            assert price.text_content() == found.format_amount()
            remark = price.evaluate("one => one.closest('[data-value]')?.querySelector('[data-remark]')?.textContent")
            assert remark in (None, found.format_remark())
            shown += 1
        assert shown == 4 * len(VOICES)  # one has no price, one never answers but has one
        assert f"in texts of {length:,} characters" in page.locator("[data-price-detail]").inner_text()
        assert trouble == []


@pytest.mark.parametrize(("length", "volume"), [(100, 9_000), (500, 2_000_000), (701, 30_000_000)])
def test_the_chosen_volume_selects_the_cheapest_plan_as_the_library_does(
    browser: Browser, pages: dict[str, Path], length: int, volume: int
) -> None:
    run = load_run(pages["plans"].parent / "g")
    expected = summarize_targets(run, text_length=length, characters_per_month=volume)
    with opened(browser, pages["plans"], DESK) as (page, trouble):
        page.get_by_label("Characters in a text").fill(str(length))
        page.get_by_label("Characters per month").fill(str(volume))
        for target in expected:
            row = page.locator(".comparison tbody tr", has=page.locator(f'[data-value="{target.target}"]'))
            for unit, price in (
                ("month", target.cost.price_per_month),
                ("million", target.cost.price_per_1m_characters),
            ):
                assert row.locator(f'[data-price="{unit}"]').text_content() == price.format_amount()
            assert set(row.locator("[data-plan]").all_text_contents()) == {target.cost.account_plan_name}
        assert trouble == []


def test_an_invalid_text_length_is_rejected_with_a_message(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["live"], DESK) as (page, trouble):
        before = page.locator("[data-price]").all_text_contents()
        page.get_by_label("Characters in a text").fill("-3")
        assert "whole numbers" in page.locator("[data-problem]").inner_text()
        assert page.locator("[data-price]").all_text_contents() == before
        assert trouble == []


def test_a_link_to_a_target_opens_its_section(browser: Browser, pages: dict[str, Path]) -> None:
    for link in ("#target-pebble-stone", "#target-pebble-stone&filter=pebble"):
        with opened(browser, pages["emulated"], DESK) as (page, trouble):
            page.goto("about:blank")
            page.goto(pages["emulated"].as_uri() + link)
            body = page.locator("#target-pebble-stone")
            body.wait_for(state="visible", timeout=60_000)
            assert body.evaluate("one => Math.abs(one.getBoundingClientRect().top) < 400")
            assert page.locator("#target-north-aurora").is_hidden()
            assert trouble == []


@pytest.mark.parametrize("width", [360, 1024, 1440])
@pytest.mark.parametrize("name", ["live", "crowd"])
def test_every_point_has_a_name_and_no_text_of_the_plot_is_cut(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    with opened(browser, pages[name], (width, 900)) as (page, _):
        plot = page.locator(".scatter:visible")
        assert plot.count() == 1
        named = [
            *plot.locator(".label text").all_text_contents(),
            *page.locator(".names:visible bdi").all_inner_texts(),
        ]
        assert sorted(named) == sorted(page.locator(".ranked a").all_inner_texts())
        outside = plot.evaluate(
            "svg => { const frame = svg.getBoundingClientRect();"
            " const isOutside = box => box.left < frame.left - 1 || box.right > frame.right + 1;"
            " return [...svg.querySelectorAll('text')].filter(one => isOutside(one.getBoundingClientRect()))"
            ".map(one => one.textContent); }"
        )
        assert outside == []


def test_numbers_in_the_plot_are_ranks_by_the_weights_of_the_reader(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["crowd"], DESK) as (page, trouble):

        def read_ranks() -> dict[str, str]:
            rows = page.locator(".ranked li")
            assert rows.locator(".number").all_inner_texts() == [str(i + 1) for i in range(20)]
            shown = {}
            for place, number in rows.evaluate_all("rows => rows.map((row, i) => [row.dataset.place, String(i + 1)])"):
                shown[place] = number
                assert page.locator(f'.scatter.wide text[data-number="{place}"]').text_content() == number
            return shown

        usual = read_ranks()
        assert all(place == number for place, number in usual.items())
        page.get_by_role("slider", name="Speed").fill("0")
        assert read_ranks() != usual
        listed = page.locator(".names:visible .number").all_inner_texts()
        assert listed == sorted(listed, key=int)
        assert trouble == []


def test_a_page_of_40_targets_with_500_samples_each_is_small_and_soon_usable(browser: Browser, tmp_path: Path) -> None:
    """Its size does not depend on the number of samples: curves have a largest number of steps."""
    run = make_run(tmp_path, crowd(40), repetitions=56)
    assert len(run[1].samples) > 40 * 500
    page_file = write_report([run], tmp_path / "page.html")
    without_audio = re.sub(r'src="data:audio[^"]*"', "", page_file.read_text())
    assert len(without_audio.encode()) < 5_000_000
    with opened(browser, page_file, DESK) as (page, trouble):
        # CPU time of the page's thread, which a busy machine does not change.
        metrics = page.context.new_cdp_session(page)
        metrics.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
        metrics.send("Performance.enable")

        def read_cpu_s() -> float:
            measured = metrics.send("Performance.getMetrics")["metrics"]
            return float(next(one["value"] for one in measured if one["name"] == "TaskDuration"))

        before_s = read_cpu_s()
        page.reload()
        page.get_by_label("Filter targets").fill("number-39")
        assert page.locator("#comparison tbody tr:visible").count() == 1
        assert 0 < read_cpu_s() - before_s < 1.5
        assert page.locator("details.target").count() == page.locator(".ranked li").count() == 40
        assert trouble == []


def test_dark_mode_is_dark_and_light_mode_is_light(browser: Browser, pages: dict[str, Path]) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        with opened(browser, pages["lone"], DESK, color_scheme=scheme) as (page, _):
            colors = page.evaluate(
                "[document.body, document.querySelector('.card, .decision')].flatMap(one =>"
                " { const style = getComputedStyle(one); return [style.backgroundColor, style.color]; })"
            )
            brightness[scheme] = [sum(map(int, re.findall(r"\d+", color)[:3])) / 765 for color in colors]
    assert all(ground > 0.9 and ink < 0.2 for ground, ink in zip(*[iter(brightness["light"])] * 2, strict=True))
    assert all(ground < 0.2 and ink > 0.8 for ground, ink in zip(*[iter(brightness["dark"])] * 2, strict=True))


@pytest.mark.parametrize("width", [360, 1024, 1440])
def test_the_cost_table_and_the_setup_fit_a_desk(browser: Browser, pages: dict[str, Path], width: int) -> None:
    with opened(browser, pages["emulated"], (width, 900)) as (page, _):
        for section in ("#cost", "#environment"):
            table = page.locator(f"{section} .scroll").first
            hidden_px = table.evaluate("one => one.scrollWidth - one.clientWidth")
            assert hidden_px <= 0 or width < 1024


def test_one_player_plays_at_a_time(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["emulated"], DESK) as (page, trouble):
        playing = page.evaluate(
            "async () => { const [a, b] = document.querySelectorAll('audio'); a.muted = b.muted = true;"
            " await a.play(); await b.play(); return [a.paused, b.paused]; }"
        )
        assert playing == [True, False]
        assert trouble == []


def test_the_clips_play(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["emulated"], DESK) as (page, trouble):
        assert page.locator("audio").count() > 3
        length = page.locator("audio").first.evaluate(
            "audio => new Promise((done, fail) => {"
            " audio.onloadedmetadata = () => done(audio.duration);"
            " audio.onerror = () => fail(audio.error.message);"
            " audio.preload = 'auto'; audio.load(); })"
        )
        assert 1.0 < length < 6.0
        assert trouble == []


def test_without_javascript_the_page_is_complete_and_offers_no_controls(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["live"], PHONE, java_script_enabled=False) as (page, trouble):
        assert page.get_by_text("LIVE", exact=True).first.is_visible()
        for section in ("comparison", "latency", "categories", "cost", "targets", "failures", "run"):
            assert page.locator(f"#{section} h2").is_visible()
        assert page.locator(".headline").is_visible()
        assert page.locator(".ranked li").count() == len(VOICES)
        assert page.get_by_role("button").count() == 0
        assert not page.get_by_label("Characters in a text").is_visible()
        assert page.locator("#cost thead tr").last.inner_text().count("characters") == 4
        assert page.locator("svg.scatter.narrow").is_visible()
        page.locator(".plot summary").click()
        assert page.locator(".plot table").is_visible()
        assert not page.locator("#comparison td[data-key=ttfa]").first.is_visible()
        page.get_by_label("Show all columns").check()
        assert page.locator("#comparison td[data-key=ttfa]").first.is_visible()
        assert trouble == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_an_emulated_run_ranks_and_marks_no_target(browser: Browser, pages: dict[str, Path], *, script: bool) -> None:
    with opened(browser, pages["emulated"], DESK, java_script_enabled=script) as (page, trouble):
        assert page.get_by_text("EMULATED", exact=True).first.is_visible()
        assert "rehearsal" in page.locator(".verdict").inner_text().lower()
        assert page.locator(".ranked, .scatter, [data-rank], .best, meter").count() == 0
        assert not page.get_by_role("slider").count()
        assert not page.get_by_label("Sort by").is_visible()
        assert not page.locator("#comparison thead button").count()
        for row in page.locator("#comparison tbody tr, .bar:not(.scale), .heat tbody tr").all():
            assert "EMULATED" in row.inner_text()
        for picture in page.locator("svg.curve, .bar:not(.scale) svg").all():
            assert "EMULATED" in (picture.text_content() or "")
        assert page.locator("[class^=shade-]").count() == 0
        names = page.locator("#comparison tbody tr th").all_inner_texts()
        assert names == sorted(names)
        assert trouble == []


_COUNT_COVERED_MARKS = """() => [...document.querySelectorAll("text.rehearsal")].filter(mark => {
  const box = mark.getBoundingClientRect();
  return [...mark.ownerSVGElement.querySelectorAll("rect, path")].some(shape => {
    const other = shape.getBoundingClientRect();
    return other.left < box.right && box.left < other.right && other.top < box.bottom - 2 && box.top + 2 < other.bottom;
  });
}).length"""
"""Counts marks of a rehearsal that touch a bar or a curve, but for the 2 px above and below that no letter uses."""


@pytest.mark.parametrize("size", [(1440, 900), (800, 900), SMALL_PHONE], ids=str)
def test_the_mark_of_a_rehearsal_covers_no_bar_and_no_curve(
    browser: Browser, pages: dict[str, Path], size: tuple[int, int]
) -> None:
    with opened(browser, pages["emulated"], size) as (page, _):
        page.evaluate("document.querySelectorAll('details.target').forEach(one => one.open = true)")
        assert page.locator("text.rehearsal").count() > 8
        assert page.evaluate(_COUNT_COVERED_MARKS) == 0
