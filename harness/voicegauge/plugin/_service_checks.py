"""Checks services from within a test: the emulator, or live services that the user permits, with one budget for all."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shlex
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import pytest

from voicegauge.api.requests import CheckRequest
from voicegauge.options import DeclaredOption, Trust, list_options

if TYPE_CHECKING:
    from voicegauge.api.progress import ProgressListener
    from voicegauge.client.daily_spending import SharedBudget
    from voicegauge.conformance.check_report import CheckReport
    from voicegauge.contract.loading import Catalogue
    from voicegauge.model.base import Finding


# Keeps the budget of live tests in a file, so that what a killed test run has spent counts in the next one.


_BUDGET_FILE_WORKER_INPUT_KEY = "voicegauge_budget"
"""Key under which a worker of pytest-xdist receives the path of the budget's file."""


class _OpenBudget(NamedTuple):
    """The budget file of a test run, which is locked until the run ends."""

    budget_file: Path
    """The journal of what live tests of this folder have spent."""
    lock_file: TextIO
    """The open file whose lock this run holds."""
    initial_file_size_bytes: int
    """Size of the file in bytes when the run began."""


_OPEN_BUDGET_STASH_KEY = pytest.StashKey[_OpenBudget]()
"""Key under which the configuration of a live test run has its budget; the workers of pytest-xdist have none."""


def open_budget(config: pytest.Config) -> float:
    """Open the budget of this test run. Each root folder of tests has a budget of its own.

    Returns:
        What earlier test runs that were killed have spent, in dollars. It counts towards the budget.

    Raises:
        pytest.UsageError: another live test run of this folder has not ended, or the file cannot be used.
    """
    from voicegauge.errors import VoicegaugeError
    from voicegauge.files import get_state_folder

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
        return open_shared_budget(config).spent_usd
    except VoicegaugeError as error:
        raise pytest.UsageError(str(error)) from error


def open_shared_budget(config: pytest.Config) -> SharedBudget:
    """Return the budget of this test run, in its main process or in a worker of pytest-xdist."""
    from voicegauge.client.daily_spending import SharedBudget

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
    # A run that has spent something has printed its results, and the next run starts with the whole budget. A run that
    # has spent nothing says nothing about an earlier one that was killed.
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
    """Return the flag of the plugin for an option of `voicegauge check`, which begins with "--vg-"."""
    return f"--vg-{declared.setting_name}"


def build_parser_arguments(declared: DeclaredOption) -> dict[str, Any]:
    """Return the arguments with which `argparse` and pytest add an option of the plugin."""
    shape, spec = declared.shape, declared.spec
    if shape.item_type is bool:
        return {"action": "store_true"}
    if isinstance(declared.default, float):  # the budget: that of all tests together
        return {"type": float, "default": declared.default, "metavar": "USD"}
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
        is_harmless = trust is Trust.ANY_VALUE and declared.spec.live_refusal_reason is None
        if not is_typed and not is_stricter and not is_harmless:
            raise pytest.UsageError(
                f"{flag} is set in {config.inipath or 'a file'}, which may not decide about keys and money: "
                "write it on the command line or in PYTEST_ADDOPTS"
            )


