"""Comparisons by path: which contract a recording is read by, and which files a folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicegauge.contract import Contract, load_catalogue, load_contract
from voicegauge.drift.report import DriftReport
from voicegauge.drift.traffic.reading import RecordedTraffic, load_recordings, read_traffic
from voicegauge.drift.traffic.traffic_vs_contract import compare_traffic_with_contract
from voicegauge.drift.traffic.traffic_vs_traffic import compare_traffic
from voicegauge.errors import DataError


def load_traffic(contract: Contract, path: Path) -> RecordedTraffic:
    """The recordings of a file or a folder as traffic with `contract`.

    Raises:
        DataError: one of them is no recording, or is of another provider; or there is none.
    """
    return read_traffic(contract, str(path), load_recordings(path))


def compare_recording_with_contract(contract: Path, recording: Path) -> DriftReport:
    """What the traffic at `recording` shows that the contract at `contract` does not say, and the other way round.

    Raises:
        ContractError: the contract cannot be used.
        DataError: the recording cannot be used, or is of another provider.
    """
    return compare_traffic_with_contract(load_traffic(load_contract(contract), recording))


def compare_recording_files(old: Path, new: Path, contracts: Sequence[Path] = ()) -> DriftReport:
    """What changed from the traffic at `old` to that at `new`.

    Args:
        old: a recording, or a folder of one provider's recordings.
        new: the same, recorded later.
        contracts: folders of contracts beside the bundled ones.

    Raises:
        DataError: a recording cannot be used, or there is no contract of its provider.
    """
    recordings = load_recordings(old)
    provider = recordings[0][1].provider
    known = {contract.id: contract for contract in load_catalogue(contracts)}
    if provider not in known:
        raise DataError(
            f"{old}: is a recording of {provider}, of which no contract is known: name its folder with --contracts"
        )
    contract = known[provider]
    return compare_traffic(read_traffic(contract, str(old), recordings), load_traffic(contract, new))
