"""Checks that the options for live tests come from the user, and keeps the budget of live tests in a file."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import pytest

from voicegauge.api.requests import CheckRequest
from voicegauge.options import DeclaredOption, Trust, list_options

if TYPE_CHECKING:
    from voicegauge.client.spending_journal import SharedBudget
    from voicegauge.contract.catalogue import Catalogue


# Keeps the budget of live tests in a file, so that what a killed test run has spent counts in the next one.


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
    from voicegauge.client.spending_journal import SharedBudget

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


# Makes sure that `--vg-live` and what it may cost come from the user, and says where keys go before tests start.


PLUGIN_OPTION_NAMES = (
    "live",
    "account_plans",
    "max_cost_usd",
    "max_wait_s",
    "allowed_keys",
    "allow_insecure_http",
    "prices",
    "max_calls",
    "seed",
    "faults",
    "contracts",
)
"""Options of `voicegauge check` that the plugin has too, with the prefix "--vg-"."""


def list_plugin_options() -> list[DeclaredOption]:
    """Return the declarations of `PLUGIN_OPTION_NAMES`, in this order."""
    declared = {one.name: one for one in list_options(CheckRequest)}
    return [declared[name] for name in PLUGIN_OPTION_NAMES]


def get_plugin_flag(declared: DeclaredOption) -> str:
    """Return the name of an option of the plugin."""
    return f"--vg-{declared.setting}"


def build_parser_arguments(declared: DeclaredOption) -> dict[str, Any]:
    """Return the arguments with which `argparse` and pytest add an option of the plugin."""
    shape, spec = declared.shape, declared.spec
    if shape.item_type is bool:
        return {"action": "store_true"}
    if shape.is_multiple:
        return {"action": "append", "default": [], "metavar": spec.metavar}
    return {"type": shape.item_type, "default": declared.default, "metavar": spec.metavar or "N"}


def check_live_options(config: pytest.Config) -> None:
    """Reject options of live tests that an ini file sets, unless their declaration allows a stranger to set them.

    The user's options are those of the command line and of the environment variable PYTEST_ADDOPTS.

    Raises:
        pytest.UsageError: an option of live tests comes from an ini file.
    """
    if not config.getoption("--vg-live") or hasattr(config, "workerinput"):  # workers get the checked options
        return
    typed = _parse_user_options(config)
    for declared in list_plugin_options():
        flag = get_plugin_flag(declared)
        value, trust = config.getoption(flag), declared.spec.found_file
        is_typed = value == getattr(typed, flag.removeprefix("--").replace("-", "_"))
        is_stricter = trust is Trust.UP_TO_DEFAULT and value <= declared.default
        if not is_typed and not is_stricter and trust is not Trust.ANY_VALUE:
            raise pytest.UsageError(
                f"{flag} is set in {config.inipath or 'a file'}, which may not decide about keys and money: "
                "write it on the command line or in PYTEST_ADDOPTS"
            )


def _parse_user_options(config: pytest.Config) -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, fromfile_prefix_chars="@")
    for declared in list_plugin_options():
        parser.add_argument(get_plugin_flag(declared), **build_parser_arguments(declared))
    arguments = map(str, config.invocation_params.args)
    return parser.parse_known_args([*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *arguments])[0]


def describe_live_access(config: pytest.Config, catalogue: Catalogue) -> Iterator[str]:
    """Yield lines about live access: the ini file in use, and for each key that is set, its variable and servers."""
    from voicegauge.client.key_destinations import find_key_destinations

    if config.inipath is not None:
        yield f"LIVE: options are read from {config.inipath} too"
    for contract in catalogue:
        destinations = find_key_destinations(contract, {})
        if destinations.is_key_set:
            yield f"LIVE: {destinations.describe()}"
