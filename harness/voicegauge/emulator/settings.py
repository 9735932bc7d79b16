"""Settings of the emulator and constants shared with its clients."""

from __future__ import annotations

from typing import Literal

from voicegauge.model import Exchange, Record

SCENARIO_HEADER = "X-Voicegauge-Scenario"
"""Request header that selects the response. Its value is a rejection reason, optionally with a field
("rate-limited", "invalid:text"), or the state a job shall end in ("state:FAILED")."""
SERVER_HEADER = "voicegauge-emulator"
"""The `Server` header of every response, so that emulated traffic is never mistaken for a provider's."""
CONTROL_PREFIX = "/_emulator"
"""Prefix of the emulator's own routes: reset, clock, state, journal, faults, health, media."""


class EmulatorSettings(Record, frozen=True, kw_only=True):
    """Settings an emulator is started with."""

    seed: int = 0
    """Seed of ids and jitter: the same requests in the same order get the same responses."""
    clock: Literal["real", "virtual", "per-poll"] = "real"
    """"virtual" only moves when it is advanced through the control route. With "per-poll", nothing takes
    time and each status request moves its job to the next state."""
    time_scale: float = 1.0
    """Factor for all emulated durations: 0.1 is ten times faster, 0 is immediate."""
    faults: tuple[str, ...] = ()
    """Faults to inject: "id", "id@provider", "id@provider/target" or "id@provider/operation"."""
    plan: str | None = None
    """Account plan whose limits apply. Default, also for providers without this plan: the one with the highest rate."""
    credits: float | None = None
    """Initial balance of every account. Default: `x-provider.credits.free`."""
    webhook_http: bool = False
    """Whether plain http webhook URLs to this machine are accepted even where the contract requires https."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts other than this machine that callbacks may be sent to; callbacks to any other host are dropped."""
    rate_limits: bool = True
    """Whether rate and concurrency limits are enforced. Rate-limit headers are sent in either case."""


def is_emulated(exchange: Exchange) -> bool:
    """Return whether the emulator sent this response, by its `Server` header.

    Such an exchange never counts as recorded, even if it came through a proxy or a custom base URL.
    """
    return exchange.response.header("server") == SERVER_HEADER
