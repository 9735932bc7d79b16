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

    async def test_my_webhooks(voicegauge_webhooks):
        job = my_client.submit("Good morning.", webhook=voicegauge_webhooks.url)
        told = await voicegauge_webhooks.next_callback(job.id)

receives what a provider, or the emulator, sends to a URL of this machine.

What `voicegauge check --fuzz N --write-tests DIR` writes are tests that take `voicegauge_send` or
`voicegauge_jobs`.

Nothing heavy is imported here: pytest loads this module in every run of whoever
has voicegauge installed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from voicegauge.plugin.running import check as check_all
from voicegauge.plugin.running import checked_once, hold, read_prices, run

if TYPE_CHECKING:
    from voicegauge.client import Client
    from voicegauge.conformance import CheckReport, CheckSettings, Collector
    from voicegauge.contract import Catalogue, Target
    from voicegauge.emulator import RunningEmulator
    from voicegauge.model import Finding
    from voicegauge.receiver import Receiver
    from voicegauge.recording import Replay, ReplayApp


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, all with the prefix `--vg-`."""
    group = parser.getgroup("voicegauge", "conformance of speech APIs")
    group.addoption("--vg-target", action="append", default=[], metavar="TARGET", help="only these targets")
    group.addoption("--vg-live", action="store_true", help="ask live services, keys from the environment")
    group.addoption(
        "--vg-plan", action="append", default=[], metavar="NAME", help="with --vg-live: your account's plan"
    )
    group.addoption("--vg-max-cost", type=float, default=1.0, metavar="USD", help="with --vg-live: spend at most this")
    group.addoption("--vg-price", action="append", default=[], metavar="TARGET=USD", help="dollars a request")
    group.addoption("--vg-max-calls", type=int, metavar="N", help="send only the N paid requests that show the most")
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
    if config.getoption("--vg-price") and not config.getoption("--vg-live"):
        raise pytest.UsageError("--vg-price goes with --vg-live: the emulator asks for no money")
    read_prices(config)
    for name in ("--vg-max-cost", "--vg-max-calls"):
        if not 0 <= (config.getoption(name) or 0) < float("inf"):
            raise pytest.UsageError(f"{name} {config.getoption(name)}: not a number from 0 on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `voicegauge_target` or `voicegauge_rule` once for each of them."""
    if not {"voicegauge_target", "voicegauge_rule"} & set(metafunc.fixturenames):
        return
    from voicegauge.checks import RULES
    from voicegauge.errors import VoicegaugeError

    marker = metafunc.definition.get_closest_marker("voicegauge")
    option = metafunc.config.getoption("--vg-target")
    names = option or list(marker.args if marker else ())
    try:
        targets = _catalogue(metafunc.config).select(names)
    except VoicegaugeError as error:
        where = "--vg-target" if option else f"{metafunc.definition.nodeid}: @pytest.mark.voicegauge"
        raise pytest.UsageError(f"{where}: {error}") from error
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
    from voicegauge.conformance import EMULATED_KEY as KEY
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


@pytest.fixture
def voicegauge_webhooks() -> Iterator[Receiver]:
    """A receiver of webhooks on this machine: `url` is one that nobody else has, `await next(id)` what came.

    `next` waits for ten seconds, or for `timeout_s`; `received` is all that came.
    """
    from voicegauge.receiver import running_receiver

    with running_receiver() as receiver:
        yield receiver


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
    replayed: list[Replayed] = []
    request.node.stash[_REPLAYED] = replayed  # a test that is run again begins anew
    with ExitStack() as stack:

        def start(*paths: str | Path, only: str = "", pace: float = 0.0, unused_ok: bool = False) -> Replayed:
            from voicegauge.emulator.server import running_app
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
        report = check_all(request, names, fuzz)
        hold(report, report.findings)
        return report

    return check


@pytest.fixture
def voicegauge_send(request: pytest.FixtureRequest) -> Callable[..., CheckReport]:
    """Sends one request, and fails the test if the answer breaks a rule.

    Called as `voicegauge_send("acme/voice-1", {"speed": 9}, without=["format"], expect="rejected")`:
    a plain valid request with these fields of its body changed or left out, to be `accepted`
    (as it is unless said) or `rejected`. `voicegauge check --fuzz N --write-tests DIR` writes such tests.
    """

    def send(
        target: str,
        changes: Mapping[str, object] | None = None,
        *,
        without: Sequence[str] = (),
        expect: Literal["accepted", "rejected"] = "accepted",
    ) -> CheckReport:
        from voicegauge.conformance import CasePlan, check_service, modified_request, request_case

        def drive(targets: list[Target], settings: CheckSettings, collector: Collector) -> Coroutine[Any, Any, None]:
            wire = modified_request(targets[0], changes or {}, without)
            case = request_case(targets[0], wire, expect, f"{target} {dict(changes or {})!r:.60}")
            return check_service(targets, CasePlan(cases=(case,)), settings, collector)

        report = run(request, (target,), drive)
        hold(report, report.findings)
        return report

    return send


@pytest.fixture
def voicegauge_jobs(request: pytest.FixtureRequest) -> Callable[[str, Sequence[str]], CheckReport]:
    """Takes steps with several jobs of one account, and fails the test if a rule is broken.

    Called as `voicegauge_jobs("acme/voice-1", ["submit", "submit", "poll 2", "late 1"])`; jobs are
    counted from 1. The steps are submit, poll N, late N (long after), expired N, cancel N, and unknown N: an
    id like that of job N, and nobody's.
    """

    def take(target: str, steps: Sequence[str]) -> CheckReport:
        from voicegauge.conformance import check_job_steps

        report = run(request, (target,), lambda targets, *where: check_job_steps(targets[0], steps, *where))
        hold(report, report.findings)
        return report

    return take


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
        hold(self.report, self.findings)


@pytest.fixture
def voicegauge_rule(request: pytest.FixtureRequest) -> Verdict:
    """One rule at one provider; the first test that asks checks the provider, the others read its report."""
    names, rule = request.param
    return Verdict(rule, checked_once(request, names))
