"""Option types that several functions of the API take."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicegauge.client import Ledger

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """Permission to send billable requests to the providers' own services, and the limits of that permission.

    Nothing is sent to a live service unless a function is given an instance of this class. Keys are read from the
    environment variables that the contracts name.
    """

    max_cost_usd: float = 1.0
    """Budget in dollars. A request is not sent if its price exceeds what is left of the budget."""
    base_urls: Mapping[str, str] = field(default_factory=dict)
    """URLs to send to instead of the contract's servers, by server name; the name "" applies to all servers."""
    allow_insecure_http: bool = False
    """Whether a key may be sent over http, not https, to another machine."""
    account_plans: Sequence[str] = ()
    """Names of the plans of your accounts, which determine rate limits and prices. By default, the lowest rate limit
    and the highest price of each provider are assumed."""
    credit_prices_usd: Mapping[str, float] = field(default_factory=dict)
    """Price of one credit in dollars, by provider. It converts prices in credits to dollars, and replaces the
    documented price of a credit."""
    own_server_models: Sequence[str] = ()
    """Names of the models of a server of your own; by default those that the server lists. The first one is used for
    targets whose model the server does not have."""
    own_server_voices: Sequence[str] = ()
    """Names of the voices of a server of your own; by default those that the server lists."""
    ledger: Ledger | None = None
    """Ledger of spending that several calls share; by default a new ledger with the budget `max_cost_usd`."""
