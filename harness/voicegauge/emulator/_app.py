"""The ASGI app of the emulator: receives bodies and passes requests to the provider that they name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import limit_to_listed_names
from voicegauge.emulator._fault import Fault
from voicegauge.emulator._provider_app import EmulatedProviders
from voicegauge.emulator.client_findings import ClientFindingLog
from voicegauge.emulator.settings import CONTROL_PREFIX, SERVER_HEADER_VALUE, EmulatorSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp


# Creates the emulator's ASGI application, which serves all providers and the control routes.


def create_app(
    contracts: Iterable[Contract],
    settings: EmulatorSettings | None = None,
    *,
    extra_faults: Sequence[Fault] = (),
    control_route_host_names: Iterable[str] = (),
    client_findings: ClientFindingLog | None = None,
) -> ASGIApp:
    """Create an ASGI application that emulates the providers of `contracts`.

    Each provider is served below "/<provider id>/", which replaces the URLs of all its servers, and a single provider
    also at the root. The control routes are below "/_emulator/".

    Args:
        contracts: contracts of the providers.
        settings: settings; defaults if omitted.
        extra_faults: faults in addition to the known ones; they apply to all requests.
        control_route_host_names: names of this machine under which the control routes are available, in addition to
            loopback names and the address that the server listens on.
        client_findings: where findings about the clients of WebSockets go; a new log by default.

    Raises:
        UnknownNameError: the settings name an unknown fault, provider, target or operation.
        ContractError: the emulator cannot do what a contract's `emulation` asks for.
        MissingExtraError: the emulator's voices are not installed.
    """
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from voicegauge.emulator._control import ControlGuard, build_control_routes
    from voicegauge.emulator.body_limits import are_headers_too_large

    limited = tuple(limit_to_listed_names(contract) for contract in contracts)
    providers = EmulatedProviders(limited, settings or EmulatorSettings(), extra_faults, client_findings)
    control = ControlGuard(
        Starlette(routes=[Mount(CONTROL_PREFIX, routes=build_control_routes(providers))]), control_route_host_names
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and are_headers_too_large(scope):
            await Response(status_code=431, headers={"Connection": "close"})(scope, receive, send)
            return
        # Only control routes use Starlette's router, because the contract determines the routes of a provider.
        is_socket = scope["type"] == "websocket"
        controlling = not is_socket and (scope["type"] != "http" or scope["path"].startswith(f"{CONTROL_PREFIX}/"))
        if controlling:
            await control(scope, receive, _mark_as_emulated(send))
        else:
            await providers(scope, receive, send)

    return app


def _mark_as_emulated(send: Send) -> Send:
    """Return a function that sends the messages of an application with the emulator's `Server` header."""

    async def send_message(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name, value) for name, value in message.get("headers", ()) if name != b"server"]
            message = {**message, "headers": [*headers, (b"server", SERVER_HEADER_VALUE.encode())]}
        await send(message)

    return send_message
