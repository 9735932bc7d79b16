"""Saves and loads runs with their audio, and tracks in the journal of a run which samples are paid for and finished.

The events of samples:

{"event": "job_left_open", "sample": {...}}      status or result of the job could not be fetched
{"event": "sample_finished", "sample": {...}, "billing": "accepted"}

`run.json` is replaced completely or not at all. Audio files are named after their digest, so that
equal audio is saved once and no file name is taken from a response.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from voicegauge.bench.benchmark_plan import BenchPlan, PlannedSample
from voicegauge.client.spending_journal import (
    Journal,
    PurchaseAccount,
    PurchaseHistory,
    SubmitCompletedEvent,
    SubmitNotSentEvent,
    SubmitStartedEvent,
    read_events,
)
from voicegauge.errors import DataError, UsageError
from voicegauge.files import check_writable, read_file, require_files_in_folder, write_file
from voicegauge.model.base import Record
from voicegauge.model.exchange import BillingStatus, OpenJob
from voicegauge.model.run import RUN_SCHEMA_VERSION, Run
from voicegauge.model.sample import Sample
from voicegauge.speech.containers import sniff_container

# Tracks the samples of a run according to its journal: what was paid for each, and whether it is finished.


@dataclass
class SamplePurchases(PurchaseHistory):
    """The submits for one sample, in the order of sending, and the sample if it is finished."""

    finished_sample: Sample | None = None
    """The sample with its result, which may be a failure; `None` if it is not finished."""
    sample_with_open_job: Sample | None = None
    """The sample, recorded as a failure, if the job of its last submit was not polled to its end; otherwise `None`."""

    def record_submit(
        self,
        submitted_at: str,
        price_usd: float | None,
        idempotency_key: str | None = None,
        *,
        is_companion: bool = False,
    ) -> None:
        """Record that another submit begins, so that the sample does not count as finished.

        Args:
            submitted_at: time of the submit: UTC, ISO 8601.
            price_usd: its price in dollars; `None` if it is not known.
            idempotency_key: the key that it is sent with; `None` if it has none.
            is_companion: as in `Purchase`.
        """
        super().record_submit(submitted_at, price_usd, idempotency_key, is_companion=is_companion)
        self.finished_sample = self.sample_with_open_job = None

    def record_sample_finished(
        self, sample: Sample, billing: BillingStatus, unreadable_charge: str | None = None
    ) -> None:
        """Record the finished sample, and what is known about the charge for its last submit.

        Args:
            sample: the sample with its result.
            billing: whether the submit is charged.
            unreadable_charge: the implausible charge that the response states, in words; `None` if there is none.
        """
        self.finished_sample, self.sample_with_open_job = sample, None
        if self.purchases:
            last = self.purchases[-1]
            last.billing_status, last.has_saved_result = billing, True
            last.charged_usd = sample.cost.charged_usd if sample.cost.charged_usd is not None else last.charged_usd
            last.unreadable_charge = last.unreadable_charge or unreadable_charge
            last.missing_result_reason = sample.failure.message if sample.failure else None

    @property
    def open_job(self) -> OpenJob | None:
        """The job that was paid for and not followed to its end; `None` if there is no such job."""
        last = self.purchases[-1] if self.purchases else None
        if last is None or last.job_id is None or not last.awaits_job_result:
            return None
        failure = self.sample_with_open_job.failure if self.sample_with_open_job else None
        reason = failure.message if failure else "voicegauge was stopped before the job had ended"
        return OpenJob(
            sample_id=self.sample_or_case_id,
            job_id=last.job_id,
            sent_at=last.submitted_at,
            counted_usd=last.charge_or_price_usd,
            reason=reason,
        )


class JournalState(PurchaseAccount[SamplePurchases]):
    """State of a run, as read from its journal."""

    def __init__(
        self, purchases_by_sample: Mapping[str, SamplePurchases] | None = None, *, is_emulated: bool = False
    ) -> None:
        """Create the state of a run from what its journal says.

        Args:
            purchases_by_sample: the purchases of each sample, by sample id; `None` if nothing was bought yet.
            is_emulated: whether a response identified itself as coming from voicegauge's emulator.
        """
        super().__init__(purchases_by_sample)
        self.is_emulated = is_emulated
        """Whether a response identified itself as coming from voicegauge's emulator."""

    @functools.cached_property
    def finished_samples(self) -> dict[str, Sample]:
        """The finished samples by id, including those whose result was lost because voicegauge was stopped."""
        return {name: one.finished_sample for name, one in self.histories.items() if one.finished_sample is not None}

    def find_unpaid_samples(self, plan: BenchPlan, *, retry_ambiguous: bool) -> list[PlannedSample]:
        """Return the planned samples for which another request must be paid.

        Args:
            plan: the plan of the run.
            retry_ambiguous: whether samples without a result of their last request are bought again.
        """
        paid = {*self.finished_samples, *self.open_jobs, *self.ids_with_ambiguous_last_request}
        paid -= self.ids_with_ambiguous_last_request if retry_ambiguous else frozenset()
        return [planned for row in plan.rounds for planned in row if planned.id not in paid]

    @functools.cached_property
    def open_jobs(self) -> dict[str, OpenJob]:
        """The jobs that were paid for and not followed to their end, by sample id."""
        return {name: job for name, one in self.histories.items() if (job := one.open_job) is not None}


