"""Compares contracts with the current official documents from which they were written.

A contract describes a part of the official document, and has facts from other sources. Only the operations of the
contract are compared, and facts that the contract takes from elsewhere do not count as differences.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import convert_to_openapi
from voicegauge.contract.document_parts import OPENAPI_METHODS
from voicegauge.contract.extension.provider import ExplainedDifference
from voicegauge.contract.proposed_parts import list_likely_speech_operations
from voicegauge.drift._operation_comparison import OperationKey, build_operation_key
from voicegauge.drift.document_comparison import compare_operations_with_official_document
from voicegauge.drift.drift_report import ComparedInput, DriftChange, DriftLevel, FilePosition
from voicegauge.formats.located_yaml import Document, read_document, unescape_pointer_token
from voicegauge.model.base import Record
from voicegauge.outputs.finding_exports import escape_markdown

# Finds what was added, removed or changed in an official document since the contract was written from it.


DifferenceKind = Literal["addition", "removal", "changed value"]

_IGNORED_RULE_ID_PREFIXES = ("api-tag-", "api-operation-id-", "api-security-", "api-global-security-", "security-")
"""Starts of the ids of rules whose changes are ignored.

They are about tags and operation ids, which no client sends, and about API keys: official documents rarely state how
a key is sent, and contracts always do.
"""


class OfficialSource(NamedTuple):
    """The official document from which a contract was written: its name and its URL or path."""

    name: str
    """Name of the document in `x-provider.sources`."""
    url: str
    """URL or path from which the document is read."""


class KnownDifference(Record, frozen=True, kw_only=True):
    """A difference for which the contract states the reason."""

    change: DriftChange
    reason: str


class LeftOutOperation(Record, frozen=True, kw_only=True):
    """An operation of the official document that the contract leaves out for a reason that it states."""

    operation: str
    """Method and path, as "POST /v1/dubbing"."""
    reason: str


class OfficialComparison(Record, frozen=True, kw_only=True):
    """The differences between one contract and the official document of its provider."""

    provider: str
    source_name: str
    """Name of the official document in `x-provider.sources`."""
    url: str
    """URL or path that the document was read from."""
    contract: ComparedInput
    compared_on: str | None = None
    """The day on which the contract was last compared with the document, as the contract states it: YYYY-MM-DD."""
    official_document: ComparedInput | None = None
    """The official document; `None` if it could not be read."""
    unreadable_reason: str | None = None
    """Why the document could not be read; `None` if it was read."""
    undescribed_operations: tuple[str, ...] = ()
    """Operations of the official document that may produce speech, and that the contract neither describes nor leaves
    out for a stated reason."""
    left_out_operations: tuple[LeftOutOperation, ...] = ()
    """Operations of the official document that the contract leaves out for a stated reason."""
    described_operation_count: int = 0
    """Number of operations that the official document and the contract describe."""
    additions: tuple[DriftChange, ...] = ()
    """Facts about the operations of the contract that the official document states and the contract does not."""
    removals: tuple[DriftChange, ...] = ()
    """Facts that the contract takes from the official document, and that the document no longer states."""
    changed_values: tuple[DriftChange, ...] = ()
    """Facts that the contract takes from the official document, and that the document now states differently."""
    differences_from_other_sources: tuple[DriftChange, ...] = ()
    """Facts that the contract infers or takes from other sources, and that the official document lacks or
    contradicts."""
    known_differences: tuple[KnownDifference, ...] = ()
    """Differences that the contract explains. They are in no other list."""
    unused_explanations: tuple[str, ...] = ()
    """Reasons that the contract states for differences or operations that do not exist."""

    @property
    def differences(self) -> tuple[DriftChange, ...]:
        """All removals, changed values and additions, without `differences_from_other_sources`."""
        return (*self.removals, *self.changed_values, *self.additions)


class OfficialDriftReport(Record, frozen=True, kw_only=True):
    """The result of `voicegauge drift --official`, as `--json` writes it."""

    schema: str = "voicegauge/official-drift/2"
    comparisons: tuple[OfficialComparison, ...]

    def has_difference_at_least(self, level: DriftLevel) -> bool:
        """Whether any difference is as bad as `level` or worse for clients."""
        return any(change.level.is_at_least_as_bad_as(level) for one in self.comparisons for change in one.differences)

    @property
    def has_unread_document(self) -> bool:
        """Whether an official document could not be read."""
        return any(one.unreadable_reason is not None for one in self.comparisons)


def find_official_source(contract: Contract, document_path_or_url: str | None = None) -> OfficialSource | None:
    """Find out which source of a contract is an OpenAPI document, and where this document is.

    Return `None` if the contract has no sources, or if none of them has the URL of an OpenAPI document and
    `document_path_or_url` is `None`.

    Args:
        contract: the contract, which lists its sources.
        document_path_or_url: file or URL of the document; by default the URL that the contract states. If the contract
            states no URL of an OpenAPI document, this file or URL is returned with the name of the source that most
            operations of the contract name.
    """
    sources = contract.provider.sources
    for name, source in sources.items():
        if source.openapi_url is not None:
            return OfficialSource(name, document_path_or_url or source.openapi_url)
    if document_path_or_url is None or not sources:
        return None
    path_items = contract.document.data.get("paths", {}).values()
    operations = [path_item[method] for path_item in path_items for method in path_item if method in OPENAPI_METHODS]
    counts = Counter(operation.get("x-source", {}).get("document_name") for operation in operations)
    return OfficialSource(max(sources, key=lambda name: counts[name]), document_path_or_url)


def compare_with_official_document(
    contract: Contract, official_source: OfficialSource, saved_document_path: Path
) -> OfficialComparison:
    """Compare the operations of `contract` with those of its official document.

    Args:
        contract: the contract that was written from the document.
        official_source: name and URL of the official document.
        saved_document_path: the file in which the document was saved; reports show the URL instead of it.

    Raises:
        ContractError: the document cannot be read, or is neither OpenAPI nor Swagger nor a discovery document.
    """
    url = official_source.url
    described = _list_operation_keys(contract.document.data)
    # Without the files that it refers to, which could be files of this machine.
    document = _move_server_path_into_paths(convert_to_openapi(read_document(saved_document_path)), described)
    report = compare_operations_with_official_document(contract.document.path, document, described)
    explanations = contract.provider.sources[official_source.name].explained_differences
    known: list[KnownDifference] = []
    changes: dict[DifferenceKind | Literal["other"], list[DriftChange]] = {
        "addition": [],
        "removal": [],
        "changed value": [],
        "other": [],
    }
    for change in report.changes:
        if change.rule.startswith(_IGNORED_RULE_ID_PREFIXES):
            continue
        kind = _classify_difference(change)
        taken = kind == "addition" or _is_taken_from_source(contract, change.old_position, official_source.name)
        moved = _replace_file_by_url(change, url)
        reason = next((one.reason for one in explanations if _explains_change(one, change)), None)
        if taken and reason is not None:
            known.append(KnownDifference(change=moved, reason=reason))
        else:
            changes[kind if taken else "other"].append(moved)
    used = {one.reason for one in known}
    left_out = tuple(_iterate_left_out_operations(contract, official_source.name, document.data, described))
    used |= {one.reason for one in left_out}
    left_out_names = {one.operation for one in left_out}
    undescribed = [
        f"{method.upper()} {operation_path}"
        for operation_path, method in list_likely_speech_operations(document)
        if method != "get"
        and build_operation_key(operation_path, method) not in described
        and f"{method.upper()} {operation_path}" not in left_out_names
    ]
    stated_reasons = [one.reason for one in explanations]
    stated_reasons += [one.reason for one in contract.provider.sources[official_source.name].left_out_operations]
    return OfficialComparison(
        provider=contract.id,
        source_name=official_source.name,
        url=url,
        compared_on=contract.provider.sources[official_source.name].compared_on,
        contract=report.old_input,
        official_document=msgspec.structs.replace(report.new_input, file=url),
        undescribed_operations=tuple(undescribed),
        additions=tuple(changes["addition"]),
        removals=tuple(changes["removal"]),
        changed_values=tuple(changes["changed value"]),
        differences_from_other_sources=tuple(changes["other"]),
        known_differences=tuple(known),
        unused_explanations=tuple(reason for reason in stated_reasons if reason not in used),
        left_out_operations=left_out,
        described_operation_count=len(described & _list_operation_keys(document.data)),
    )


def _iterate_left_out_operations(
    contract: Contract, source_name: str, official_data: Any, described_operation_keys: frozenset[OperationKey]
) -> Iterator[LeftOutOperation]:
    """Yield the operations of the official document that the contract leaves out, each with the first reason for it."""
    stated = contract.provider.sources[source_name].left_out_operations
    for path, path_item in official_data.get("paths", {}).items() if stated else ():
        for method in path_item:
            if method not in OPENAPI_METHODS or build_operation_key(path, method) in described_operation_keys:
                continue
            name = f"{method.upper()} {path}"
            for left_out in stated:
                if any(_matches_pattern(name, pattern) for pattern in left_out.operations):
                    yield LeftOutOperation(operation=name, reason=left_out.reason)
                    break


def _explains_change(explanation: ExplainedDifference, change: DriftChange) -> bool:
    """Whether an explanation of the contract is about `change`."""
    return any(
        _matches_pattern(change.qualified_location, pattern) for pattern in explanation.locations
    ) and _matches_pattern(change.message, explanation.change)


def _matches_pattern(text: str, pattern: str) -> bool:
    """Whether `text` is `pattern`, in which "*" stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def _classify_difference(change: DriftChange) -> DifferenceKind:
    words = change.rule.split("-")
    if "added" in words or words[0] == "new":
        return "addition"
    return "removal" if {"removed", "unset"} & set(words) else "changed value"


