"""Settings of a check: how services are reached, how requests are repeated, and what is waited for after Ctrl-C."""

from __future__ import annotations

import asyncio
import shlex
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from voicegauge.cases.case import ConformanceCase
from voicegauge.client.client import Client
from voicegauge.client.connection import RateLimiter
from voicegauge.client.daily_spending import DailyBudget
from voicegauge.client.http_request import build_curl_command
from voicegauge.client.ledger import Ledger, LedgerShare
from voicegauge.conformance.case_journal import CaseJournal
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.loading import is_bundled
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator
from voicegauge.hosts import EMULATOR_PORT
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange
from voicegauge.printable_text import format_count, format_names
from voicegauge.rules.registry import RULE_BY_ID, Rule
from voicegauge.transport.timing import Clock, VirtualClock

if TYPE_CHECKING:
    from voicegauge.callback_receiver import Receiver

INTERRUPT_WAIT_S = 5.0
"""Seconds for which the first Ctrl-C waits for responses that cost money."""


class CheckInterruption:
    """Whether a check was interrupted, and which of its cases in flight cost money."""

    def __init__(self) -> None:
        """Create the state of a check that was not interrupted."""
        self.is_requested = False
        """Whether the check was interrupted: no further request is sent."""
        self._paid_cases: Counter[str] = Counter()

    @property
    def paid_case_ids(self) -> list[str]:
        """Ids of the cases in flight that cost money, in the order of sending."""
        return list(self._paid_cases.elements())

    @contextmanager
    def note_paid_case(self, case_id: str) -> Iterator[None]:
        """Note that a case which costs money is in flight while the context lasts."""
        self._paid_cases[case_id] += 1
        try:
            yield
        finally:
            self._paid_cases[case_id] -= 1

    def raise_if_interrupted(self) -> None:
        """Raise an error if the check was interrupted, so that nothing more is sent.

        Raises:
            CancelledError: the check was interrupted.
        """
        if self.is_requested:
            raise asyncio.CancelledError


