"""Pages in a real browser: Chromium with nothing that could reach a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = "/usr/bin/chromium"
"""Where Debian puts it."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = Path(os.environ.get("VOICEGAUGE_CHROMIUM", CHROMIUM))
    if not path.exists():
        # No package index has a browser. A page that no browser rendered has not passed.
        pytest.fail(f"{path} is missing: apt-get install chromium, or set VOICEGAUGE_CHROMIUM", pytrace=False)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        opened.close()
