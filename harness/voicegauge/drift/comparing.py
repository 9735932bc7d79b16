"""Which comparison two paths ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from voicegauge.contract.loading import find_contract_files
from voicegauge.data import data_dir
from voicegauge.drift.contracts import compare_contracts
from voicegauge.drift.report import DriftReport
from voicegauge.errors import UsageError

Thing = Literal["contract", "recording"]

COMPARISONS: dict[tuple[Thing, Thing], Callable[[Path, Path], DriftReport]] = {
    ("contract", "contract"): compare_contracts,
}
"""By what the older one and the newer one are."""


def compare(old: str, new: str) -> DriftReport:
    """What changed from `old` to `new`: paths of contracts or recordings, or ids of bundled contracts.

    Raises:
        UsageError: one of them is nothing that can be compared, or not with the other.
        ContractError: a contract cannot be used.
        DataError: a recording cannot be used.
    """
    (first, before), (second, after) = _recognise(old), _recognise(new)
    if (first, second) not in COMPARISONS:
        known = ", ".join(f"a {one} with a {other}" for one, other in COMPARISONS)
        raise UsageError(f"cannot compare a {first} with a {second}: known are {known}")
    return COMPARISONS[first, second](before, after)


def _recognise(name: str) -> tuple[Thing, Path]:
    path = Path(name)
    if path.is_dir():
        return _recognise_folder(path)
    if path.exists():
        return ("recording" if path.suffix.lower() == ".har" else "contract"), path
    bundled = data_dir("contracts") / name / "openapi.yaml"
    if path.name == name and bundled.is_file():
        inside = bundled.is_relative_to(Path.cwd())
        return "contract", bundled.relative_to(Path.cwd()) if inside else bundled
    raise UsageError(f"{name}: no such file or folder, and no bundled contract of that name")


def _recognise_folder(path: Path) -> tuple[Thing, Path]:
    if any(path.rglob("*.har")):
        return "recording", path
    documents = find_contract_files(path)
    if len(documents) > 1:
        listed = ", ".join(str(document.relative_to(path)) for document in documents[:5])
        raise UsageError(f"{path} holds several contracts: name one of {listed}")
    return "contract", documents[0]