@contextmanager
def end_on_interrupt(interruption: CheckInterruption, announce: Callable[[str], None]) -> Iterator[None]:
    """After Ctrl-C in this context, end the check as soon as no request that costs money is in flight.

    Such requests are waited for at most `INTERRUPT_WAIT_S` seconds, and not after a second Ctrl-C. Without such
    requests, the first Ctrl-C ends the check at once. Signals reach the main thread only: in another one, the caller
    cancels the task.

    Args:
        interruption: tells whether the check was interrupted: the check looks at it before it sends a case, and the
            caller after the context.
        announce: is called with one line about what is waited for.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    timers: list[asyncio.TimerHandle] = []

    def on_interrupt() -> None:
        is_first, ids = not interruption.is_requested, interruption.paid_case_ids
        interruption.is_requested = True
        if not is_first or not ids:
            task.cancel()
            if is_first:
                announce("stopping: what was received so far is judged")
            return
        responses = f"{format_count(len(ids), 'response')} that may cost money ({format_names(ids, 1)})"
        announce(f"stopping: waiting up to {INTERRUPT_WAIT_S:g} s for {responses}; Ctrl-C again to stop at once")
        timers.append(loop.call_later(INTERRUPT_WAIT_S, task.cancel))

    # Not `signal.signal`: its KeyboardInterrupt could be raised anywhere, also between sending and noting what is sent.
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if not interruption.is_requested:
            raise
        while task.uncancel():  # the interruption was handled here
            pass
    finally:
        for timer in timers:
            timer.cancel()
        loop.remove_signal_handler(signal.SIGINT)


# Builds the shell commands that show a finding again: curl for one request, `voicegauge check --case` for several.


DEFAULT_EMULATOR_API_KEY = "any-key"
"""The key that a curl command sends to an emulator if the environment variable for the key is not set."""


@dataclass(frozen=True)
class Reproduction:
    """How the requests and cases of one check can be repeated after the check."""

    check_arguments: tuple[str, ...] = ()
    """Arguments with which `voicegauge check` plans the same cases and sends them to the same service; empty if the
    command has no such arguments."""
    temporary_emulator_url: str | None = None
    """Root URL of the emulator, if the check started one that ends with it; otherwise `None`. Commands name the default
    URL of `voicegauge serve` instead."""
    emulator_command: str | None = None
    """The shell command that starts the emulator of the check again; `None` if the check started none."""

    def build_case_command(self, case: ConformanceCase) -> str | None:
        """Return the command that sends all requests of a planned case again; `None` if no command can."""
        if not self.check_arguments or case.is_fuzzed or not case.id.isprintable():
            return None
        return shlex.join(["voicegauge", "check", *self.check_arguments, "--case", case.id])

    def build_request_command(self, exchange: Exchange, client: Client) -> str | None:
        """Return the curl command that sends the request of an exchange again; `None` if no command can.

        Args:
            exchange: the exchange.
            client: the client that sent the request.
        """
        request, origins, default_key = exchange.request, client.origins, None
        if self.temporary_emulator_url is not None and request.url.startswith(f"{self.temporary_emulator_url}/"):
            # The port of the emulator is gone with it; `emulator_command` starts one at the default port.
            url = f"http://127.0.0.1:{EMULATOR_PORT}{request.url.removeprefix(self.temporary_emulator_url)}"
            request = msgspec.structs.replace(request, url=url)
            origins = frozenset({("http", "127.0.0.1", EMULATOR_PORT)})
            default_key = DEFAULT_EMULATOR_API_KEY
        return build_curl_command(
            request, client.contract, key=client.key, key_origins=origins, default_key=default_key
        )


def build_emulator_command(emulator: RunningEmulator, contracts: Iterable[Contract]) -> str:
    """Return the command that starts an emulator with the settings and faults of `emulator`.

    Args:
        emulator: an emulator that will not run any more when the command is used.
        contracts: the contracts to emulate.
    """
    contracts, settings = tuple(contracts), emulator.settings
    options = ["--port", str(EMULATOR_PORT), "--clock", settings.clock]
    options += ["--seed", str(settings.seed)] if settings.seed else []
    options += ["--credits", f"{settings.credits:g}"] if settings.credits is not None else []
    options += ["--plan", settings.account_plan] if settings.account_plan is not None else []
    options += ["--webhook-http"] if settings.accepts_http_webhook_urls else []
    options += _repeat_option_for_each_value("--fault", settings.faults)
    return shlex.join(["voicegauge", "serve", *(c.id for c in contracts), *options, *build_contract_options(contracts)])


def build_emulated_check_arguments(
    ids_of_repeat_command: Iterable[str], emulator: RunningEmulator, contracts: Iterable[Contract], seed: int
) -> tuple[str, ...]:
    """Return the arguments of `voicegauge check` that check the same targets at an emulator with the same faults.

    Args:
        ids_of_repeat_command: the checked providers and targets; empty for all.
        emulator: the emulator of the check.
        contracts: the contracts of the targets.
        seed: seed of everything random.
    """
    seeds = ("--seed", str(seed)) if seed else ()
    faults = _repeat_option_for_each_value("--fault", emulator.settings.faults)
    return (*ids_of_repeat_command, "--emulated", *faults, *seeds, *build_contract_options(contracts))


def build_contract_options(contracts: Iterable[Contract]) -> list[str]:
    """Return the `--contracts` options that load those of `contracts` that are not bundled."""
    own = (str(contract.document.path) for contract in contracts if not is_bundled(contract.document.path))
    return _repeat_option_for_each_value("--contracts", own)


def _repeat_option_for_each_value(option_name: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option_name, value)]


# Describes the service that a check sends its cases to.


ExchangeSaver = Callable[[ConformanceCase, Sequence[Exchange]], None]
"""A function that saves the exchanges of a case. It is called for each case with a verdict."""


@dataclass(frozen=True)
class CheckSettings:
    """How the services of a check are reached, what may be spent at them, and where what happens is kept."""

    provenance: Provenance = Provenance.EMULATED
    """Provenance of the responses."""
    base_urls_by_provider: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Base URLs by provider id, then by server name ("" for every other server)."""
    api_key_by_provider: Mapping[str, str | None] = field(default_factory=dict)
    """API keys by provider id; `None` sends no key."""
    rules: Mapping[str, Rule] = field(default_factory=lambda: RULE_BY_ID)
    """The rules to apply, by id."""
    ledger: Ledger | None = None
    """The ledger in which prices are reserved; `None` without a budget."""
    daily_budget_by_provider: Mapping[str, DailyBudget] = field(default_factory=dict)
    """What all commands spend in a day, by provider id; empty without a budget."""
    max_cost_usd_by_provider: Mapping[str, float] = field(default_factory=dict)
    """Parts of the budget, in dollars, that single providers may use up, by provider id."""
    spent_usd_by_provider: Mapping[str, float] = field(default_factory=dict)
    """Dollars that earlier commands have spent of `max_cost_usd_by_provider`, by provider id; `ledger` counts them
    already."""
    price_usd_by_name: Mapping[str, float] = field(default_factory=dict)
    """Dollars per request by target id, as set by the user."""
    rate_limiter_by_provider: Mapping[str, RateLimiter | None] = field(default_factory=dict)
    """Rate limiters by provider id, for account plans that limit requests per minute."""
    fuzz_request_count: int = 0
    """Number of random valid requests to each operation. The same number of invalid requests is sent."""
    fuzz_failures_folder: Path | None = None
    """Folder in which fuzzing saves failing examples, to try them first the next time; `None` to save nothing."""
    seed: int = 0
    """Seed of all random numbers."""
    create_clock: Callable[[], Clock] | None = None
    """Creates the clock that a client uses for waiting; `None` for the real clock."""
    max_wait_s: float | None = None
    """Maximum time of one delivery or request in seconds; `None` for as long as the contract documents."""
    save_exchanges: ExchangeSaver | None = None
    """A function that is called with the exchanges of each case that has a verdict, to record them; `None` to record
    nothing."""
    callback_receiver: Receiver | None = None
    """Receives callbacks. If it is `None` and a case needs one, a local receiver is started for the emulator."""
    emulator_control_url: str | None = None
    """Root URL of the emulator's control routes, with which its clock can be advanced; `None` for a live service."""
    ineffective_faults: tuple[str, ...] = ()
    """Value of `CheckReport.ineffective_faults`."""
    case_journal_by_provider: Mapping[str, CaseJournal] = field(default_factory=dict)
    """Journals by provider id, which record what is paid for; empty for the emulator."""
    resource_journals_folder: Path | None = None
    """Folder of the journals of created resources, with which the next run deletes what a killed run left; `None` to
    keep no journal, as for the emulator."""
    on_deletion_message: Callable[[str], None] = lambda _: None
    """A function that is called with one line about each deletion of resources that earlier runs left, also if it
    failed."""
    reproduction: Reproduction = field(default_factory=Reproduction)
    """How requests and cases can be repeated after the check."""
    interruption: CheckInterruption = field(default_factory=CheckInterruption)
    """Whether the check was interrupted by Ctrl-C."""
    concurrency: int = 1
    """Maximum number of cases of one provider in flight; 1 if a plan limits the number of billable requests."""
    max_concurrency_by_provider: Mapping[str, int | None] = field(default_factory=dict)
    """Limits of the account's plans for requests in flight, by provider id; `None` without a limit."""
    emulator_app: Any = None
    """An ASGI application that is called in this process; `None` for a service on the network."""

    def get_resource_journal_folder(self, contract: Contract) -> Path | None:
        """Return the folder of the journals of one provider; `None` if no journal is kept."""
        return None if self.resource_journals_folder is None else self.resource_journals_folder / contract.id


