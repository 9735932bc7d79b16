"""Asking services from a test: the emulator, or what is live within one budget."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from voicegauge.conformance import CheckReport, CheckSettings, Collector
    from voicegauge.contract import Catalogue, Target
    from voicegauge.emulator import RunningEmulator
    from voicegauge.model import Finding

    Drive = Callable[[list[Target], CheckSettings, Collector], Coroutine[Any, Any, None]]
    """From targets, settings and a collector to the check that is to be awaited."""


def checked_once(request: pytest.FixtureRequest, names: tuple[str, ...]) -> CheckReport:
    """The check of targets, made by the first test of this run that asks, on whichever worker."""
    import fcntl

    import msgspec

    from voicegauge.conformance import CheckReport
    from voicegauge.files import write_file

    folder = _shared_folder(request.config, request.getfixturevalue("tmp_path_factory"))
    file = folder / f"{names[0].partition('/')[0]}-{_digest(names)}.json"
    with file.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            write_file(file, msgspec.json.encode(check(request, names, 0)))
    return msgspec.json.decode(file.read_bytes(), type=CheckReport)


def _digest(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _shared_folder(config: pytest.Config, factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share, and no other run."""
    worker = getattr(config, "workerinput", None)
    base = factory.getbasetemp()
    folder = base.parent / f"voicegauge-{worker['testrunuid']}" if worker else base / "voicegauge"
    folder.mkdir(exist_ok=True)
    return folder


def hold(report: CheckReport, findings: Sequence[Finding]) -> None:
    """Fail the test for the errors among `findings`, or where the check did not come to a verdict."""
    from voicegauge.model import Severity

    bad = [finding for finding in findings if finding.severity is Severity.ERROR]
    lines = [
        f"{f.rule}: {f.message} ({f.where.file}:{f.where.line})" + (f"\n    {f.reproduce}" if f.reproduce else "")
        for f in bad
    ]
    if report.stopped_by:
        lines.append(report.stopped_by)
    elif report.cases and all(case.verdict == "skipped" for case in report.cases):
        lines.append(f"no case came to a verdict; the first: {report.cases[0].reason}")
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def check(request: pytest.FixtureRequest, names: tuple[str, ...], fuzz: int) -> CheckReport:
    """All planned cases of targets, and random requests."""
    from voicegauge.conformance import check_service, plan_cases, total_price_usd
    from voicegauge.model import Provenance

    most = request.config.getoption("--vg-max-calls")

    def drive(targets: list[Target], settings: CheckSettings, collector: Collector) -> Coroutine[Any, Any, None]:
        emulated = settings.provenance is Provenance.EMULATED
        every = emulated or most is not None
        plan = plan_cases(targets, emulated=emulated, every=every, max_calls=most, webhooks=emulated)
        if not emulated:
            total_price_usd(plan, targets, settings.prices)  # refuses what nobody knows the price of
        return check_service(targets, plan, replace(settings, fuzz=fuzz), collector)

    return run(request, names, drive)


def run(request: pytest.FixtureRequest, names: tuple[str, ...], drive: Drive) -> CheckReport:
    """What came of `drive`, as far as it got; what cannot be begun fails the test in one line.

    Raises:
        KeyboardInterrupt: the user wants no more, of the tests that follow neither.
    """
    from voicegauge.conformance import Collector, run_check
    from voicegauge.errors import VoicegaugeError

    if _loop_is_running():
        pytest.fail("voicegauge has an event loop of its own: call it in a test that is no coroutine", pytrace=False)
    catalogue: Catalogue = request.getfixturevalue("voicegauge_catalogue")
    collector = Collector(names, request.config.getoption("--vg-seed"))
    try:
        targets = catalogue.select(names)
        with _settings(request, targets) as settings:
            run_check(collector, drive(targets, settings, collector))
    except VoicegaugeError as error:
        collector.stopped_by = str(error)
    if collector.interrupted:
        raise KeyboardInterrupt
    report = collector.report()
    if report.stopped_by and not report.exchanges:  # out here, so that nothing shows where it was raised
        pytest.fail(report.stopped_by, pytrace=False)
    return report


def _loop_is_running() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def _settings(request: pytest.FixtureRequest, targets: list[Target]) -> Iterator[CheckSettings]:
    """How services are asked: the emulator, or with what is left of the budget the services themselves."""
    from voicegauge.client import account_plans, client_key, rate_limiter_for
    from voicegauge.client.spending.shared_budget import SharedBudget
    from voicegauge.conformance import CheckSettings, emulator_check_settings
    from voicegauge.model import Provenance

    config = request.config
    seed = config.getoption("--vg-seed")
    if not config.getoption("--vg-live"):
        emulator: RunningEmulator = request.getfixturevalue("voicegauge_emulator")
        yield emulator_check_settings(emulator, targets, seed=seed)
        return
    plans = account_plans([target.contract for target in targets], config.getoption("--vg-plan"))
    keys = {target.contract.id: client_key(target.contract) for target in targets}
    folder = _shared_folder(config, request.getfixturevalue("tmp_path_factory"))
    with SharedBudget(folder / "budget", config.getoption("--vg-max-cost")).ledger() as ledger:
        yield CheckSettings(
            provenance=Provenance.RECORDED,
            keys=keys,
            ledger=ledger,
            prices=read_prices(config),
            pacers={provider: rate_limiter_for(plan, {}) for provider, plan in plans.items()},
            seed=seed,
        )


def read_prices(config: pytest.Config) -> dict[str, float]:
    """What `--vg-price` names, dollars a request by target id."""
    if not config.getoption("--vg-price"):
        return {}
    from voicegauge.contract import read_price
    from voicegauge.errors import VoicegaugeError

    try:
        return dict(map(read_price, config.getoption("--vg-price")))
    except VoicegaugeError as error:
        raise pytest.UsageError(f"--vg-price: {error}") from error
