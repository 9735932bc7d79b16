from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.errors import ContractError
from voicegauge.files import find_bundled_folder

from ..builders.contracts import load_trusted
from ..builders.documented_examples import read_example

Load = Callable[[str], Contract]
RejectedEdit = Callable[[str, str], str]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def acme() -> str:
    """The complete example of docs/contract.md."""
    return read_example("contract.md", "acme")


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
    """Return the line of the first occurrence of a text in the example."""

    def find(part: str) -> int:
        return 1 + acme[: acme.index(part)].count("\n")

    return find


@pytest.fixture
def rejected_edit(tmp_path: Path) -> RejectedEdit:
    """Return why the bundled contract of TTS.ai is rejected after `part` of its text is replaced by `to`."""
    text = (find_bundled_folder("contracts") / "ttsai" / "openapi.yaml").read_text(encoding="utf-8")

    def edit(part: str, to: str) -> str:
        assert part in text
        path = tmp_path / "openapi.yaml"
        path.write_text(text.replace(part, to, 1), encoding="utf-8")
        with pytest.raises(ContractError) as raised:
            load_trusted(path)
        assert raised.value.line, "the error has no line"
        return raised.value.reason

    return edit
