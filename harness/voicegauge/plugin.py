"""The pytest plugin: a provider's contract as a test of one's own.

    def test_contract(voicegauge_target, voicegauge_check):
        voicegauge_check(voicegauge_target)

or, one test for each rule, after a single check of each provider:

    def test_contract(voicegauge_rule):
        voicegauge_rule.hold()

The first runs once for every target (see `--vg-target`, `--vg-contracts`), against the emulator, or
with `--vg-live` against the services themselves. `@pytest.mark.voicegauge("acme")` names the
targets in the file. All tests of a run share one budget and one check of a provider, under
pytest-xdist too. Every fixture can be overridden.

    def test_my_client(voicegauge_replay):
        replay = voicegauge_replay("fixtures/acme", only="a full delivery")
        my_client.speak("Good morning.", url=replay.base_url("acme"))

runs one's own client on recordings, and fails for requests that are not recorded and for
recorded ones that are not sent.

Nothing heavy is imported here: pytest loads this module in every run of whoever
has voicegauge installed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from voicegauge.client import Client
    from voicegauge.conformance import CheckReport
    from voicegauge.contract import Catalogue
    from voicegauge.emulator import RunningEmulator
    from voicegauge.model import Finding
    from voicegauge.recording import Replay, ReplayApp


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, all with the prefix `--vg-`."""
    group = parser.getgroup("voicegauge", "conformance of speech APIs")
    group.addoption("--vg-target", action="append", default=[], metavar="TARGET", help="only these targets")
    group.addoption("--vg-live", action="store_true", help="ask live services, keys from the environment")
    group.addoption("--vg-max-cost", type=float, default=1.0, metavar="USD", help="with --vg-live: spend at most this")
    group.addoption("--vg-seed", type=int, default=0, metavar="N", help="makes everything random repeatable")
    group.addoption("--vg-fault", action="append", default=[], metavar="FAULT", help="plant a fault in the emulator")
    group.addoption("--vg-contracts", action="append", default=[], metavar="DIR", help="your own contracts")


def _catalogue(config: pytest.Config) -> Catalogue:
    from voicegauge.contract import load_catalogue
    from voicegauge.errors import VoicegaugeError

    try:
        return load_catalogue([Path(folder) for folder in config.getoption("--vg-contracts")])
    except VoicegaugeError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and refuse options that exclude each other."""
    config.addinivalue_line("markers", "voicegauge(*targets): the targets that the test is about")
    if config.getoption("--vg-live") and config.getoption("--vg-fault"):
        raise pytest.UsageError("--vg-fault plants faults in the emulator; --vg-live does not ask it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `voicegauge_target` or `voicegauge_rule` once for each of them."""
    if not {"voicegauge_target", "voicegauge_rule"} & set(metafunc.fixturenames):
        return
    from voicegauge.checks import RULES
    from voicegauge.errors import VoicegaugeError

    marker = metafunc.definition.get_closest_marker("voicegauge")
    names = metafunc.config.getoption("--vg-target") or list(marker.args if marker else ())
    try:
        targets = _catalogue(metafunc.config).select(names)
    except VoicegaugeError as error:
        raise pytest.UsageError(f"--vg-target: {error}") from error
    if "voicegauge_target" in metafunc.fixturenames:
        metafunc.parametrize("voicegauge_target", [target.id for target in targets])
    if "voicegauge_rule" in metafunc.fixturenames:
        providers = dict.fromkeys(target.contract.id for target in targets)
        chosen = {name: tuple(t.id for t in targets if t.contract.id == name) for name in providers}
        pairs = [(names, rule) for names in chosen.values() for rule in RULES]
        ids = [f"{names[0].partition('/')[0]}-{rule}" for names, rule in pairs]
        metafunc.parametrize("voicegauge_rule", pairs, ids=ids, indirect=True)


@pytest.fixture(scope="session")
def voicegauge_catalogue(pytestconfig: pytest.Config) -> Catalogue:
    """All contracts: the bundled ones and those of `--vg-contracts`."""
    return _catalogue(pytestconfig)


