"""Write docs/images/report.png, the picture of README.md: the first screen of reports/sample/report.html.

`make sample` runs it after it has written the report. It needs Chromium, like the report's tests.
"""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "sample" / "report.html"
PICTURE = ROOT / "docs" / "images" / "report.png"
SIZE = {"width": 1200, "height": 760}


def main() -> None:
    """Open the report in light mode, and save what a reader sees first."""
    PICTURE.parent.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("VOICEGAUGE_CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(REPORT.as_uri())
        page.screenshot(path=PICTURE)
        browser.close()
    print(f"wrote {PICTURE.relative_to(ROOT)} ({PICTURE.stat().st_size // 1024} KiB)")


if __name__ == "__main__":
    main()
