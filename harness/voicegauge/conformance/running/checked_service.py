"""Describes the service that a check sends its cases to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from voicegauge.checks import Checker, Rule
from voicegauge.client import Client, Ledger, LedgerShare
from voicegauge.conformance.case_journal import CaseJournal
from voicegauge.conformance.cases import ConformanceCase
from voicegauge.conformance.reproduction import Reproduction
from voicegauge.contract import Contract
from voicegauge.model import Exchange, Provenance
from voicegauge.receiver import Receiver
from voicegauge.transport import Clock

ExchangeSaver = Callable[[ConformanceCase, Sequence[Exchange]], None]
"""A function that saves the exchanges of a case. It is called for each case with a verdict."""


class CheckedService(NamedTuple):
    """A provider, and the settings with which a check reaches it."""

    contract: Contract
    client: Client
    ledger: Ledger | None = None
    """The ledger in which the price of a single call is reserved; `None` without a budget. The client reserves the
    price of a delivery."""
    price_usd_by_name: Mapping[str, float] = {}
    """Dollars per request by target id, as set by the user."""
    provenance: Provenance = Provenance.EMULATED
    """Provenance of the responses."""
    save_exchanges: ExchangeSaver | None = None
    """Saves the exchanges of each case with a verdict; `None` to save nothing."""
    callback_receiver: Receiver | None = None
    """The receiver of callbacks; `None` if no callback can be received."""
    emulator_control_url: str | None = None
    """Root URL of the emulator's control routes, with which its clock can be advanced; `None` for a live service."""
    case_journal: CaseJournal | None = None
    """The journal that records what is paid for; `None` to record nothing, as for the emulator."""
    reproduction: Reproduction = Reproduction()
    """How requests and cases can be repeated after the check."""
    create_clock: Callable[[], Clock] | None = None
    """Creates the clock on which one case waits; `None` for the clock of the client."""

    def copy_for_case(self) -> CheckedService:
        """Return a copy for one case, with a clock of its own and a ledger that counts what the case spends.

        Return this service if all cases share its clock and nothing is counted.
        """
        if self.ledger is None and self.create_clock is None:
            return self
        ledger = LedgerShare(self.ledger) if self.ledger is not None else None
        clock = self.create_clock() if self.create_clock is not None else None
        return self._replace(client=self.client.copy_with(clock=clock, ledger=ledger), ledger=ledger)

    @property
    def is_emulated(self) -> bool:
        """Whether the emulator responds."""
        return self.provenance is Provenance.EMULATED

    def create_checker(self, rules: Mapping[str, Rule]) -> Checker:
        """Return a checker that applies `rules` to the traffic of this service, and masks its key in findings."""
        return Checker(self.provenance, rules, self.build_repeat_command, self.client.mask_secrets)

    def build_repeat_command(self, exchange: Exchange) -> str | None:
        """Return the command that sends the request of an exchange again; `None` if no command can."""
        return self.reproduction.build_request_command(exchange, self.client)