# Reads and writes the journal of a run. It contains the events of submits, and those of samples.


JOURNAL_FILE_NAME = "journal.jsonl"
"""Name of the journal in the folder of its run."""


class JobLeftOpenEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="job_left_open"):
    """The status or the result of a job could not be fetched; a later run of the same plan polls it again."""

    sample: Sample
    """The sample as a failure, which counts unless a later run gets the job's result."""
    is_emulated: bool = False
    """Whether a response identified itself as coming from voicegauge's emulator."""


class SampleFinishedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="sample_finished"):
    """A sample was finished, successfully or not."""

    sample: Sample
    billing: BillingStatus
    """What is known about whether the last request of the sample is charged."""
    unreadable_charge: str | None = None
    """What a response states as the charge, if that cannot be believed; otherwise `None`."""
    is_emulated: bool = False
    """Whether a response identified itself as coming from voicegauge's emulator."""


JournalEvent = SubmitStartedEvent | SubmitNotSentEvent | SubmitCompletedEvent | JobLeftOpenEvent | SampleFinishedEvent
"""What a line of the journal of a run may contain."""


def open_journal(run_folder: Path, *, is_durable: bool) -> Journal:
    """Open the journal of the run in `run_folder` for writing; see `Journal`."""
    return Journal(run_folder / JOURNAL_FILE_NAME, is_durable=is_durable)


def read_journal(run_folder: Path) -> JournalState:
    """Read the journal in `run_folder`; a last line that a crash cut short is ignored.

    Returns:
        The state of the run; an empty state if there is no journal.

    Raises:
        DataError: the journal cannot be read, it is a link out of the folder, or a line other than the last is damaged.
    """
    require_files_in_folder([run_folder / JOURNAL_FILE_NAME], run_folder)
    purchases_by_sample: dict[str, SamplePurchases] = {}
    is_emulated = False

    def get_sample_purchases(sample_id: str) -> SamplePurchases:
        return purchases_by_sample.setdefault(sample_id, SamplePurchases(sample_id))

    for event in read_events(run_folder / JOURNAL_FILE_NAME, JournalEvent):
        match event:
            case JobLeftOpenEvent():
                get_sample_purchases(event.sample.id).sample_with_open_job = event.sample
                is_emulated |= event.is_emulated
            case SampleFinishedEvent():
                get_sample_purchases(event.sample.id).record_sample_finished(
                    event.sample, event.billing, event.unreadable_charge
                )
                is_emulated |= event.is_emulated
            case SubmitStartedEvent() | SubmitNotSentEvent() | SubmitCompletedEvent():
                event.add_to_history(get_sample_purchases(event.sample_or_case_id))
    return JournalState(purchases_by_sample, is_emulated=is_emulated)


# Saves and loads runs. A run is a folder with `run.json`, `journal.jsonl` and `audio/`.


RUN_FILE_NAME = "run.json"
"""Name of the file with the results in the folder of their run."""
AUDIO_FOLDER_NAME = "audio"
"""Name of the folder with the audio in the folder of its run."""

DAMAGE_ADVICE = "; restore the file, or measure again"
"""What to do about a damaged file, at the end of an error message."""


