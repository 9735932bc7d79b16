"""Finds what changed between two descriptions or recordings of an API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicegauge import drift
from voicegauge.api.options import PathLike
from voicegauge.drift import ContractPatch, DriftReport


def find_drift(
    old: PathLike, new: PathLike, *, contracts: Sequence[PathLike] = (), uses: Sequence[PathLike] = ()
) -> DriftReport:
    """Find what changed from `old` to `new`, and whether it breaks clients.

    >>> report = voicegauge.find_drift("pixelapi", "pixelapi")
    >>> report.changes
    ()

    Args:
        old: an OpenAPI document, a HAR file, a folder of HAR files, or the id of a provider.
        new: the same kinds of values as for `old`. If traffic is compared with a contract, the traffic counts as
            newer.
        contracts: folders of your own contracts.
        uses: for two documents: recordings of your client (what it sends), and YAML files that declare what it sends
            and reads; "voicegauge" for what voicegauge itself reads. A change of something that the client does not use
            is then compatible, and a removed value that it reads is breaking.

    Returns:
        The breaking, possibly breaking and compatible changes.

    Raises:
        UsageError: `old` or `new` is not something that can be compared, or the two cannot be compared with each other.
        ContractError: a contract cannot be used.
        DataError: a recording cannot be used.
    """
    folders, sources = [Path(folder) for folder in contracts], [str(source) for source in uses]
    return drift.compare_inputs(str(old), str(new), folders, sources)


def propose_contract_patch(
    contract: PathLike, recordings: PathLike, *, contracts: Sequence[PathLike] = ()
) -> tuple[DriftReport, ContractPatch]:
    """Find behavior in recorded traffic that the contract does not describe, and propose additions to the contract.

    Args:
        contract: an OpenAPI document, or the id of a provider.
        recordings: a HAR file, or a folder of HAR files.
        contracts: folders of your own contracts.

    Returns:
        The changes, and a proposal whose `patch()` is a unified diff of the contract.

    Raises:
        UsageError: `contract` is not a contract, or `recordings` is not a recording.
        ContractError: the contract cannot be used.
        DataError: the recording cannot be used, or was recorded from another provider.
    """
    return drift.propose_contract_patch(str(contract), str(recordings), [Path(folder) for folder in contracts])
