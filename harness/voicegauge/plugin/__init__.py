"""The pytest plugin, which runs a provider's contract as tests.

    def test_contract(voicegauge_target, voicegauge_check):
        voicegauge_check(voicegauge_target)

or, with one test per rule, after a single check of each provider:

    def test_contract(voicegauge_rule):
        voicegauge_rule.assert_holds()

The first runs once for every target (see `--vg-target`, `--vg-contracts`), against the emulator, or with `--vg-live`
against the services themselves. `@pytest.mark.voicegauge("acme")` chooses targets in the test file. All tests of a run
share one budget and one check of a provider, under pytest-xdist too. Every fixture can be overridden.

    def test_my_client(voicegauge_replay):
        replay = voicegauge_replay("fixtures/acme", conversation_id_part="a full delivery")
        my_client.speak("Good morning.", url=replay.base_url("acme"))

runs your client on recordings, and fails for requests that are not recorded and for recorded ones that are not sent.

    def test_my_agent(voicegauge_judged_emulator):
        my_agent.speak("Good morning.", url=voicegauge_judged_emulator.base_url("cartesia"))

fails if your client does something wrong on a WebSocket, such as leaving a context open.

    async def test_my_webhooks(voicegauge_webhooks):
        job = my_client.submit("Good morning.", webhook=voicegauge_webhooks.create_url())
        callback = await voicegauge_webhooks.wait_for_next_callback(job.id)

receives what a provider, or the emulator, sends to a URL of this machine.

`voicegauge check --fuzz N --write-tests DIR` writes tests that use `voicegauge_send` or `voicegauge_jobs`.

Nothing heavy is imported here: pytest loads this module in every run on a machine where voicegauge is installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from voicegauge.options import DeclaredOption, describe_bounds, is_in_bounds
from voicegauge.plugin._service_checks import (
    build_parser_arguments,
    call_check_function,
    check_live_options,
    check_targets,
    check_targets_once_per_run,
    close_budget,
    describe_live_access,
    fail_on_findings,
    get_plugin_flag,
    list_plugin_options,
    open_budget,
    parse_user_prices,
    require_any_key,
    share_budget_with_worker,
)

if TYPE_CHECKING:
    from voicegauge.api.local_servers import RunningReplay
    from voicegauge.callback_receiver import Receiver
    from voicegauge.client.client import Client
    from voicegauge.conformance.check_report import CheckReport
    from voicegauge.contract.contract import BaseTarget
    from voicegauge.contract.loading import Catalogue
    from voicegauge.emulator.process import RunningEmulator
    from voicegauge.model.base import Finding


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin, all with the prefix `--vg-`, to the command line of pytest."""
    group = parser.getgroup("voicegauge", "conformance of speech APIs")
    group.addoption("--vg-target", action="append", default=[], metavar="TARGET", help="only these targets")
    for declared in list_plugin_options():
        group.addoption(get_plugin_flag(declared), help=_describe_option(declared), **build_parser_arguments(declared))


def _describe_option(declared: DeclaredOption) -> str:
    """Return the help of an option of the plugin: that of the command, with what it needs and its default."""
    spec, required = declared.spec, [f"--vg-{name}" for name in declared.requires if name in {"live", "emulated"}]
    text = f"with --vg-live: {spec.help[0].lower()}{spec.help[1:]}" if required == ["--vg-live"] else spec.help
    if spec.default_text is not None:
        # A default that depends on budgets of single providers follows a semicolon; an option of pytest has one value.
        text = f"{text} Default: {spec.default_text.partition(';')[0]}."
    return text.replace("%", "%%")  # argparse formats the help of options


