"""Finds what changed between two descriptions or recordings of an API."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import voicegauge.report.result_summaries  # noqa: F401 - notebooks show results as their summaries
from voicegauge.api.local_requests import DriftRequest, OfficialDriftRequest
from voicegauge.api.target_selection import download_document, load_contracts
from voicegauge.contract.contract import Contract
from voicegauge.drift import comparison
from voicegauge.drift.comparison import compare_inputs
from voicegauge.drift.contract_patch import ContractPatch
from voicegauge.drift.official_comparison import (
    OfficialComparison,
    OfficialDriftReport,
    OfficialSource,
    compare_with_official_document,
    find_official_source,
)
from voicegauge.drift.report import ComparedInput, DriftReport
from voicegauge.errors import ContractError, UsageError, VoicegaugeError
from voicegauge.options import PathLike, function_of


def run_find_drift(request: DriftRequest) -> DriftReport:
    """Find what changed from `old` to `new`, and whether it breaks clients.

    >>> report = voicegauge.find_drift("pixelapi", "pixelapi")
    >>> report.changes
    ()

    Returns:
        The breaking, possibly breaking and compatible changes.

    Raises:
        UsageError: `old` or `new` is not something that can be compared, or the two cannot be compared with each other.
        ContractError: a contract cannot be used.
        DataError: a recording cannot be used.
    """
    folders, sources = (
        [Path(folder) for folder in request.contracts],
        [str(source) for source in request.client_use_paths],
    )
    return compare_inputs(str(request.old), str(request.new), folders, sources)


find_drift = function_of(DriftRequest, run_find_drift, name="find_drift")


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
    return comparison.propose_contract_patch(str(contract), str(recordings), [Path(folder) for folder in contracts])


def run_find_official_drift(request: OfficialDriftRequest) -> OfficialDriftReport:
    """Compare contracts with the official documents that they were written from.

    Returns:
        One comparison for each contract. If the document that a contract names cannot be used, the
        `unreadable_reason` of the comparison says why.

    Raises:
        UsageError: a provider is unknown or its contract names no official document, or `official_document` is given
            without exactly one provider, is not a file, or is a URL that cannot be used.
        ContractError: a contract or `official_document` cannot be used.
        TransportError: `official_document` cannot be downloaded.
    """
    official_document, providers = request.official_document, request.providers
    if official_document is not None and len(providers) != 1:
        raise UsageError("an official document can be given for one provider only: name that provider")
    if official_document is not None and "://" not in str(official_document) and not Path(official_document).is_file():
        raise UsageError(f"{official_document} is not a file: name the downloaded document, or its https URL")
    catalogue = load_contracts(request.contracts)
    selected = [catalogue.find_provider(name) for name in dict.fromkeys(providers)] or list(catalogue)
    comparisons = []
    for contract in selected:
        document = find_official_source(contract, None if official_document is None else str(official_document))
        if document is not None:
            compare = (
                _compare_with_document_named_in_contract
                if official_document is None
                else _compare_with_official_document
            )
            comparisons.append(compare(contract, document))
            request.on_comparison(comparisons[-1])
        elif providers:
            raise UsageError(
                f"{contract.id}: no source of the contract has an openapi_url: name the document with --from"
            )
    return OfficialDriftReport(comparisons=tuple(comparisons))


find_official_drift = function_of(OfficialDriftRequest, run_find_official_drift, name="find_official_drift")


def _compare_with_official_document(contract: Contract, document: OfficialSource) -> OfficialComparison:
    if "://" not in document.url:
        return compare_with_official_document(contract, document, Path(document.url))
    with tempfile.TemporaryDirectory(prefix="voicegauge-") as folder:
        path = download_document(document.url, folder)
        try:
            return compare_with_official_document(contract, document, path)
        except ContractError as error:
            if error.path != path:
                raise
            raise ContractError(document.url, error.line, error.reason) from error


def _compare_with_document_named_in_contract(contract: Contract, document: OfficialSource) -> OfficialComparison:
    """Compare a contract with the document that it names; if that cannot be used, the result says why."""
    try:
        return _compare_with_official_document(contract, document)
    except VoicegaugeError as error:
        info = contract.document.data.get("info", {})
        return OfficialComparison(
            provider=contract.id,
            source_name=document.name,
            url=document.url,
            contract=ComparedInput(
                file=str(contract.document.path),
                title=str(info.get("title", "")),
                version=str(info.get("version", "")),
                provider=contract.id,
            ),
            unreadable_reason=str(error),
        )
