"""Finds the contracts and recordings at two given paths and chooses how they are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from voicegauge.contract.catalogue import load_catalogue
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import find_contract_files
from voicegauge.contract.loading import load_contract
from voicegauge.drift._contract_comparison import compare_contracts
from voicegauge.drift._recorded_traffic import RecordedTraffic, interpret_recordings, load_recordings
from voicegauge.drift._traffic_vs_contract import compare_traffic_with_contract
from voicegauge.drift._traffic_vs_traffic import compare_traffic
from voicegauge.drift.contract_patch import ContractPatch, build_contract_patch
from voicegauge.drift.report import DriftReport
from voicegauge.errors import DataError, UsageError

# Compares recordings given by their path: finds the contract of a recording and the recordings in a folder.


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


# Chooses how two inputs are compared, depending on whether each is a contract or a recording.


InputKind = Literal["contract", "recording"]

_COMPARISON_BY_INPUT_KINDS: dict[tuple[InputKind, InputKind], Callable[[Path, Path, Sequence[Path]], DriftReport]] = {
    ("contract", "contract"): lambda old, new, _: compare_contracts(old, new),
    ("contract", "recording"): lambda old, new, _: compare_recording_with_contract(old, new),
    ("recording", "recording"): compare_recording_files,
}
"""The function that compares two inputs, by the kinds of the older and the newer input. Its arguments are the paths of
both inputs and the folders of contracts."""
_MAX_CONTRACTS_LISTED = 5
"""Largest number of contracts listed in an error message, so that the message stays on one line."""


def compare_inputs(
    old_path_or_provider_id: str,
    new_path_or_provider_id: str,
    contract_folders: Sequence[Path] = (),
    client_use_paths: Sequence[str] = (),
) -> DriftReport:
    """Compare two contracts, two recordings, or a contract with recorded traffic.

    Args:
        old_path_or_provider_id: path of the older contract or recording, or id of a known provider.
        new_path_or_provider_id: path of the newer contract or recording, or id of a known provider. If traffic is
            compared with a contract, the traffic is the newer input.
        contract_folders: folders of contracts in addition to the bundled ones, over which they take precedence.
        client_use_paths: for two contracts: recordings of a client, files that declare what the client uses, or
            "voicegauge" for the client of voicegauge. The levels of the changes are then those that they have for this
            client.

    Raises:
        UsageError: an input is neither a contract nor a recording, the two cannot be compared with each other, or
            `client_use_paths` is given although the inputs are not two contracts.
        ContractError: a contract is not valid.
        DataError: a recording cannot be read.
    """
    (old_kind, old_path), (new_kind, new_path) = (
        _find_input(old_path_or_provider_id, contract_folders),
        _find_input(new_path_or_provider_id, contract_folders),
    )
    if (old_kind, new_kind) not in _COMPARISON_BY_INPUT_KINDS:
        supported = ", ".join(f"a {one} with a {other}" for one, other in _COMPARISON_BY_INPUT_KINDS)
        raise UsageError(f"cannot compare a {old_kind} with a {new_kind}; supported: {supported}")
    if client_use_paths:
        if (old_kind, new_kind) != ("contract", "contract"):
            raise UsageError(f"--uses needs two contracts to compare, not a {old_kind} and a {new_kind}")
        return compare_contracts(old_path, new_path, client_use_paths)
    return _COMPARISON_BY_INPUT_KINDS[old_kind, new_kind](old_path, new_path, contract_folders)


def propose_contract_patch(
    contract_path_or_provider_id: str, recording_path: str, contract_folders: Sequence[Path] = ()
) -> tuple[DriftReport, ContractPatch]:
    """Compare traffic with its contract, and propose additions to the contract that document what traffic shows.

    Args:
        contract_path_or_provider_id: path of the contract, or id of a known provider.
        recording_path: path of a recording or of a folder of recordings.
        contract_folders: folders of contracts in addition to the bundled ones, over which they take precedence.

    Raises:
        UsageError: `contract_path_or_provider_id` is not a contract, or `recording_path` is not a recording.
        ContractError: the contract is not valid.
        DataError: the recording cannot be read, or was made with another provider.
    """
    (old_kind, old_path), (new_kind, new_path) = (
        _find_input(contract_path_or_provider_id, contract_folders),
        _find_input(recording_path, contract_folders),
    )
    if (old_kind, new_kind) != ("contract", "recording"):
        raise UsageError(
            f"--propose needs a contract and a recording, not a {old_kind} and a {new_kind}: "
            "voicegauge drift CONTRACT RECORDING --propose FILE"
        )
    traffic = load_traffic(load_contract(old_path), new_path)
    report = compare_traffic_with_contract(traffic)
    return report, build_contract_patch(traffic, report)


def _find_input(path_or_provider_id: str, contract_folders: Sequence[Path]) -> tuple[InputKind, Path]:
    """Return the kind and the path of an input. A path takes precedence over a provider with the same id."""
    path = Path(path_or_provider_id)
    if path.is_dir():
        return _find_input_in_folder(path)
    if path.exists():
        return ("recording" if path.suffix.lower() == ".har" else "contract"), path
    catalogue = load_catalogue(contract_folders)
    if path_or_provider_id in catalogue.provider_ids:
        known = catalogue.find_provider(path_or_provider_id).document.path
        return "contract", known.relative_to(Path.cwd()) if known.is_relative_to(Path.cwd()) else known
    raise UsageError(
        f"{path_or_provider_id}: no such file or folder, and no provider with this id: voicegauge providers lists them"
    )


def _find_input_in_folder(folder: Path) -> tuple[InputKind, Path]:
    if any(folder.rglob("*.har")):
        return "recording", folder
    documents = find_contract_files(folder)
    if len(documents) > 1:
        listed = ", ".join(str(document.relative_to(folder)) for document in documents[:_MAX_CONTRACTS_LISTED])
        raise UsageError(f"{folder} contains several contracts; name one of them: {listed}")
    return "contract", documents[0]