def _load_catalogue(config: pytest.Config) -> Catalogue:
    from voicegauge.api.target_selection import load_contracts
    from voicegauge.errors import VoicegaugeError

    try:
        return load_contracts(config.getoption("--vg-contracts"))
    except VoicegaugeError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and reject options that are invalid or exclude each other."""
    config.addinivalue_line("markers", "voicegauge(*targets): the targets that the test is about")
    if config.getoption("--vg-live") and config.getoption("--vg-fault"):
        raise pytest.UsageError("--vg-fault injects faults into the emulator, which --vg-live does not use")
    if config.getoption("--vg-price") and not config.getoption("--vg-live"):
        raise pytest.UsageError("--vg-price goes with --vg-live: the emulator is free")
    parse_user_prices(config)
    for declared in list_plugin_options():
        value = config.getoption(get_plugin_flag(declared))
        if isinstance(value, int | float) and not is_in_bounds(value, declared.spec):
            raise pytest.UsageError(
                f"{get_plugin_flag(declared)} {value}: must be a number {describe_bounds(declared.spec)}"
            )
    check_live_options(config)
    # A contract that cannot be used, and the wrong name of a target or a fault, are one line, before the tests are
    # collected.
    if config.getoption("--vg-contracts"):
        _load_catalogue(config)
    if target_names := config.getoption("--vg-target"):
        _select_targets(config, target_names, "--vg-target")
    if fault_names := config.getoption("--vg-fault"):
        _check_fault_names(config, fault_names)


def _check_fault_names(config: pytest.Config, fault_names: Sequence[str]) -> None:
    from voicegauge.emulator.fault_injection import validate_fault_names
    from voicegauge.errors import UnknownNameError

    try:
        # Loading all contracts takes seconds: only a fault of one provider, "stuck-job@acme", needs them.
        validate_fault_names(fault_names, _load_catalogue(config) if any("@" in name for name in fault_names) else ())
    except UnknownNameError as error:
        raise pytest.UsageError(f"--vg-fault: {error}") from error


def _select_targets(config: pytest.Config, names: Sequence[str], named_by: str) -> list[BaseTarget]:
    from voicegauge.errors import VoicegaugeError

    try:
        return _load_catalogue(config).select_targets(names)
    except VoicegaugeError as error:
        raise pytest.UsageError(f"{named_by}: {error}") from error


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Open the budget, and print where keys go, before the first live test."""
    config = session.config
    if not config.getoption("--vg-live") or config.getoption("collectonly") or hasattr(config, "workerinput"):
        return
    from voicegauge.model.price import format_price_usd
    from voicegauge.printable_text import escape_unprintable

    spent_by_earlier_runs_usd = open_budget(config)
    lines = list(describe_live_access(config, _load_catalogue(config)))
    if spent_by_earlier_runs_usd:
        earlier = "LIVE: a test run that did not come to its end has spent"
        lines.append(f"{earlier} {format_price_usd(spent_by_earlier_runs_usd)}, which counts towards --vg-max-cost")
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for line in lines:
            reporter.write_line(escape_unprintable(line))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let a worker of pytest-xdist, which `node` describes, spend from the budget of the test run."""
    share_budget_with_worker(node.config, node.workerinput)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the budget of the test run. Its spending does not count in later runs, because the results were printed."""
    close_budget(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that use `voicegauge_target` once per target, and tests that use `voicegauge_rule` once per rule."""
    if not {"voicegauge_target", "voicegauge_rule"} & set(metafunc.fixturenames):
        return
    from voicegauge.rules.registry import RULE_BY_ID

    marker = metafunc.definition.get_closest_marker("voicegauge")
    names = metafunc.config.getoption("--vg-target") or list(marker.args if marker else ())
    try:
        targets = _select_targets(metafunc.config, names, f"{metafunc.definition.nodeid}: @pytest.mark.voicegauge")
    except pytest.UsageError as error:
        # pytest prints the text of this error alone, without frames, and runs no test.
        raise pytest.Collector.CollectError(str(error)) from None
    if "voicegauge_target" in metafunc.fixturenames:
        metafunc.parametrize("voicegauge_target", [target.id for target in targets])
    if "voicegauge_rule" in metafunc.fixturenames:
        providers = dict.fromkeys(target.contract.id for target in targets)
        chosen = {name: tuple(t.id for t in targets if t.contract.id == name) for name in providers}
        pairs = [(names, rule) for names in chosen.values() for rule in RULE_BY_ID]
        ids = [f"{names[0].partition('/')[0]}-{rule}" for names, rule in pairs]
        metafunc.parametrize("voicegauge_rule", pairs, ids=ids, indirect=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Reject a live run if none of the services that its tests use has its key set."""
    config = session.config
    # pytest-xdist has no way to end its workers with a usage error: there each test fails with the line of its service.
    if not config.getoption("--vg-live") or config.getoption("collectonly") or hasattr(config, "workerinput"):
        return
    chosen: set[str] = set()
    for item in session.items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if "voicegauge_target" in parameters:
            chosen.add(parameters["voicegauge_target"])
        elif "voicegauge_rule" in parameters:
            chosen.update(parameters["voicegauge_rule"][0])
        elif {"voicegauge_check", "voicegauge_send", "voicegauge_jobs"} & set(getattr(item, "fixturenames", ())):
            return  # only the test itself knows which service it uses
    require_any_key(_load_catalogue(config), {target_id.partition("/")[0] for target_id in chosen})


@pytest.fixture(scope="session")
def voicegauge_catalogue(pytestconfig: pytest.Config) -> Catalogue:
    """All contracts: the bundled ones and those in the folders given with `--vg-contracts`."""
    return _load_catalogue(pytestconfig)


@pytest.fixture(scope="session")
def voicegauge_emulator(voicegauge_catalogue: Catalogue, pytestconfig: pytest.Config) -> Iterator[RunningEmulator]:
    """An emulator of all contracts that listens on a local port; every poll moves a job to its next state."""
    from voicegauge.conformance.check_settings import build_emulator_settings
    from voicegauge.emulator.process import running_emulator

    settings = build_emulator_settings(
        seed=pytestconfig.getoption("--vg-seed"), faults=pytestconfig.getoption("--vg-fault")
    )
    with running_emulator(voicegauge_catalogue, settings) as emulator:
        yield emulator


@pytest.fixture
def voicegauge_judged_emulator(voicegauge_emulator: RunningEmulator) -> Iterator[RunningEmulator]:
    """The emulator; the test fails if a client makes a mistake on a WebSocket.

    A mistake is, for example, a context that is never ended, or text that is never spoken. Close the connections before
    the test ends: a connection that is still open is not judged completely.
    """
    # The emulator is that of all tests, so what earlier ones did wrong is left out.
    known = len(voicegauge_emulator.list_client_findings(timeout_s=0))
    yield voicegauge_emulator
    found = voicegauge_emulator.list_client_findings()[known:]
    if found:
        pytest.fail("\n".join(one.describe() for one in found), pytrace=False)


@pytest.fixture
def voicegauge_client(
    voicegauge_catalogue: Catalogue, voicegauge_emulator: RunningEmulator
) -> Callable[[str], AbstractAsyncContextManager[Client]]:
    """A function that returns a client of the emulated service of a provider.

    Used as `async with voicegauge_client("acme") as client: ...`.
    """
    from contextlib import asynccontextmanager

    from voicegauge.client.client import Client
    from voicegauge.conformance.check_settings import EMULATOR_API_KEY
    from voicegauge.transport.http import Transport
    from voicegauge.transport.timing import VirtualClock

    @asynccontextmanager
    async def connect_client(provider: str):  # type: ignore[no-untyped-def]  # its type is the fixture's
        contract = voicegauge_catalogue.find_provider(provider)
        base_urls = {"": voicegauge_emulator.base_url(provider)}
        async with Transport() as transport:
            yield Client(contract, transport, base_urls=base_urls, key=EMULATOR_API_KEY, clock=VirtualClock())

    return connect_client


@pytest.fixture
def voicegauge_webhooks() -> Iterator[Receiver]:
    """A receiver of webhooks on this machine.

    `create_url()` returns a new URL, and requests to any other URL get 404. `await wait_for_next_callback(id)` returns
    the next callback about a job; it waits for ten seconds, or for `timeout_s`. `callbacks` lists all callbacks.
    """
    from voicegauge.callback_receiver import run_receiver

    with run_receiver() as receiver:
        yield receiver


class _StartedReplay(NamedTuple):
    """A replay that a test started."""

    server: RunningReplay
    allows_unused_recordings: bool
    """Whether the test may pass although the client did not send every recorded request."""

    def list_unused_and_unmatched_requests(self) -> list[str]:
        """Return a line for each request that is not recorded or was not sent; empty if the test need not fail."""
        unused = (
            []
            if self.allows_unused_recordings
            else [f"recorded, but not sent: {name}" for name in self.server.unused_requests]
        )
        return [*self.server.unmatched_requests, *unused]


_REPLAYS_STASH_KEY = pytest.StashKey[list[_StartedReplay]]()
"""Key under which a test item stores the replays that the test started; a hook judges them after the test function."""


@pytest.fixture
def voicegauge_replay(
    voicegauge_catalogue: Catalogue, request: pytest.FixtureRequest
) -> Iterator[Callable[..., RunningReplay]]:
    """A function that serves recordings to the client under test.

    Called as `voicegauge_replay("fixtures/acme", conversation_id_part="a full delivery")` with HAR files or folders of
    them. The options `conversation_id_part` and `pause_factor` are those of `voicegauge.replay`. The test fails if the
    client sends a request that is not recorded. It also fails if the client does not send a recorded request, unless
    `allows_unused_recordings` is true.
    """
    replays: list[_StartedReplay] = []
    request.node.stash[_REPLAYS_STASH_KEY] = replays  # replaced if another plugin runs the test again
    with ExitStack() as stack:

        def start_replay(
            *paths: str | Path,
            conversation_id_part: str = "",
            pause_factor: float = 0.0,
            allows_unused_recordings: bool = False,
        ) -> RunningReplay:
            from voicegauge.api.local_servers import replay
            from voicegauge.errors import VoicegaugeError

            try:
                server = replay(
                    paths,
                    contracts=voicegauge_catalogue,
                    conversation_id_part=conversation_id_part,
                    pause_factor=pause_factor,
                )
            except VoicegaugeError as error:
                pytest.fail(str(error), pytrace=False)
            replays.append(_StartedReplay(stack.enter_context(server), allows_unused_recordings))
            return replays[-1].server

        yield start_replay


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that passed if a replay received unrecorded requests, or did not receive all recorded ones."""
    # In the call and not in a finalizer of the fixture: there pytest would report an error besides a passed test.
    result = yield
    problems = [
        text for one in item.stash.get(_REPLAYS_STASH_KEY, []) for text in one.list_unused_and_unmatched_requests()
    ]
    if problems:
        from voicegauge.printable_text import escape_unprintable

        pytest.fail(escape_unprintable("\n".join(problems)), pytrace=False)
    return result


@pytest.fixture
def voicegauge_check(request: pytest.FixtureRequest) -> Callable[..., CheckReport]:
    """A function that checks targets and fails the test if it finds errors, or if it does not run to its end.

    Called as `voicegauge_check("acme/voice-1", fuzz_request_count=20)`; returns the report.
    """

    def check_and_fail_on_findings(*target_names: str, fuzz_request_count: int = 0) -> CheckReport:
        report = check_targets(request, target_names, fuzz_request_count)
        fail_on_findings(report, report.findings)
        return report

    return check_and_fail_on_findings


@pytest.fixture
def voicegauge_send(request: pytest.FixtureRequest) -> Callable[..., CheckReport]:
    """A function that sends one request and fails the test if the response breaks a rule.

    Called as `voicegauge_send("acme/voice-1", {"speed": 9}, omitted_fields=["format"], expected_outcome="rejected")`.
    The request is a minimal valid one in which these fields of the body are changed or omitted. It is expected to be
    "accepted" (the default) or "rejected".
    `voicegauge check --fuzz N --write-tests DIR` writes such tests.
    """

    def send_request(
        target_id: str,
        body_changes: Mapping[str, object] | None = None,
        *,
        omitted_fields: Sequence[str] = (),
        expected_outcome: Literal["accepted", "rejected"] = "accepted",
    ) -> CheckReport:
        from voicegauge.api.checking import check_request

        report = call_check_function(
            request,
            lambda **service: check_request(
                target_id, body_changes, omitted_fields=omitted_fields, expected_outcome=expected_outcome, **service
            ),
        )
        fail_on_findings(report, report.findings)
        return report

    return send_request


@pytest.fixture
def voicegauge_jobs(request: pytest.FixtureRequest) -> Callable[[str, Sequence[str]], CheckReport]:
    """A function that carries out steps with several jobs of one account and fails the test if a rule is broken.

    Called as `voicegauge_jobs("acme/voice-1", ["submit", "submit", "poll 2", "late 1"])`; `check_job_steps` of the
    API describes the steps.
    """

    def check_job_steps(target_id: str, steps: Sequence[str]) -> CheckReport:
        from voicegauge.api.checking import check_job_steps

        report = call_check_function(request, lambda **service: check_job_steps(target_id, steps, **service))
        fail_on_findings(report, report.findings)
        return report

    return check_job_steps


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the user's test as the place where it was skipped, instead of a line of this module."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[0] == __file__:
        path, line, _ = item.reportinfo()
        report.longrepr = (os.fspath(path), (line or 0) + 1, report.longrepr[2])
    return report


class RuleVerdict(NamedTuple):
    """The verdict of one rule on one provider."""

    rule: str
    """Id of the rule."""
    report: CheckReport
    """The report of the whole check of the provider."""

    @property
    def findings(self) -> list[Finding]:
        """All findings of the rule, including disputed ones, and findings whose cause violates the rule too."""
        return [finding for finding in self.report.findings if self.rule in finding.violated_rules]

    @property
    def no_verdict_reason(self) -> str | None:
        """The reason why the rule judged nothing; `None` if it judged something.

        Either the contract does not state what the rule needs, or no response was received to which the rule applies.
        """
        entries = (entry for entry in self.report.coverage if (entry.kind, entry.name) == ("rule", self.rule))
        return next(
            (entry.untried_reason or "the rule judged nothing" for entry in entries if not entry.reached_goal_count),
            None,
        )

    def assert_holds(self) -> None:
        """Fail the test if the rule has errors or the check did not run to its end; skip it if nothing was judged.

        A rule that could not be applied does not count as passed.
        """
        fail_on_findings(self.report, self.findings)
        if not self.findings and self.no_verdict_reason is not None:
            pytest.skip(f"{self.rule}: {self.no_verdict_reason}")  # a rule that judged nothing must not pass


@pytest.fixture
def voicegauge_rule(request: pytest.FixtureRequest) -> RuleVerdict:
    """One rule and one provider. The first test of a provider runs the check; later tests use the same report."""
    names, rule = request.param
    return RuleVerdict(rule, check_targets_once_per_run(request, names))
