"""Compares recordings given by their path: finds the contract of a recording and the recordings in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicegauge.contract import Contract, load_catalogue, load_contract
from voicegauge.drift.report import DriftReport
from voicegauge.drift.traffic.preparation import RecordedTraffic, interpret_recordings, load_recordings
from voicegauge.drift.traffic.traffic_vs_contract import compare_traffic_with_contract
from voicegauge.drift.traffic.traffic_vs_traffic import compare_traffic
from voicegauge.errors import DataError


def load_traffic(contract: Contract, path: Path) -> RecordedTraffic:
    """Load the recordings of a file or a folder.

    Args:
        contract: the contract of the recorded provider.
        path: the path of a recording or of a folder of recordings.

    Raises:
        DataError: there is no recording, a recording cannot be read, or a recording was made with another provider.
    """
    return interpret_recordings(contract, str(path), load_recordings(path))


def compare_recording_with_contract(contract_path: Path, recording_path: Path) -> DriftReport:
    """Compare recorded traffic with its contract.

    Args:
        contract_path: the path of the contract.
        recording_path: the path of a recording or of a folder of recordings.

    Raises:
        ContractError: the contract is not valid.
        DataError: the recording cannot be read, or was made with another provider.
    """
    return compare_traffic_with_contract(load_traffic(load_contract(contract_path), recording_path))


def compare_recording_files(old_path: Path, new_path: Path, contract_folders: Sequence[Path] = ()) -> DriftReport:
    """Compare two recordings of one provider.

    Args:
        old_path: the path of the older recording or of a folder of recordings.
        new_path: the path of the newer recording or of a folder of recordings.
        contract_folders: folders of contracts in addition to the bundled ones.

    Raises:
        DataError: a recording cannot be read, or its provider has no contract.
    """
    recordings = load_recordings(old_path)
    provider = recordings[0][1].provider
    catalogue = load_catalogue(contract_folders)
    if provider not in catalogue.provider_ids:
        raise DataError(
            f"{old_path}: is a recording of {provider}, which has no known contract: name its folder with --contracts"
        )
    contract = catalogue.find_provider(provider)
    return compare_traffic(interpret_recordings(contract, str(old_path), recordings), load_traffic(contract, new_path))