@pytest.fixture(scope="session")
def voicegauge_emulator(voicegauge_catalogue: Catalogue, pytestconfig: pytest.Config) -> Iterator[RunningEmulator]:
    """An emulator of every contract on a real socket; jobs move on with every poll."""
    from voicegauge.conformance import emulator_settings
    from voicegauge.emulator import running_emulator

    settings = emulator_settings(seed=pytestconfig.getoption("--vg-seed"), faults=pytestconfig.getoption("--vg-fault"))
    with running_emulator(voicegauge_catalogue, settings) as running:
        yield running


@pytest.fixture
def voicegauge_client(
    voicegauge_catalogue: Catalogue, voicegauge_emulator: RunningEmulator
) -> Callable[[str], AbstractAsyncContextManager[Client]]:
    """Connects to a provider as the emulator plays it.

    Used as `async with voicegauge_client("acme") as client: ...`.
    """
    from contextlib import asynccontextmanager

    from voicegauge.client import Client
    from voicegauge.conformance.emulated import KEY
    from voicegauge.transport import Transport, VirtualClock

    @asynccontextmanager
    async def connect(provider: str):  # type: ignore[no-untyped-def]  # its type is the fixture's
        contract = voicegauge_catalogue.provider(provider)
        base_urls = {"": voicegauge_emulator.base_url(provider)}
        async with Transport() as transport:
            yield Client(contract, transport, base_urls=base_urls, key=KEY, clock=VirtualClock())

    return connect


class Replayed:
    """Recordings on a real socket, for one test."""

    def __init__(self, app: ReplayApp, root: str, *, unused_ok: bool) -> None:
        """`root` is the server's URL."""
        self.app, self.root, self._unused_ok = app, root, unused_ok

    @property
    def replay(self) -> Replay:
        """What is recorded, what was not asked for, and what was asked for in vain."""
        return self.app.replay

    def base_url(self, provider: str) -> str:
        """The base URL that stands for all servers of a provider."""
        return f"{self.root}/{provider}"

    def complaints(self) -> list[str]:
        """Why the test fails, if it does."""
        unused = [] if self._unused_ok else [f"recorded, and not asked for: {name}" for name in self.replay.unused]
        return [*self.replay.unmatched, *unused]


_REPLAYED = pytest.StashKey[list[Replayed]]()