def _is_taken_from_source(contract: Contract, position: FilePosition | None, source_name: str) -> bool:
    """Whether the nearest `x-source` around `position` names `source_name`, and does not mark the fact as inferred."""
    node: Any = contract.document.data
    reference = None
    for token in (position.pointer if position is not None else "").split("/")[1:]:
        name = unescape_pointer_token(token)
        try:
            node = node[int(name)] if isinstance(node, list) else node[name]
        except (KeyError, IndexError, ValueError, TypeError):
            break  # The contract does not have the part itself: what counts is the part that it has.
        if isinstance(node, dict):
            reference = node.get("x-source", reference)
    return (
        isinstance(reference, dict)
        and reference.get("document_name") == source_name
        and not reference.get("is_inferred")
    )


def _replace_file_by_url(change: DriftChange, url: str) -> DriftChange:
    """Return the change with the URL of the official document in place of the temporary file."""
    position = change.new_position
    moved = None if position is None else msgspec.structs.replace(position, file=url)
    return msgspec.structs.replace(change, new_position=moved)


def _move_server_path_into_paths(document: Document, described_operation_keys: frozenset[OperationKey]) -> Document:
    """Return the official document with the path of its server moved into its paths, if the contract has it there.

    A document may have "/texttospeech" in the URL of its server and "/batchsyntheses" as a path, while the contract has
    "/texttospeech/batchsyntheses", because its other operations are on the same server.
    """
    urls = [server.get("url", "").rstrip("/") for server in document.data.get("servers", ())]
    bases = {urlsplit(url).path for url in urls}
    base = bases.pop() if len(bases) == 1 else ""
    moved = {
        "paths": {f"{base}{path}": item for path, item in document.data.get("paths", {}).items()},
        "servers": [{"url": url.removesuffix(base)} for url in urls if url != base],
    }
    if (
        not base
        or _list_operation_keys(document.data) & described_operation_keys
        or not _list_operation_keys(moved) & described_operation_keys
    ):
        return document
    return document.replace_data({**document.data, **moved})


