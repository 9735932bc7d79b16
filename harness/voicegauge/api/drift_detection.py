"""Finding what changed between two descriptions or recordings of an API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicegauge import drift
from voicegauge.api.options import PathLike
from voicegauge.drift import ContractPatch, DriftReport


def find_drift(old: PathLike, new: PathLike, *, contracts: Sequence[PathLike] = ()) -> DriftReport:
    """Find what changed from `old` to `new`, and whether it breaks clients.

    >>> report = voicegauge.find_drift("pixelapi", "pixelapi")
    >>> report.changes
    ()

    Args:
        old: an OpenAPI document, a HAR file, a folder of them, or the id of a provider.
        new: likewise; traffic counts as newer than the contract it is compared with.
        contracts: folders of your own contracts.

    Returns:
        The changes: breaking, possibly breaking and compatible ones.

    Raises:
        UsageError: one of the two cannot be compared, or not with the other.
        ContractError: a contract cannot be used.
        DataError: a recording cannot be used.
    """
    return drift.compare(str(old), str(new), [Path(folder) for folder in contracts])


def propose_contract_patch(
    contract: PathLike, recordings: PathLike, *, contracts: Sequence[PathLike] = ()
) -> tuple[DriftReport, ContractPatch]:
    """Find what recorded traffic shows that the contract does not describe, and propose to add it.

    Args:
        contract: an OpenAPI document, or the id of a provider.
        recordings: a HAR file, or a folder of them.
        contracts: folders of your own contracts.

    Returns:
        The changes, and a proposal whose `patch()` is a unified diff of the contract.

    Raises:
        UsageError: the arguments are not a contract and a recording.
        ContractError: the contract cannot be used.
        DataError: the recording cannot be used, or is of another provider.
    """
    return drift.propose_contract_patch(str(contract), str(recordings), [Path(folder) for folder in contracts])