def _parse_user_options(config: pytest.Config) -> argparse.Namespace:
    """Return the options of the plugin as the user typed them, without those of ini files.

    They are parsed again, because pytest puts the options of ini files among the arguments before it parses them.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, fromfile_prefix_chars="@")
    for declared in list_plugin_options():
        parser.add_argument(get_plugin_flag(declared), **build_parser_arguments(declared))
    arguments = map(str, config.invocation_params.args)
    return parser.parse_known_args([*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *arguments])[0]


def describe_live_access(config: pytest.Config, catalogue: Catalogue) -> Iterator[str]:
    """Yield lines about live access: the ini file in use, and for each key that is set, its variable and servers."""
    from voicegauge.client.connection import find_key_destinations

    if config.inipath is not None:
        yield f"LIVE: options are read from {config.inipath} too"
    for contract in catalogue:
        destinations = find_key_destinations(contract, {})
        if destinations.is_key_set:
            yield f"LIVE: {destinations.describe()}"


def require_any_key(catalogue: Catalogue, provider_ids: Collection[str]) -> None:
    """Check that at least one of the providers has all of its keys set; without providers, nothing is checked.

    Raises:
        pytest.UsageError: each of the providers needs a key that is not set.
    """
    from voicegauge.client.keys import find_missing_key_variables

    missing = {name: find_missing_key_variables(catalogue.find_provider(name)) for name in sorted(provider_ids)}
    if missing and all(missing.values()):
        needs = ", ".join(f"{' and '.join(variables)} for {name}" for name, variables in missing.items())
        raise pytest.UsageError(f"--vg-live: no key of a chosen service is set: set {needs}")


# Checks services from within a test: the emulator, or live services with one budget for all tests.


def check_targets_once_per_run(request: pytest.FixtureRequest, target_names: tuple[str, ...]) -> CheckReport:
    """Check targets once per test run, and return the report. The first worker that needs the report runs the check."""
    import msgspec

    from voicegauge.conformance.check_report import CheckReport
    from voicegauge.files import write_file

    folder = _create_shared_folder(request.config, request.getfixturevalue("tmp_path_factory"))
    digest = hashlib.sha256("\n".join(target_names).encode()).hexdigest()[:16]
    # A digest, because the names of targets have slashes and may be too long for a file name.
    file = folder / f"{target_names[0].partition('/')[0]}-{digest}.json"
    with file.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():  # written whole under the lock, so that a worker never reads a part
            write_file(file, msgspec.json.encode(check_targets(request, target_names)))
    return msgspec.json.decode(file.read_bytes(), type=CheckReport)


def check_targets(
    request: pytest.FixtureRequest, target_names: tuple[str, ...], fuzz_request_count: int = 0
) -> CheckReport:
    """Check targets with all planned requests, and with random ones if `fuzz_request_count` is not 0."""
    import voicegauge

    max_calls = request.config.getoption("--vg-max-calls")
    listener = _create_notice_listener(request.config)
    return call_check_function(
        request,
        lambda **service: voicegauge.check(
            target_names, fuzz_request_count=fuzz_request_count, max_calls=max_calls, progress=listener, **service
        ),
    )


def _create_notice_listener(config: pytest.Config) -> ProgressListener:
    """Return a listener that prints the notices of a live check, such as which voices it will leave in the account."""
    from voicegauge.api.progress import ProgressListener

    class NoticeListener(ProgressListener):
        def notice(self, message: str) -> None:
            _print_or_warn_if_live(config, message)

    return NoticeListener()


def _print_or_warn_if_live(config: pytest.Config, message: str) -> None:
    """Print a message in a live test run. A worker of pytest-xdist has no terminal, so it issues a warning instead."""
    if not config.getoption("--vg-live"):
        return
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:
        warnings.warn(pytest.PytestWarning(message), stacklevel=2)
    else:
        terminal.write_line(message)


def call_check_function(request: pytest.FixtureRequest, check_function: Callable[..., CheckReport]) -> CheckReport:
    """Call a function of the API on the service that the pytest options choose, and return its report.

    An error of voicegauge fails the test with one line.

    Args:
        request: request of the fixture.
        check_function: called with the keyword arguments that choose a service.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C during the check, which ends the whole test run.
    """
    from voicegauge.conformance.service_check import describe_remaining_resources
    from voicegauge.errors import VoicegaugeError

    failure = None
    try:
        with _open_service_as_arguments(request) as service:
            report = check_function(**service)
    except VoicegaugeError as error:
        failure = str(error)
    if failure is not None:  # outside of the handler, so that pytest does not print the chained error
        pytest.fail(failure, pytrace=False)
    for line in describe_remaining_resources(report.resources.remaining_resources):
        _print_or_warn_if_live(request.config, f"left in the account: {line}")
    if report.stop_reason == "interrupted":
        raise KeyboardInterrupt
    if report.stop_message and not report.exchange_count_by_provenance:
        pytest.fail(report.stop_message, pytrace=False)
    return report


def fail_on_findings(report: CheckReport, findings: Sequence[Finding]) -> None:
    """Fail the test if there are errors among `findings`, or if the check did not run to its end."""
    from voicegauge.model.base import Severity
    from voicegauge.printable_text import escape_unprintable

    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    lines = [
        f"{f.rule}: {f.message} ({f.where.contract_file}:{f.where.contract_line})"
        + "".join(f"\n    also {rule}: {message}" for rule, message in f.same_cause_messages.items())
        + (f"\n    {f.reproduction_command}" if f.reproduction_command else "")
        for f in errors
    ]
    if errors and report.doubt_reason is not None:
        rules = ", ".join(dict.fromkeys(finding.rule for finding in errors))
        lines = [report.doubt_reason, f"errors that may all be consequences: {rules}"]
    elif errors and report.emulator_notice is not None:
        lines.append(report.emulator_notice)
    if errors and report.todo_notice is not None:
        lines.append(report.todo_notice)
    incomplete = report.stop_message or report.no_verdict_reason or report.partly_judged_reason
    if incomplete:
        lines.append(incomplete)
    if lines:
        pytest.fail(escape_unprintable("\n".join(lines)), pytrace=False)


def parse_user_prices(config: pytest.Config) -> dict[str, float]:
    """Return the dollars per request that the user gave with `--vg-price`, by target id.

    Raises:
        pytest.UsageError: a price cannot be read.
    """
    if not config.getoption("--vg-price"):
        return {}
    from voicegauge.contract.price_computation import parse_price_override
    from voicegauge.errors import VoicegaugeError

    try:
        return dict(map(parse_price_override, config.getoption("--vg-price")))
    except VoicegaugeError as error:
        raise pytest.UsageError(f"--vg-price: {error}") from error


@contextmanager
def _open_service_as_arguments(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Yield the keyword arguments with which functions of the API use the service that the pytest options choose.

    The service is the emulator, or with `--vg-live` the live services and their budget.
    """
    import voicegauge

    config = request.config
    service: dict[str, Any] = {
        "contracts": request.getfixturevalue("voicegauge_catalogue"),
        "seed": config.getoption("--vg-seed"),
        "max_wait_s": config.getoption("--vg-max-wait"),
    }
    if not config.getoption("--vg-live"):
        yield {**service, "emulated": request.getfixturevalue("voicegauge_emulator")}
        return
    with open_shared_budget(config).open_ledger() as ledger:
        live = voicegauge.LiveOptions(
            max_cost_usd=config.getoption("--vg-max-cost"),
            account_plans=config.getoption("--vg-plan"),
            allowed_keys=config.getoption("--vg-allow-key"),
            allow_insecure_http=config.getoption("--vg-allow-insecure-http"),
            ledger=ledger,
        )
        yield {**service, "live": live, "prices": parse_user_prices(config)}


def _create_shared_folder(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this test run share, and that no other test run uses."""
    worker = getattr(config, "workerinput", None)
    base = tmp_path_factory.getbasetemp()
    folder = base.parent / f"voicegauge-{worker['testrunuid']}" if worker else base / "voicegauge"
    folder.mkdir(exist_ok=True)
    return folder
