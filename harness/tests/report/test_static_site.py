"""A site of several runs: an index, a page for each run, comparisons, and links that all lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from voicegauge.bench.run_store import load_run, save_run
from voicegauge.cli import run as voicegauge
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Failure
from voicegauge.report.html_page import write_site

from ..builders.report_runs import HOSTILE, VOICES, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def make_dated_run(folder: Path, date: str, run_id: str, **settings: object) -> Path:
    settings = {"provenance": Provenance.EMULATED, **settings}
    folder, run = make_run(folder, VOICES[3:5], repetitions=1, texts=3, **settings)  # type: ignore[arg-type]  # as make_run
    manifest = msgspec.structs.replace(run.manifest, created_at=f"{date}T09:00:00Z", run_id=run_id)
    save_run(folder, msgspec.structs.replace(run, manifest=manifest))
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("site")
    site = base / "public"
    site.mkdir()
    (site / "history.html").write_text("kept")
    runs = [
        make_dated_run(base / "c", "2026-11-23", "third", provenance=Provenance.LIVE),
        make_dated_run(base / "a", "2026-11-21", f"first/../{HOSTILE[0]}"),
        make_dated_run(base / "b", "2026-11-22", "second", seed=2),
    ]
    assert voicegauge(["report", *map(str, runs), str(runs[0]), "--site", str(site), "--clips", "1"]) == 0
    return site


def list_links(page: Path) -> list[str]:
    return [link for link in re.findall(r'href="([^"]+)"', page.read_text()) if not link.startswith("#")]


def test_the_index_has_one_line_for_each_run_newest_first(site: Path) -> None:
    index = (site / "index.html").read_text()
    dates = re.findall(r'<a href="run-[^"]+">(2026-\d\d-\d\d)', index)
    assert dates == ["2026-11-23", "2026-11-22", "2026-11-21"]
    assert (index.count(">LIVE<"), index.count(">EMULATED<")) == (1, 2)
    assert index.count('class="sentence"') == 3
    assert "pebble/skip" in index


def test_every_link_leads_to_a_page_of_the_site(site: Path) -> None:
    pages = sorted(site.glob("*.html"))
    assert len(pages) == 1 + 3 + 1 + 1  # the index, the runs, one comparison, and the history that was there
    assert {link for page in pages for link in list_links(page)} == {page.name for page in pages}
    assert (site / "history.html").read_text() == "kept"


def test_a_page_of_somebody_else_is_not_replaced_by_a_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make_dated_run(tmp_path / name, f"2026-11-2{day}", name) for day, name in enumerate(("one", "two"))]
    mine = tmp_path / "site" / "run-two-compared.html"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert voicegauge(["report", *map(str, runs), "--site", str(mine.parent)]) == 2
    assert f"{mine} was not written by voicegauge" in capsys.readouterr().err.replace("\n", " ")
    assert (mine.read_text(), list(mine.parent.iterdir())) == ("mine", [mine])


def test_a_run_is_compared_with_the_one_before_it_of_its_own_kind(site: Path) -> None:
    """The live run is not compared with an emulated one."""
    assert [page.name for page in site.glob("*-compared.html")] == ["run-second-compared.html"]
    compared = (site / "run-second-compared.html").read_text()
    assert "Run B against run A" in compared
    assert "<audio" not in compared or compared.count("<audio") <= 4  # the clips are on the pages of the runs


def test_a_run_without_a_success_says_so_and_is_not_compared(tmp_path: Path) -> None:
    runs = [make_dated_run(tmp_path / name, f"2026-11-2{day}", name) for day, name in enumerate(("a", "b", "c"))]
    folder, failed = runs[1], load_run(runs[1])
    samples = tuple(
        msgspec.structs.replace(one, failure=Failure(kind="network", message="status 500")) for one in failed.samples
    )
    manifest = msgspec.structs.replace(failed.manifest, is_finished=False)
    save_run(folder, msgspec.structs.replace(failed, manifest=manifest, samples=samples))
    write_site([(run, load_run(run)) for run in runs], tmp_path / "site", max_clips=0)
    index = (tmp_path / "site" / "index.html").read_text()
    assert "nothing succeeded" in index
    assert "interrupted" not in index
    assert [page.name for page in (tmp_path / "site").glob("*-compared.html")] == ["run-c-compared.html"]
    assert "run-a.html" in list_links(tmp_path / "site" / "run-c-compared.html")


def test_pages_link_to_their_neighbours_and_ids_of_runs_name_no_other_folder(site: Path) -> None:
    assert list_links(site / "run-second.html") == [
        "index.html",
        "run-first-script-alert-1-script.html",
        "run-third.html",
    ]
    assert "<script>alert" not in (site / "index.html").read_text()


def test_a_site_excludes_the_options_of_a_single_page(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert voicegauge(["report", "run", "--site", str(tmp_path), "--format", "csv"]) == 2
    assert "--site and --format exclude each other" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.browser
def test_the_site_is_accessible_fits_and_can_be_walked_through(browser: Browser, site: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    trouble: list[str] = []
    for width, scheme in ((360, "light"), (1024, "dark")):
        with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as session:  # type: ignore[arg-type]  # a scheme
            tab = session.new_page()
            tab.on("console", lambda message: trouble.append(message.text))
            tab.on("pageerror", lambda error: trouble.append(str(error)))
            tab.goto((site / "index.html").as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            found = Axe().run(tab)
            assert found.violations_count == 0, found.generate_report()
            tab.get_by_role("link", name="2026-11-22").click()
            tab.get_by_role("link", name="Later").click()
            assert "run-third" in tab.url
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            tab.get_by_role("link", name="All runs").click()
            assert tab.url.endswith("index.html")
    assert trouble == []