def create_run_folder(runs_folder: Path, name: str) -> Path:
    """Create the folder of a new run in `runs_folder`, called `name`, or `name` with a number if that exists already.

    Raises:
        UsageError: the folder cannot be created.
    """
    for attempt in itertools.count(1):
        folder = runs_folder / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            check_writable(folder / RUN_FILE_NAME)
            # Created without looking first: another process may create it in between.
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except UsageError as error:
            raise UsageError(f"{error}: choose another folder with --out") from error
        except OSError as error:
            raise UsageError(f"cannot create {folder}: {error.strerror}: choose another folder with --out") from error
        return folder
    raise AssertionError("itertools.count never ends")


class ManifestOutline(msgspec.Struct):
    """The part of a manifest that every version of voicegauge can read."""

    class ObjectWithId(msgspec.Struct):
        """An object whose id is the only field that is read."""

        id: str

    schema_version: int
    is_finished: bool = False
    plan_sha256: str = ""
    """Digest of the plan; empty if the version had none."""
    max_cost_usd: float | None = None
    """The budget in dollars; `None` for a run at the emulator."""
    suite: ObjectWithId | None = None
    targets: list[ObjectWithId] = []


class _RunOutline(msgspec.Struct):
    """The part of a run.json that every version of voicegauge can read."""

    manifest: ManifestOutline