class CheckedService(NamedTuple):
    """A provider, and the settings with which a check reaches it."""

    contract: Contract
    client: Client
    settings: CheckSettings = CheckSettings()
    ledger: Ledger | None = None
    """The ledger in which the price of a single call is reserved; `None` without a budget. The client reserves the
    price of a delivery."""

    def copy_for_case(self) -> CheckedService:
        """Return a copy for one case, with a clock of its own and a ledger that counts what the case spends.

        Return this service if all cases share its clock and nothing is counted.
        """
        if self.ledger is None and self.settings.create_clock is None:
            return self
        # With a shared virtual clock, the wait of one case between polls would let jobs of others time out.
        ledger = LedgerShare(self.ledger) if self.ledger is not None else None
        clock = self.settings.create_clock() if self.settings.create_clock is not None else None
        return self._replace(client=self.client.copy_with(clock=clock, ledger=ledger), ledger=ledger)

    @property
    def is_emulated(self) -> bool:
        """Whether the emulator responds instead of the provider's service."""
        return self.settings.provenance is Provenance.EMULATED

    @property
    def case_journal(self) -> CaseJournal | None:
        """The journal that records what is paid for; `None` to record nothing, as for the emulator."""
        return self.settings.case_journal_by_provider.get(self.contract.id)

    def build_repeat_command(self, exchange: Exchange) -> str | None:
        """Return the command that sends the request of an exchange again; `None` if no command can."""
        return self.settings.reproduction.build_request_command(exchange, self.client)


