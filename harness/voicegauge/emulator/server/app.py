"""The ASGI application: the providers under their ids, and the control routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from voicegauge.contract import Contract
from voicegauge.emulator.settings import CONTROL_PREFIX, EmulatorSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from voicegauge.emulator.faults import Fault


def create_app(
    contracts: Iterable[Contract], settings: EmulatorSettings | None = None, *, extra_faults: Sequence[Fault] = ()
) -> ASGIApp:
    """An application that plays the providers of `contracts`.

    Every provider answers under "/<provider id>/", all its servers sharing that prefix; the control
    routes lie under "/_emulator/".

    Args:
        contracts: what is played.
        settings: how.
        extra_faults: faults beside the known ones, planted everywhere; their hooks choose where they act.

    Raises:
        UnknownNameError: a fault of the settings, or the place it is limited to, is unknown.
        ContractError: what a contract says of its emulation cannot be done.
        MissingExtraError: the emulator's voices are not installed.
    """
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from voicegauge.emulator.server.control import control_routes
    from voicegauge.emulator.server.providers import EmulatedProviders

    providers = EmulatedProviders(tuple(contracts), settings or EmulatorSettings(), extra_faults)
    control = Starlette(routes=[Mount(CONTROL_PREFIX, routes=control_routes(providers))])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Only the few control routes go through a router: a provider's requests are found by its contract.
        controlling = scope["type"] != "http" or scope["path"].startswith(f"{CONTROL_PREFIX}/")
        await (control if controlling else providers)(scope, receive, send)

    return app
