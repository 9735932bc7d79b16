"""The service that a check sends its cases to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from voicegauge.checks import Checker, Rule
from voicegauge.client import Client, Ledger, curl_command
from voicegauge.conformance.cases import ConformanceCase
from voicegauge.contract import Contract
from voicegauge.model import Exchange, Provenance
from voicegauge.receiver import Receiver

SaveExchanges = Callable[[ConformanceCase, Sequence[Exchange]], None]
"""Called with all exchanges of a case when it has reached a verdict."""


class CheckedService(NamedTuple):
    """A provider and how it is reached in a check."""

    contract: Contract
    client: Client
    ledger: Ledger | None = None
    """The budget of single calls. Deliveries reserve through the client."""
    prices: Mapping[str, float] = {}
    """Dollars per request by target id, as set by the user."""
    provenance: Provenance = Provenance.EMULATED
    save_exchanges: SaveExchanges | None = None
    receiver: Receiver | None = None
    """Receives callbacks."""
    control_url: str | None = None
    """Root of an emulator's control routes, at which its clock can be advanced."""

    @property
    def is_emulated(self) -> bool:
        """Whether the emulator responds."""
        return self.provenance is Provenance.EMULATED

    def checker(self, rules: Mapping[str, Rule]) -> Checker:
        """Return a checker that applies `rules` to the traffic of this service, and hides its key in findings."""
        key = self.client.secrets[0] if self.client.secrets else None

        def reproduce(exchange: Exchange) -> str:
            return curl_command(exchange.request, self.contract, key=key)

        return Checker(self.provenance, rules, reproduce, self.client.mask_secrets)
