"""Which comparison two paths ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from voicegauge.contract import find_contract_files, load_catalogue, load_contract
from voicegauge.drift.contract_patch import Proposal, propose
from voicegauge.drift.contracts import compare_contracts
from voicegauge.drift.report import DriftReport
from voicegauge.drift.traffic import (
    compare_with_contract,
    recording_against_contract,
    recording_against_recording,
    traffic_of,
)
from voicegauge.errors import UsageError

Thing = Literal["contract", "recording"]

COMPARISONS: dict[tuple[Thing, Thing], Callable[[Path, Path, Sequence[Path]], DriftReport]] = {
    ("contract", "contract"): lambda old, new, _: compare_contracts(old, new),
    ("contract", "recording"): lambda old, new, _: recording_against_contract(old, new),
    ("recording", "recording"): recording_against_recording,
}
"""By what the older one and the newer one are; the last argument is folders of contracts."""


def compare(old: str, new: str, contracts: Sequence[Path] = ()) -> DriftReport:
    """What changed from `old` to `new`: paths of contracts or recordings, or ids of known providers.

    Args:
        old: the older one.
        new: the newer one; traffic counts as newer than the contract it is compared with.
        contracts: folders of contracts beside the bundled ones, over which they win.

    Raises:
        UsageError: one of them is nothing that can be compared, or not with the other.
        ContractError: a contract cannot be used.
        DataError: a recording cannot be used.
    """
    (first, before), (second, after) = _recognise(old, contracts), _recognise(new, contracts)
    if (first, second) not in COMPARISONS:
        known = ", ".join(f"a {one} with a {other}" for one, other in COMPARISONS)
        raise UsageError(f"cannot compare a {first} with a {second}: known are {known}")
    return COMPARISONS[first, second](before, after, contracts)


def propose_changes(old: str, new: str, contracts: Sequence[Path] = ()) -> tuple[DriftReport, Proposal]:
    """What the traffic at `new` shows that the contract `old` does not say, and the contract with that added.

    Args:
        old: the contract.
        new: the recordings.
        contracts: as `compare` takes them.

    Raises:
        UsageError: `old` is no contract or `new` is no recording.
        ContractError: the contract cannot be used.
        DataError: the recording cannot be used, or is of another provider.
    """
    (first, before), (second, after) = _recognise(old, contracts), _recognise(new, contracts)
    if (first, second) != ("contract", "recording"):
        raise UsageError("a change is proposed to a contract for a recording: voicegauge drift CONTRACT RECORDING")
    traffic = traffic_of(load_contract(before), after)
    report = compare_with_contract(traffic)
    return report, propose(traffic, report)


def _recognise(name: str, contracts: Sequence[Path]) -> tuple[Thing, Path]:
    path = Path(name)
    if path.is_dir():
        return _recognise_folder(path)
    if path.exists():
        return ("recording" if path.suffix.lower() == ".har" else "contract"), path
    documents = {contract.id: contract.document.path for contract in load_catalogue(contracts)}
    if name in documents:
        known = documents[name]
        return "contract", known.relative_to(Path.cwd()) if known.is_relative_to(Path.cwd()) else known
    raise UsageError(f"{name}: no such file or folder, and no contract of a provider of that name")


def _recognise_folder(path: Path) -> tuple[Thing, Path]:
    if any(path.rglob("*.har")):
        return "recording", path
    documents = find_contract_files(path)
    if len(documents) > 1:
        listed = ", ".join(str(document.relative_to(path)) for document in documents[:5])
        raise UsageError(f"{path} holds several contracts: name one of {listed}")
    return "contract", documents[0]
