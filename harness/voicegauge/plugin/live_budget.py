"""Keeps the budget of live tests in a file, so that what a killed test run has spent counts in the next one."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

import pytest

if TYPE_CHECKING:
    from voicegauge.client import SharedBudget

_BUDGET_FILE_WORKER_INPUT_KEY = "voicegauge_budget"
"""Key under which a worker of pytest-xdist receives the path of the budget's file."""


class _OpenBudget(NamedTuple):
    """The budget file of a test run, which is locked until the run ends."""

    budget_file: Path
    lock_file: TextIO
    initial_file_size_bytes: int
    """Size of the file in bytes when the run began."""


_OPEN_BUDGET_STASH_KEY = pytest.StashKey[_OpenBudget]()


def open_budget(config: pytest.Config) -> float:
    """Open the budget of this test run. Each root folder of tests has a budget of its own.

    Returns:
        What earlier test runs that were killed have spent, in dollars. It counts towards the budget.

    Raises:
        pytest.UsageError: another live test run of this folder has not ended, or the file cannot be used.
    """
    from voicegauge.data_folders import get_state_folder
    from voicegauge.errors import VoicegaugeError

    folder = get_state_folder() / "tests"
    file = folder / f"{hashlib.sha256(bytes(config.rootpath)).hexdigest()[:16]}.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = file.with_suffix(".run").open("a")
    except OSError as error:
        raise pytest.UsageError(f"cannot write {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        message = f"another test run with --vg-live in {config.rootpath} has not ended: wait until it has"
        raise pytest.UsageError(message) from error
    config.stash[_OPEN_BUDGET_STASH_KEY] = _OpenBudget(file, lock, _measure_file_size(file))
    try:
        return find_budget(config).spent_usd
    except VoicegaugeError as error:
        raise pytest.UsageError(str(error)) from error


def find_budget(config: pytest.Config) -> SharedBudget:
    """Return the budget of this test run, in its main process or in a worker of pytest-xdist."""
    from voicegauge.client import SharedBudget

    worker = getattr(config, "workerinput", None)
    file = Path(worker[_BUDGET_FILE_WORKER_INPUT_KEY]) if worker else config.stash[_OPEN_BUDGET_STASH_KEY].budget_file
    return SharedBudget(file, config.getoption("--vg-max-cost"))


def close_budget(config: pytest.Config) -> None:
    """Unlock the budget, and delete its file if this run spent something, because the results were printed.

    If this run spent nothing, the spending of earlier runs that were killed stays in the file. Nothing is done in a
    test run without a budget.
    """
    budget = config.stash.get(_OPEN_BUDGET_STASH_KEY, None)
    if budget is None:
        return
    if _measure_file_size(budget.budget_file) > budget.initial_file_size_bytes:
        budget.budget_file.unlink()
    budget.lock_file.close()
    del config.stash[_OPEN_BUDGET_STASH_KEY]


def share_budget_with_worker(config: pytest.Config, worker_input: dict[str, object]) -> None:
    """Give a worker of pytest-xdist the path of the budget's file; do nothing if the test run has no budget."""
    budget = config.stash.get(_OPEN_BUDGET_STASH_KEY, None)
    if budget is not None:
        worker_input[_BUDGET_FILE_WORKER_INPUT_KEY] = str(budget.budget_file)


def _measure_file_size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