def load_manifest_outline(run_file: Path) -> ManifestOutline | None:
    """Return the outline of a run.json of any version; `None` if the file is not one, or a link out of its folder."""
    try:
        require_files_in_folder([run_file], run_file.parent)
        return _decode_manifest_outline(read_file(run_file))
    except (OSError, DataError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decode_manifest_outline(run_json: bytes) -> ManifestOutline:
    return msgspec.json.decode(run_json, type=_RunOutline).manifest


def find_run_folder(path: Path) -> Path:
    """Return the folder of a run; `path` is this folder or its run.json."""
    return path if path.is_dir() else path.parent


def save_run(run_folder: Path, run: Run) -> Path:
    """Write `run` to run.json in `run_folder`, completely or not at all.

    Returns:
        The path of run.json.

    Raises:
        UsageError: the file cannot be written.
    """
    path = run_folder / RUN_FILE_NAME
    write_file(path, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    return path


def _advise_on_missing_run(path: Path) -> str:
    """Return what to name instead of `path`, which has no run: one of the runs inside, if there are any."""
    inside = sorted(file.parent for file in path.glob(f"*/{RUN_FILE_NAME}")) if path.is_dir() else []
    if not inside:
        return "give the folder of a run"
    return f"give the folder of a run, such as {inside[-1]}" + (f", or all with {path}/*" if len(inside) > 1 else "")


def load_run(path: Path) -> Run:
    """Load a saved run. If the process that measured it was killed, its samples are read from the journal.

    Args:
        path: the run's folder or its run.json.

    Raises:
        DataError: there is no run, the run is damaged, a link leads out of its folder, or an incompatible version of
            voicegauge wrote it; the error message says how to solve the problem.
    """
    file = path / RUN_FILE_NAME if path.is_dir() else path
    require_files_in_folder([file], file.parent)
    try:
        raw = read_file(file)
    except OSError as error:
        hint = f": {_advise_on_missing_run(path)}" if isinstance(error, FileNotFoundError) else ""
        # "." and "./x" are named with the folder, because "run.json" alone does not say where it was looked for.
        raise DataError(f"{file.absolute()}: cannot be read: {error.strerror}{hint}") from error
    try:
        run = msgspec.json.decode(raw, type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _check_format_version(file, raw)
        raise DataError(
            f"{file}: is a damaged run: {_add_sample_number_to_message(str(error), raw)}{DAMAGE_ADVICE}"
        ) from error
    if run.manifest.schema_version != RUN_SCHEMA_VERSION:
        _check_format_version(file, raw)
    # The manifest is saved without samples before the first request: those of a killed process are in the journal only.
    if not run.manifest.is_finished and not run.samples:
        journal_state = read_journal(file.parent)
        unfinished = (one.sample_with_open_job for one in journal_state.histories.values())
        run = msgspec.structs.replace(
            run,
            samples=(*journal_state.finished_samples.values(), *filter(None, unfinished)),
            ambiguous_requests=journal_state.ambiguous_requests,
            open_jobs=tuple(journal_state.open_jobs.values()),
        )
    if reason := _describe_damage(run):
        raise DataError(f"{file}: is a damaged run: {reason}{DAMAGE_ADVICE}")
    return run


def _add_sample_number_to_message(error_message: str, run_json: bytes) -> str:
    """Return an error message of msgspec with the number of the invalid sample instead of `...` in `$.samples[...]`."""
    if "$.samples[...]" not in error_message:
        return error_message
    for number, sample in enumerate(msgspec.json.decode(run_json)["samples"]):
        try:
            msgspec.convert(sample, Sample)
        except msgspec.ValidationError:
            return error_message.replace("$.samples[...]", f"$.samples[{number}]")
    return error_message


MIN_AUDIO_DURATION_S = 1e-6
"""Shortest possible duration of audio that is not empty, in seconds. A sample lasts longer at any accepted rate."""


def _describe_damage(run: Run) -> str | None:
    """Return where and how the records of a run contradict each other, in one line; `None` if they agree."""
    if not _is_timestamp(run.manifest.created_at):
        return f"manifest.created_at is not a date and time: {run.manifest.created_at!r}"
    if repeated := _find_repeated_id([target.id for target in run.manifest.targets]):
        return f"manifest.targets has {repeated!r} twice"
    if repeated := _find_repeated_id([sample.id for sample in run.samples]):
        return f"two samples have the id {repeated!r}"
    for number, score_set in enumerate(run.score_sets):
        if repeated := _find_repeated_id([score.sample_id for score in score_set.scores]):
            return f"score_sets[{number}] has two scores of the sample {repeated!r}"
    undated = next((sample for sample in run.samples if not _is_timestamp(sample.started_at)), None)
    if undated is not None:
        return f"started_at of the sample {undated.id!r} is not a date and time: {undated.started_at!r}"
    # Latencies are divided by durations: by such a small one, the result is infinite.
    durations_s = ((one.id, one.audio.audio_duration_s) for one in run.samples if one.audio is not None)
    found = next(((name, value) for name, value in durations_s if value and value < MIN_AUDIO_DURATION_S), None)
    return None if found is None else f"audio.audio_duration_s of the sample {found[0]!r} is impossible: {found[1]!r}"


def _find_repeated_id(ids: Sequence[str]) -> str | None:
    if len(set(ids)) == len(ids):
        return None
    return next(one for one, count in Counter(ids).items() if count > 1)


def _is_timestamp(text: str) -> bool:
    try:
        # A time at the beginning of year 1 may have none in UTC.
        datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def _check_format_version(run_file: Path, run_json: bytes) -> None:
    """Check only the format version, so that a run of another version is not reported as damaged.

    Raises:
        DataError: the file is not a run, or has another format version.
    """
    try:
        version = _decode_manifest_outline(run_json).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        is_named_as_run = run_file.name == RUN_FILE_NAME
        advice = DAMAGE_ADVICE if is_named_as_run else f"; give the folder of a run, or its {RUN_FILE_NAME}"
        raise DataError(f"{run_file}: is not a saved run: {error}{advice}") from error
    if version > RUN_SCHEMA_VERSION:
        raise DataError(
            f"{run_file}: was written by a newer voicegauge (run format {version}, "
            f"this one reads {RUN_SCHEMA_VERSION}): pip install -U voicegauge"
        )
    if version < RUN_SCHEMA_VERSION:
        raise DataError(
            f"{run_file}: was written by an older voicegauge (run format {version}, "
            f"this one reads {RUN_SCHEMA_VERSION}): run the benchmark again"
        )


def save_audio(run_folder: Path, audio: bytes) -> tuple[str, str]:
    """Save `audio` in a file named after its digest, with the file name extension of its actual container.

    Args:
        run_folder: folder of the run.
        audio: the audio as it was received.

    Returns:
        The SHA-256 digest, and the path of the file relative to `run_folder`.

    Raises:
        UsageError: the file cannot be written.
    """
    digest = hashlib.sha256(audio).hexdigest()
    name = f"{AUDIO_FOLDER_NAME}/{digest}.{sniff_container(audio) or 'bin'}"
    if not (run_folder / name).exists():  # the name is the digest, so that an existing file has the same content
        write_file(run_folder / name, audio)
    return digest, name
