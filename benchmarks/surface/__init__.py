"""How much of each provider's documents a contract has, and how much of the contract its official clients call."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import voicegauge
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.drift.document_comparison import find_official_source
from voicegauge.drift.drift_report import OfficialComparison
from voicegauge.errors import UsageError, VoicegaugeError

CALLED_BY = " by "
"""What is between provider and client in the name of a property that a test of a client records."""


class ProviderSurface(NamedTuple):
    """One row of the table."""

    contract: Contract
    comparison: OfficialComparison | None
    """The comparison with the official document; `None` without a document."""
    called_operations: Mapping[str, frozenset[str]]
    """The operations that each client called, by the client: "Python", "Node", "plain HTTP"."""
    missing_reason: str = ""
    """Why there is no comparison."""

    @property
    def unexplained_count(self) -> int:
        """Number of differences and operations for which the contract states no reason."""
        if self.comparison is None:
            return 0
        return len(self.comparison.differences) + len(self.comparison.undescribed_operations)

    @property
    def documented_operation_count(self) -> int | None:
        """Number of operations of the document that are in the contract, left out or without a reason."""
        one = self.comparison
        if one is None:
            return None
        return one.described_operation_count + len(one.left_out_operations) + len(one.undescribed_operations)


def read_called_operations(junit_files: Iterable[Path]) -> dict[str, dict[str, frozenset[str]]]:
    """Return the operations that tests of clients called, by provider and client.

    Args:
        junit_files: results of pytest in JUnit XML. What failed tests called does not count.

    Raises:
        UsageError: a file is not XML.
    """
    found: dict[str, dict[str, frozenset[str]]] = {}
    for file in junit_files:
        try:
            cases = ET.parse(file).iter("testcase")  # noqa: S314 - written by pytest a moment ago
            for name, operations in _iterate_properties(cases):
                provider, _, client = name.partition(CALLED_BY)
                of_provider = found.setdefault(provider, {})
                of_provider[client] = of_provider.get(client, frozenset()) | frozenset(operations.split())
        except (OSError, ET.ParseError) as error:
            raise UsageError(f"{file} is not a result of pytest in JUnit XML: {error}") from error
    return found


def _iterate_properties(cases: Iterable[ET.Element]) -> Iterator[tuple[str, str]]:
    for case in cases:
        if case.find("failure") is None and case.find("error") is None:
            for one in case.iter("property"):
                if CALLED_BY in one.get("name", ""):
                    yield one.get("name", ""), one.get("value", "")


def list_surfaces(documents: Path | None, junit_files: Iterable[Path]) -> list[ProviderSurface]:
    """Return a row for each bundled contract.

    Args:
        documents: folder with official documents, each named by its provider's id; `None` for no comparison.
        junit_files: results of the tests of clients, in JUnit XML.

    Raises:
        UsageError: a result cannot be read.
    """
    called = read_called_operations(junit_files)
    return [_describe(contract, documents, called.get(contract.id, {})) for contract in load_catalogue()]


def _describe(contract: Contract, documents: Path | None, called: Mapping[str, frozenset[str]]) -> ProviderSurface:
    if documents is None:
        return ProviderSurface(contract, None, called, "no folder of documents")
    if not any((documents / f"{contract.id}{suffix}").is_file() for suffix in (".yaml", ".yml", ".json")):
        named = find_official_source(contract)
        where = f"not in the folder; it is at {named.url}" if named is not None else "its documents are pages of text"
        return ProviderSurface(contract, None, called, where)
    try:
        report = voicegauge.find_official_drift([contract.id], official_document=str(documents))
    except VoicegaugeError as error:
        return ProviderSurface(contract, None, called, str(error))
    return ProviderSurface(contract, report.comparisons[0], called)
