"""Every page of the documentation is linked from its first page."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"
GENERATED = DOCS / "reference"
"""Pages that the build of the site writes. A checkout does not have them before."""


def test_the_index_links_every_page() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#:]+\.md)[^)]*\)", text)}
    pages = {path.resolve() for path in DOCS.rglob("*.md") if GENERATED not in path.parents}
    assert pages - linked == {(DOCS / "index.md").resolve()}
    assert linked <= pages
