"""Checks documents and recordings without sending anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from voicegauge.checks import Rule
from voicegauge.conformance import ResultCollector, check_documented_examples, check_recordings
from voicegauge.contract import Contract, is_bundled
from voicegauge.data_folders import find_bundled_folder
from voicegauge.recording import find_provider_recordings, find_recordings


def check_offline(
    contracts: Sequence[Contract],
    rules: Mapping[str, Rule],
    collector: ResultCollector,
    recordings: Sequence[Path],
    *,
    stale_recordings_fail: bool,
) -> None:
    """Judge the documented examples and the recordings in `recordings`.

    If `recordings` is empty, the user's recordings in the working directory and the bundled ones are judged. A bundled
    recording is skipped if the user's own contract replaces the bundled contract of its provider.
    """
    check_documented_examples(contracts, rules, collector)
    if recordings:
        files = [path for file_or_folder in recordings for path in find_recordings(file_or_folder)]
    else:
        bundled_folder = find_bundled_folder("fixtures")
        files = [
            path
            for contract in contracts
            for path in find_provider_recordings(
                contract.id, bundled_folder if is_bundled(contract.document.path) else None
            )
        ]
    judged = check_recordings(files, contracts, rules, collector, stale_recordings_fail=stale_recordings_fail)
    providers = " or ".join(contract.id for contract in contracts)
    for file_or_folder in recordings:
        if not any(path.is_relative_to(file_or_folder) for path in judged):
            collector.add_unjudged_item(str(file_or_folder), f"it has no recording (*.har) of {providers}")
    if not recordings and not collector.exchange_count:
        collector.add_unjudged_item(
            providers, "its document has no examples, and it has no recordings; send requests with --emulated or --live"
        )