# Makes the settings for a check against the emulator: those of the emulator and those of the check.


EMULATED_ACCOUNT_CREDITS = 1e12
"""Credits of the emulated account: enough for every request of a check. The response to an empty account is tested by
a request that asks the emulator for it."""
EMULATOR_API_KEY = "emulated-key"
"""The API key that is sent to the emulator, which accepts any key that does not begin with "invalid"."""


def build_emulator_settings(*, seed: int = 0, faults: Sequence[str] = ()) -> EmulatorSettings:
    """Return settings of an emulator in which nothing takes time and no limit is reached by accident."""
    return EmulatorSettings(
        seed=seed,
        clock="per-poll",
        faults=tuple(faults),
        enforces_rate_limits=False,
        credits=EMULATED_ACCOUNT_CREDITS,
        accepts_http_webhook_urls=True,
    )


def build_emulator_check_settings(
    emulator: RunningEmulator,
    targets: Sequence[BaseTarget],
    *,
    rules: Mapping[str, Rule] = RULE_BY_ID,
    fuzz_request_count: int = 0,
    fuzz_failures_folder: Path | None = None,
    seed: int = 0,
    ids_of_repeat_command: Sequence[str] | None = None,
) -> CheckSettings:
    """Return settings to check `targets` at an emulator; waiting between polls takes no time.

    Args:
        emulator: the emulator.
        targets: the targets to check.
        rules: the rules to apply, by id.
        fuzz_request_count: value of `CheckSettings.fuzz_request_count`.
        fuzz_failures_folder: value of `CheckSettings.fuzz_failures_folder`.
        seed: value of `CheckSettings.seed`.
        ids_of_repeat_command: the checked providers and targets. Findings contain a command that checks them again;
            `None` to leave that command out.
    """
    # Imported here, because it loads the emulator, which a live check does not need.
    from voicegauge.emulator.fault_injection import list_ineffective_faults

    contracts = list({target.contract.id: target.contract for target in targets}.values())
    providers = [contract.id for contract in contracts]
    return CheckSettings(
        provenance=Provenance.EMULATED,
        base_urls_by_provider={name: {"": emulator.base_url(name)} for name in providers},
        api_key_by_provider=dict.fromkeys(providers, EMULATOR_API_KEY),
        rules=rules,
        fuzz_request_count=fuzz_request_count,
        fuzz_failures_folder=fuzz_failures_folder,
        seed=seed,
        create_clock=VirtualClock,
        emulator_control_url=emulator.control_url,
        ineffective_faults=list_ineffective_faults(emulator.settings.faults, targets),
        reproduction=Reproduction(
            check_arguments=()
            if ids_of_repeat_command is None
            else build_emulated_check_arguments(ids_of_repeat_command, emulator, contracts, seed),
            temporary_emulator_url=emulator.url,
            emulator_command=build_emulator_command(emulator, contracts),
        ),
    )