@pytest.fixture
def voicegauge_replay(
    voicegauge_catalogue: Catalogue, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Replayed]]:
    """Replays recordings to a client of one's own.

    Called as `voicegauge_replay("fixtures/acme", only="a full delivery", pace=0, unused_ok=False)`
    with HAR files or folders of them. The test fails if anything else is asked for, or, but
    for `unused_ok`, if a recorded request is not.
    """
    replayed = request.node.stash.setdefault(_REPLAYED, [])
    with ExitStack() as stack:

        def start(*paths: str | Path, only: str = "", pace: float = 0.0, unused_ok: bool = False) -> Replayed:
            from voicegauge.emulator.serving import running_app
            from voicegauge.errors import VoicegaugeError
            from voicegauge.recording import Replay, ReplayApp, load_recordings

            try:
                recordings = load_recordings([Path(path) for path in paths], only=only)
                app = ReplayApp(Replay(recordings, voicegauge_catalogue), pace=pace)
            except VoicegaugeError as error:
                pytest.fail(str(error), pytrace=False)
            one = Replayed(app, stack.enter_context(running_app(app)), unused_ok=unused_ok)
            replayed.append(one)
            return one

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that passed for what its replays complain of."""
    result = yield
    complaints = [text for one in item.stash.get(_REPLAYED, []) for text in one.complaints()]
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)
    return result


@pytest.fixture
def voicegauge_check(request: pytest.FixtureRequest) -> Callable[..., CheckReport]:
    """Checks targets, and fails the test with every finding that is an error.

    Called as `voicegauge_check("acme/voice-1", fuzz=20)`; returns the report.
    """

    def check(*names: str, fuzz: int = 0) -> CheckReport:
        from voicegauge.model import Severity

        report = _run_check(request, names, fuzz)
        bad = [finding for finding in report.findings if finding.severity is Severity.ERROR]
        if bad or report.stopped_by:
            pytest.fail(_told(bad, report.stopped_by), pytrace=False)
        return report

    return check


class Verdict(NamedTuple):
    """How one rule came out at one provider."""

    rule: str
    report: CheckReport
    """Of the whole check of the provider."""

    @property
    def findings(self) -> list[Finding]:
        """Where the rule was broken, disputed places too."""
        return [finding for finding in self.report.findings if finding.rule == self.rule]

    def hold(self) -> None:
        """Fail the test where the rule was broken, or where the check did not come to its end."""
        from voicegauge.model import Severity

        bad = [finding for finding in self.findings if finding.severity is Severity.ERROR]
        if bad or self.report.stopped_by:
            pytest.fail(_told(bad, self.report.stopped_by), pytrace=False)


@pytest.fixture
def voicegauge_rule(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """One rule at one provider; the first test that asks checks the provider, the others read its report."""
    names, rule = request.param
    file = _shared_folder(request.config, tmp_path_factory) / f"{names[0].partition('/')[0]}-{_digest(names)}.json"
    return Verdict(rule, _checked_once(request, names, file))


def _checked_once(request: pytest.FixtureRequest, names: tuple[str, ...], file: Path) -> CheckReport:
    import fcntl

    import msgspec

    from voicegauge.conformance import CheckReport
    from voicegauge.files import write_file

    with file.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            write_file(file, msgspec.json.encode(_run_check(request, names, 0)))
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


def _told(bad: list[Finding], stopped_by: str | None) -> str:
    lines = [f"{f.rule}: {f.message} ({f.where.file}:{f.where.line})\n    {f.reproduce}" for f in bad]
    return "\n".join([*lines, stopped_by or ""]).strip()


def _run_check(request: pytest.FixtureRequest, names: tuple[str, ...], fuzz: int) -> CheckReport:
    from voicegauge.errors import VoicegaugeError

    run = _live if request.config.getoption("--vg-live") else _emulated
    try:
        return run(request, names, fuzz)
    except VoicegaugeError as error:
        pytest.fail(str(error), pytrace=False)


def _emulated(request: pytest.FixtureRequest, names: tuple[str, ...], fuzz: int) -> CheckReport:
    from voicegauge.conformance import Collector, check_service, plan_cases, run_keeping, settings_for

    catalogue: Catalogue = request.getfixturevalue("voicegauge_catalogue")
    emulator: RunningEmulator = request.getfixturevalue("voicegauge_emulator")
    targets = catalogue.select(names)
    settings = settings_for(emulator, targets, fuzz=fuzz, seed=request.config.getoption("--vg-seed"))
    collector = Collector([target.id for target in targets], settings.seed)
    plan = plan_cases(targets, emulated=True, every=True)
    run_keeping(collector, check_service(targets, plan, settings, collector))
    return collector.report()


def _live(request: pytest.FixtureRequest, names: tuple[str, ...], fuzz: int) -> CheckReport:
    from voicegauge.client import client_key
    from voicegauge.client.shared import SharedBudget
    from voicegauge.conformance import Collector, Settings, check_service, plan_cases, price_of_plan, run_keeping
    from voicegauge.model import Provenance

    catalogue: Catalogue = request.getfixturevalue("voicegauge_catalogue")
    targets = catalogue.select(names)
    keys = {target.contract.id: client_key(target.contract) for target in targets}
    seed = request.config.getoption("--vg-seed")
    plan = plan_cases(targets, emulated=False, every=False)
    price_of_plan(plan, targets, {})
    folder = _shared_folder(request.config, request.getfixturevalue("tmp_path_factory"))
    budget = SharedBudget(folder / "budget", request.config.getoption("--vg-max-cost"))
    collector = Collector([target.id for target in targets], seed)
    with budget.ledger() as ledger:
        settings = Settings(provenance=Provenance.RECORDED, keys=keys, ledger=ledger, fuzz=fuzz, seed=seed)
        run_keeping(collector, check_service(targets, plan, settings, collector))
    return collector.report()
