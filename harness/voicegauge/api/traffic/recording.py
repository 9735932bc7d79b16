"""Saves a provider's responses as recordings without secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from voicegauge.api.options import LiveOptions, PathLike
from voicegauge.api.plan_sending import open_journals
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import (
    ContractsOrFolders,
    collect_contracts,
    find_wholly_named_providers,
    resolve_prices,
    select_targets,
    to_catalogue,
)
from voicegauge.api.traffic.record_result import ConfirmOverwrite, RecordResult
from voicegauge.api.traffic.recording_run import RecordingRun
from voicegauge.conformance.recording import UNFINISHED_RECORDINGS_FOLDER_NAME, RecordingUpdate, RefreshMode
from voicegauge.data_folders import RECORDINGS_FOLDER_NAME
from voicegauge.errors import DataError, UsageError


def record(
    targets: str | Sequence[str],
    *,
    emulated: bool = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    out: PathLike = RECORDINGS_FOLDER_NAME,
    refresh: RefreshMode = "stale",
    record_every_rejection: bool = False,
    names_to_mask: Sequence[str] = (),
    overwrite: bool | ConfirmOverwrite = False,
    prices: Mapping[str, float] | None = None,
    seed: int = 0,
    max_wait_s: float | None = None,
    retry_ambiguous_requests: bool = False,
    on_result: Callable[[RecordResult], None] | None = None,
    progress: ProgressListener | None = None,
) -> RecordResult:
    """Save a provider's responses as recordings (HAR files), without secrets.

    The planned cases are sent one after another. The next call resumes a live recording that was interrupted, because
    exchanges are saved in OUT/.unfinished until their file is written.

    >>> result = voicegauge.record("pixelapi/voice-design", emulated=True, out=folder)
    >>> result.finding_count
    0

    Args:
        targets: providers ("acme") or targets ("acme/voice-1").
        emulated: whether to record the emulator.
        live: permission and budget to record the providers' own services.
        contracts: loaded contracts, or folders of your own.
        out: folder of recordings, with one file OUT/PROVIDER/TARGET.har per target.
        refresh: "stale" to record only missing and stale cases, "all" to record every case.
        record_every_rejection: whether to record every rejection that a check plans instead of one of each kind.
        names_to_mask: further names of fields, parameters and headers whose values are masked.
        overwrite: whether existing files may be replaced, or a function that decides this for each file whose content
            changes. If it is false and a file would be replaced, an error is raised before anything is sent.
        prices: dollars per request by provider, target or operation; needed if the price is undocumented or disputed.
        seed: seed of everything random.
        max_wait_s: maximum time of one delivery or request in seconds; by default as long as the contract documents.
        retry_ambiguous_requests: whether to send cases again whose request an earlier live recording into the same
            folder may have paid for without a result. By default they are listed and not sent.
        on_result: called with the result before the recording counts as ended. Until it returns, what a live recording
            has spent counts towards the budget of the next one, even if the process is killed.
        progress: receives progress and notices.

    Returns:
        The files, with their differences from the earlier files; no file if nothing was missing or stale.

    Raises:
        UsageError: arguments contradict each other, a name is not known, a file must not be replaced, the emulator
            responded to the requests of a live recording, or all responses have the status of a wrong URL or key.
        MissingKeyError: the key of a live provider is not set.
        BudgetError: the plan costs more than the budget; nothing was sent.
        DataError: a recording would contain a value that looks like a credential; all other files are written. Or
            another process records the same provider into the same folder.
        StorageError: a response could not be saved, or what is paid for; nothing more was sent.
        TransportError: not a single response was received.
    """
    if retry_ambiguous_requests and live is None:
        raise UsageError("--retry-ambiguous is for live recordings: add --live")
    if emulated == (live is not None):
        raise UsageError("choose what to record: --live (it costs money) or --emulated")
    listener = progress or ProgressListener()
    catalogue = to_catalogue(contracts, live)
    chosen = select_targets(catalogue, targets, live)
    recording = RecordingRun(
        targets=chosen,
        contracts={contract.id: contract for contract in collect_contracts(chosen)},
        fully_recorded_providers=find_wholly_named_providers(catalogue, targets),
        live_options=live,
        fixtures_folder=Path(out),
        names_to_mask=tuple(names_to_mask),
        prices=resolve_prices(catalogue, prices),
        seed=seed,
        max_wait_s=max_wait_s,
        listener=listener,
    )
    updates, plan = recording.plan_updates(refresh, record_every_rejection=record_every_rejection)
    if overwrite is False:
        _reject_overwriting(updates)
    journal_folder = None if live is None else Path(out) / UNFINISHED_RECORDINGS_FOLDER_NAME
    with open_journals(
        journal_folder,
        recording.contracts.values(),
        retry_ambiguous_requests=retry_ambiguous_requests,
        skip_cases_without_verdict=True,
    ) as journals:
        try:
            result = recording.send_and_write(updates, plan, overwrite, journals)
        except DataError:  # everything was sent and counted; the error says what is not written
            journals.forget_requests(keep_ambiguous_requests=True)
            raise
        if on_result is not None:
            on_result(result)
        journals.forget_requests(keep_ambiguous_requests=True)
        return result


def _reject_overwriting(updates: Sequence[RecordingUpdate]) -> None:
    replaced = [update.path for update in updates if update.existing_recording is not None]
    if replaced:
        count = f"{len(replaced)} recording{'s' if len(replaced) > 1 else ''}, {replaced[0]} the first"
        raise UsageError(f"this would overwrite {count}: add --yes (overwrite=True)")
