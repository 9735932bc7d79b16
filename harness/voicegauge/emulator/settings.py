"""How an emulator is set up."""

from __future__ import annotations

from typing import Literal

from voicegauge.model import Exchange, Record

SCENARIO_HEADER = "X-Voicegauge-Scenario"
"""Names the situation a request shall meet, as in `extension.Situation`, perhaps with a field
("rate-limited", "invalid:text"); or, for a job, the state it shall end in ("state:FAILED")."""
SERVER_NAME = "voicegauge-emulator"
"""The `Server` header of every answer: emulated traffic can be told from a provider's."""
CONTROL_PREFIX = "/_emulator"
"""Routes that no provider has: reset, clock, state, journal, faults, health, media."""
MAX_REQUEST_BYTES = 128 * 1024 * 1024
"""Larger request bodies are not read to their end; every documented upload limit is lower."""


class EmulatorSettings(Record, frozen=True, kw_only=True):
    """What an emulator is started with."""

    seed: int = 0
    """Decides ids and jitter: equal requests in equal order get equal answers."""
    clock: Literal["real", "virtual", "per-poll"] = "real"
    """"virtual" stands still until it is advanced over the control route; with "per-poll" nothing
    takes time and each status request moves its job on by one state."""
    time_scale: float = 1.0
    """The made-up times are multiplied by this: 0.1 is ten times faster, 0 is at once."""
    faults: tuple[str, ...] = ()
    """Planted faults: "id", or "id@provider", "id@provider/target", "id@provider/operation"."""
    plan: str | None = None
    """The plan of every account; of each provider that has no such plan, and by default, the one
    with the highest rate."""
    credits: float | None = None
    """What every new account has; `x-provider.credits.free` where left out."""
    webhook_http: bool = False
    """Whether webhook URLs with plain http are taken where a document refuses them, if they lead to this machine."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts beyond this machine that webhooks are sent to; to all others nothing is."""
    rate_limits: bool = True
    """Whether rate and concurrency limits are enforced; headers tell of them in either case."""


def is_emulated(exchange: Exchange) -> bool:
    """Whether the emulator answered, however it was reached: such an exchange is never `recorded`."""
    return exchange.response.header("server") == SERVER_NAME
