"""The plot of as many targets as the bundled contracts have can be read on a phone, on a screen and on paper."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voicegauge.report.html_page import write_report

from ..builders.report_runs import crowd, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TARGETS = 69
MIN_TEXT_HEIGHT_PX = 9
PAPER_PX = (1031, 702)
"""A4 landscape without margins, as `@page` sets them."""
READ = """svg => [...svg.querySelectorAll('text')].filter(one => one.textContent.trim()).map(one => {
  const box = one.getBoundingClientRect();
  return [one.textContent, box.left, box.top, box.right, box.bottom];
})"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("crowded")
    return write_report([make_run(base / "run", crowd(TARGETS), repetitions=1, texts=2)], base / "report.html")


@pytest.mark.parametrize("width", [360, 1280])
def test_every_number_is_large_enough_and_covers_no_other(browser: Browser, page_file: Path, width: int) -> None:
    with browser.new_context(viewport={"width": width, "height": 800}) as session:
        page = session.new_page()
        page.goto(page_file.as_uri())
        plot = page.locator(".scatter:visible")
        texts = plot.evaluate(READ)
        assert len(texts) >= TARGETS
        assert min(bottom - top for _, _, top, _, bottom in texts) >= MIN_TEXT_HEIGHT_PX
        covering = [
            (first[0], second[0])
            for first, second in itertools.combinations(texts, 2)
            if min(first[3], second[3]) - max(first[1], second[1]) > 2
            and min(first[4], second[4]) - max(first[2], second[2]) > 4
        ]
        assert covering == []
        legend = page.locator(".names:visible bdi")
        names = legend.all_inner_texts()
        assert len(names) == len(set(names)) == TARGETS
        shown = legend.evaluate_all(
            "all => all.map(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0)"
        )
        assert not any(shown), "a name is cut"
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_first_printed_page_decides_and_the_plot_with_its_names_is_on_one(
    browser: Browser, page_file: Path
) -> None:
    width, height = PAPER_PX
    with browser.new_context(viewport={"width": width, "height": height}) as session:
        page = session.new_page()
        page.goto(page_file.as_uri())
        page.emulate_media(media="print")
        last = page.locator(".ranked li").last.bounding_box()
        plot = page.locator("figure.plot").bounding_box()
        assert last
        assert last["y"] + last["height"] < height
        assert plot
        assert plot["height"] < height
