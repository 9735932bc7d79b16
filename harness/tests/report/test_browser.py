"""The page as a reader has it: on a phone and a desk, light and dark, with and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from voicegauge.bench.analysis.cost import CostLine
from voicegauge.model import Provenance
from voicegauge.report import write_report
from voicegauge.report.text_format import format_usd

from ..builders.report_runs import BROKEN, HOSTILE, LANGUAGES_ALL, VOICES, crowd, hostile_voices, make_run

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
    emulated = make_run(base / "a", (*VOICES, BROKEN), repetitions=2)
    live = make_run(
        base / "b", VOICES[1:4], languages=LANGUAGES_ALL, provenance=Provenance.LIVE, closed=False, repetitions=2
    )
    hostile = make_run(
        base / "c", hostile_voices(), transcript=HOSTILE[0] + HOSTILE[4], message=HOSTILE[1], repetitions=1
    )
    lone = make_run(base / "d", VOICES[:1], repetitions=1, texts=2, scored=False, finished=False)
    runs = {"emulated": [emulated], "mixed": [live, emulated], "hostile": [hostile], "lone": [lone]}
    runs["broken"] = [make_run(base / "f", (BROKEN,), repetitions=1)]
    runs["crowd"] = [make_run(base / "e", crowd(), repetitions=1)]
    return {name: write_report(many, base / f"{name}.html") for name, many in runs.items()}


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


def _column(page: Page, index: int) -> list[str]:
    cells = page.locator(f"#comparison tbody tr > :nth-child({index + 1})")
    return [str(value) for value in cells.evaluate_all("cells => cells.map(c => c.dataset.value)")]


def test_rows_start_sorted_by_error_rate_and_say_so(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["mixed"], DESK) as (page, _):
        assert page.locator("#comparison th[aria-sort=ascending]").inner_text().startswith("WER")
        values = _column(page, 1)
        rates = [float(value) for value in values if value]
        assert rates == sorted(rates)
        assert values == [*map(str, rates), ""]  # the target that delivered no audio has no error rate
        assert page.locator("#comparison tbody tr").last.inner_text().startswith(BROKEN.id)


def test_a_header_sorts_its_column_either_way_with_missing_numbers_last(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["emulated"], DESK) as (page, trouble):
        headers = page.locator("#comparison thead tr:last-child th").all_inner_texts()
        at = next(i for i, text in enumerate(headers) if text.startswith("p50"))
        button = page.get_by_role("button", name="p50")
        for direction, sign in (("ascending", 1), ("descending", -1)):
            button.press("Enter")
            assert page.locator("#comparison th[aria-sort]").get_attribute("aria-sort") == direction
            values = _column(page, at)
            known = [sign * float(value) for value in values if value]
            assert known == sorted(known)
            assert values[-1] == ""  # the target that never answered
        page.get_by_role("button", name="Rate").click()
        assert page.locator("#comparison th[aria-sort]").get_attribute("aria-sort") == "descending"
        page.get_by_role("button", name="Target").click()
        assert _column(page, 0) == sorted(_column(page, 0))
        assert trouble == []


@pytest.mark.parametrize("length", [1, 137, 501, 5_001])
def test_the_chosen_text_length_sets_the_price_as_the_library_does(
    browser: Browser, pages: dict[str, Path], length: int
) -> None:
    with opened(browser, pages["emulated"], DESK) as (page, trouble):
        page.get_by_label("Characters in a text").fill(str(length))
        lines = 0
        for row in page.locator("tr[data-fixed]").all():
            data = row.evaluate("row => ({...row.dataset})")
            line = CostLine(
                fixed_usd=float(data["fixed"]),
                usd_per_character=float(data["character"]),
                max_characters=int(data["maxCharacters"]) if data["maxCharacters"] else None,
            )
            assert row.locator("[data-text]").inner_text() == format_usd(line.compute_request_usd(length))
            assert row.locator("[data-million]").inner_text() == format_usd(line.compute_usd_per_1m_characters(length))
            lines += 1
        assert lines == len(VOICES)  # one has no price, one never answers but has one
        assert trouble == []


def test_an_invalid_text_length_is_rejected_with_a_message(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["emulated"], DESK) as (page, trouble):
        before = page.locator("[data-million]").all_inner_texts()
        page.get_by_label("Characters in a text").fill("-3")
        assert "whole number" in page.get_by_role("status").inner_text()
        assert page.locator("[data-million]").all_inner_texts() == before
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
    with opened(browser, pages["emulated"], PHONE, java_script_enabled=False) as (page, trouble):
        assert page.get_by_text("EMULATED", exact=True).first.is_visible()
        for section in ("comparison", "tradeoff", "latency", "categories", "cost", "clips", "failures", "run"):
            assert page.locator(f"#{section} h2").is_visible()
        assert page.get_by_role("button").count() == 0
        assert not page.get_by_label("Characters in a text").is_visible()
        assert page.locator("#cost thead").inner_text().count("characters") == 4
        assert page.locator("svg.scatter.narrow").is_visible()
        page.locator("#tradeoff summary").click()
        assert page.locator("#tradeoff table").is_visible()
        assert trouble == []
