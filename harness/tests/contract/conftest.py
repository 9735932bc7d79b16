from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from voicegauge.contract import Contract, load_contract

Load = Callable[[str], Contract]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def acme() -> str:
    """The whole example of docs/contract.md."""
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- example: acme -->\n```yaml\n(.*?)```\n<!-- /example -->", text, re.DOTALL)
    assert found, "docs/contract.md has lost its example"
    return found[1]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a contract from its text."""

    def load_text(text: str) -> Contract:
        path = tmp_path / "openapi.yaml"
        path.write_text(text, encoding="utf-8")
        return load_contract(path)

    return load_text


@pytest.fixture
def line_of(acme: str) -> Callable[[str], int]:
    """The line of the example on which a text first stands."""

    def find(part: str) -> int:
        return 1 + acme[: acme.index(part)].count("\n")

    return find
