"""Comparisons by path: which contract a recording is read by, and which files a folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicegauge.contract import Contract, load_catalogue, load_contract
from voicegauge.drift.report import DriftReport
from voicegauge.drift.traffic.reading import Traffic, named_recordings, read_traffic
from voicegauge.drift.traffic.traffic_vs_contract import compare_with_contract
from voicegauge.drift.traffic.traffic_vs_traffic import compare_recordings
from voicegauge.errors import DataError


def traffic_of(contract: Contract, path: Path) -> Traffic:
    """The recordings of a file or a folder as traffic with `contract`.

    Raises:
        DataError: one of them is no recording, or is of another provider; or there is none.
    """
    return read_traffic(contract, str(path), named_recordings(path))


def recording_against_contract(contract: Path, recording: Path) -> DriftReport:
    """What the traffic at `recording` shows that the contract at `contract` does not say, and the other way round.

    Raises:
        ContractError: the contract cannot be used.
        DataError: the recording cannot be used, or is of another provider.
    """
    return compare_with_contract(traffic_of(load_contract(contract), recording))


def recording_against_recording(old: Path, new: Path, contracts: Sequence[Path] = ()) -> DriftReport:
    """What changed from the traffic at `old` to that at `new`.

    Args:
        old: a recording, or a folder of one provider's recordings.
        new: the same, recorded later.
        contracts: folders of contracts beside the bundled ones.

    Raises:
        DataError: a recording cannot be used, or there is no contract of its provider.
    """
    recordings = named_recordings(old)
    provider = recordings[0][1].provider
    known = {contract.id: contract for contract in load_catalogue(contracts)}
    if provider not in known:
        raise DataError(
            f"{old}: is a recording of {provider}, of which no contract is known: name its folder with --contracts"
        )
    contract = known[provider]
    return compare_recordings(read_traffic(contract, str(old), recordings), traffic_of(contract, new))
