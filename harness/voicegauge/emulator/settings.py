"""Settings of an emulator."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange

SCENARIO_HEADER = "X-Voicegauge-Scenario"
"""Request header that selects the response. Its value is a rejection reason, optionally with a field
("rate-limited", "invalid:text"), or "state:" with the state that a job must end in ("state:FAILED")."""
SERVER_HEADER_VALUE = "voicegauge-emulator"
"""Value of the `Server` header of every response, so that emulated traffic is never mistaken for a provider's."""
EMULATED_WEBHOOK_SECRET = "ZW11bGF0ZWQtd2ViaG9vay1zZWNyZXQ="  # noqa: S105 - of no account
"""The secret that signs callbacks if the environment has none. It can be read as text and as base64."""
EMULATED_SIGNING_KEYS = ("emulated-key", "another-emulated-key", "any-key")
"""Secret keys that clients may sign requests with, in addition to the one in the environment. The emulator accepts any
other kind of key, but it can verify a signature only if it knows the key."""
CONTROL_PREFIX = "/_emulator"
"""Prefix of the emulator's own routes: reset, clock, state, journal, faults, health, media."""


class EmulatorSettings(Record, frozen=True, kw_only=True):
    """The settings with which an emulator is started."""

    seed: int = 0
    """Seed of ids and jitter. With the same seed, the same requests in the same order get the same responses."""
    clock: Literal["real", "virtual", "per-poll"] = "real"
    """How the emulator's time advances. A "virtual" clock moves only when it is advanced through the control
    route. With "per-poll", nothing takes time, and each status request moves its job to the next state."""
    time_scale: float = 1.0
    """Factor for all emulated durations: 0.1 is ten times faster, 0 is immediate."""
    faults: tuple[str, ...] = ()
    """Faults to inject: "id", "id@provider", "id@provider/target" or "id@provider/operation"."""
    account_plan: str | None = None
    """Account plan whose limits apply. By default, and for providers without this plan, the plan with the highest
    request rate applies."""
    credits: float | None = None
    """Initial balance of every account. If it is `None`, `x-provider.credits.free_credits` of the contract is used."""
    accepts_http_webhook_urls: bool = False
    """Whether plain http webhook URLs to this machine are accepted even where the contract requires https."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts other than this machine that callbacks may be sent to; callbacks to any other host are dropped."""
    enforces_rate_limits: bool = True
    """Whether rate and concurrency limits are enforced. Headers with rate limits are sent in either case."""


def is_emulated(exchange: Exchange) -> bool:
    """Whether the emulator sent this response, according to the `Server` header.

    Such an exchange never counts as recorded, even if it came through a proxy or a custom base URL.
    """
    return exchange.response.find_header("server") == SERVER_HEADER_VALUE
