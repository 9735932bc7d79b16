"""The built documentation site in a browser: accessible, and its examples can be copied as commands."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.browser]

ROOT = Path(__file__).resolve().parents[3]


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_values: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def site_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    zensical = Path(sys.executable).with_name("zensical")
    subprocess.run([zensical, "build"], cwd=folder, check=True, capture_output=True)
    handler = functools.partial(_QuietHandler, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_copied_examples_are_commands_without_prompts(browser: Browser, site_url: str) -> None:
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as session:
        tab = session.new_page()
        tab.goto(f"{site_url}/tutorial/")
        buttons = tab.locator(".md-clipboard, [data-md-type=copy]")
        buttons.first.wait_for(state="attached")
        buttons.first.click(force=True)
        tab.wait_for_function("async () => (await navigator.clipboard.readText()) !== ''")
        copied = str(tab.evaluate("navigator.clipboard.readText()"))
    assert copied.startswith("voicegauge ")
    assert "$" not in copied


@pytest.mark.parametrize("page", ["", "tutorial/", "contract/", "guides/nightly-check/"])
def test_pages_are_accessible(page: str, browser: Browser, site_url: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme) as session:  # type: ignore[arg-type]  # a scheme
            tab = session.new_page()
            tab.goto(f"{site_url}/{page}")
            found = Axe().run(tab)
            assert found.violations_count == 0, found.generate_report()
