"""Checks services from within a test: the emulator, or live services with one budget for all tests."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from voicegauge.plugin._live_access import find_budget

if TYPE_CHECKING:
    from voicegauge.api.options import ProgressListener
    from voicegauge.conformance.report import CheckReport
    from voicegauge.model.finding import Finding


def check_targets_once_per_run(request: pytest.FixtureRequest, target_names: tuple[str, ...]) -> CheckReport:
    """Check targets once per test run, and return the report. The first worker that needs the report runs the check."""
    import fcntl

    import msgspec

    from voicegauge.conformance.report import CheckReport
    from voicegauge.files import write_file

    folder = _create_shared_folder(request.config, request.getfixturevalue("tmp_path_factory"))
    file = folder / f"{target_names[0].partition('/')[0]}-{_hash_target_names(target_names)}.json"
    with file.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
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
    from voicegauge.api.options import ProgressListener

    class NoticeListener(ProgressListener):
        def notice(self, message: str) -> None:
            _print_or_warn(config, message)

    return NoticeListener()


def _print_or_warn(config: pytest.Config, message: str) -> None:
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
    from voicegauge.errors import VoicegaugeError

    failure = None
    try:
        with _open_service_as_arguments(request) as service:
            report = check_function(**service)
    except VoicegaugeError as error:
        failure = str(error)
    if failure is not None:  # outside of the handler, so that pytest does not print the chained error
        pytest.fail(failure, pytrace=False)
    _print_remaining_resources(request.config, report)
    if report.stop_reason == "interrupted":
        raise KeyboardInterrupt
    if report.stop_message and not report.exchange_count_by_provenance:
        pytest.fail(report.stop_message, pytrace=False)
    return report


def _print_remaining_resources(config: pytest.Config, report: CheckReport) -> None:
    """Print each resource that a live check leaves in the account."""
    from voicegauge.conformance.resource_cleanup import describe_remaining_resource

    for one in report.resources.remaining_resources:
        _print_or_warn(config, f"left in the account: {describe_remaining_resource(one)}")


def fail_on_findings(report: CheckReport, findings: Sequence[Finding]) -> None:
    """Fail the test if there are errors among `findings`, or if the check did not run to its end."""
    from voicegauge.model.base import Severity
    from voicegauge.printable_text import escape_unprintable

    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    lines = [
        f"{f.rule}: {f.message} ({f.where.contract_file}:{f.where.contract_line})"
        + (f"\n    {f.reproduction_command}" if f.reproduction_command else "")
        for f in errors
    ]
    if errors and report.doubt_reason is not None:
        rules = ", ".join(dict.fromkeys(finding.rule for finding in errors))
        lines = [report.doubt_reason, f"errors that may all be consequences: {rules}"]
    elif errors and report.emulator_notice is not None:
        lines.append(report.emulator_notice)
    incomplete = report.stop_message or report.no_verdict_reason
    if incomplete:
        lines.append(incomplete)
    if lines:
        pytest.fail(escape_unprintable("\n".join(lines)), pytrace=False)


def parse_user_prices(config: pytest.Config) -> dict[str, float]:
    """Return the dollars per request that the user gave with `--vg-price`, by target id."""
    if not config.getoption("--vg-price"):
        return {}
    from voicegauge.contract.pricing import parse_price_override
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
    with find_budget(config).open_ledger() as ledger:
        live = voicegauge.LiveOptions(
            max_cost_usd=config.getoption("--vg-max-cost"),
            account_plans=config.getoption("--vg-plan"),
            allowed_keys=config.getoption("--vg-allow-key"),
            allow_insecure_http=config.getoption("--vg-allow-insecure-http"),
            ledger=ledger,
        )
        yield {**service, "live": live, "prices": parse_user_prices(config)}


def _hash_target_names(target_names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(target_names).encode()).hexdigest()[:16]


def _create_shared_folder(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this test run share, and that no other test run uses."""
    worker = getattr(config, "workerinput", None)
    base = tmp_path_factory.getbasetemp()
    folder = base.parent / f"voicegauge-{worker['testrunuid']}" if worker else base / "voicegauge"
    folder.mkdir(exist_ok=True)
    return folder