def _list_operation_keys(document: Any) -> frozenset[OperationKey]:
    return frozenset(
        build_operation_key(path, method)
        for path, path_item in document.get("paths", {}).items()
        for method in path_item
        if method in OPENAPI_METHODS
    )


# Renders the comparison with official documents as Markdown for an issue.


MAX_ROWS_PER_SECTION = 40
"""Largest number of differences per table, so that the summary of all contracts fits into an issue. JSON has all of
them."""


def render_official_markdown(report: OfficialDriftReport) -> str:
    """Render one section for each contract. Differences from other sources are in a collapsed part.

    The text has no dates and no line numbers of the official documents, so that it changes only if the differences do.
    """
    lines = ["# Contracts and official documents", ""]
    for comparison in report.comparisons:
        lines += _render_comparison(comparison)
    if not report.comparisons:
        lines += ["No contract names an official document.", ""]
    return "\n".join(lines)


def _render_comparison(comparison: OfficialComparison) -> Iterator[str]:
    yield from (f"## {escape_markdown(comparison.provider)}", "")
    if comparison.official_document is None:
        yield from (f"Not compared: {escape_markdown(comparison.unreadable_reason or '')}", "")
        return
    document = comparison.official_document
    title, version = (escape_markdown(text) for text in (document.title, document.version))
    counts = (
        f"{len(comparison.removals)} removed, {len(comparison.changed_values)} changed, "
        f"{len(comparison.additions)} added, {len(comparison.known_differences)} explained, "
        f"{len(comparison.differences_from_other_sources)} from other sources"
    )
    yield from (f"{title} {version} ({escape_markdown(comparison.url)}): {counts}.", "")
    yield from _render_table("Removed: the official document no longer has it", comparison.removals)
    yield from _render_table("Changed: the official document states something else", comparison.changed_values)
    yield from _render_table("Added: the contract does not have it", comparison.additions)
    if comparison.undescribed_operations:
        operations = ", ".join(escape_markdown(name) for name in comparison.undescribed_operations)
        yield from (f"Operations that may produce speech and are not in the contract: {operations}.", "")
    for reason, count in Counter(one.reason for one in comparison.left_out_operations).items():
        yield from (f"Left out of the contract ({count}): {escape_markdown(reason)}", "")
    for reason in comparison.unused_explanations:
        yield from (f"The contract explains a difference that does not exist: {escape_markdown(reason)}", "")
    if comparison.differences_from_other_sources:
        yield from ("<details>", "<summary>Stated by the contract from other sources</summary>", "")
        yield from _render_table("", comparison.differences_from_other_sources)
        yield from ("</details>", "")


def _render_table(heading: str, changes: Sequence[DriftChange]) -> Iterator[str]:
    if not changes:
        return
    if heading:
        yield from (f"### {heading}", "")
    yield from ("| Location | Change | Contract |", "|---|---|---|")
    rows = list(dict.fromkeys(map(_render_row, changes)))
    yield from rows[:MAX_ROWS_PER_SECTION]
    if len(rows) > MAX_ROWS_PER_SECTION:
        yield f"| | and {len(rows) - MAX_ROWS_PER_SECTION} more | |"
    yield ""


def _render_row(change: DriftChange) -> str:
    position = change.old_position
    # The folder and the file, which are the same on every machine.
    line = "" if position is None else f"{'/'.join(Path(position.file).parts[-2:])}:{position.line}"
    return f"| {' | '.join(escape_markdown(cell) for cell in (change.qualified_location, change.message, line))} |"
