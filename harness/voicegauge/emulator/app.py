"""The ASGI app of the emulator: passes requests to the provider that they name, or to the control routes for tests.

It runs in a process of its own, which other commands start: `python -m voicegauge.emulator.app`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import limit_to_listed_names, load_contract
from voicegauge.emulator._accounts import RequestJournal
from voicegauge.emulator._endpoint_context import EndpointContext
from voicegauge.emulator._output import EmulatedResponse, Fault
from voicegauge.emulator._provider_state import EmulatedClock
from voicegauge.emulator._request import IncomingRequest
from voicegauge.emulator._speech_endpoint import send_stream
from voicegauge.emulator._speech_synthesis import check_emulation_spec
from voicegauge.emulator.client_findings import ClientFinding, ClientFindingLog
from voicegauge.emulator.fault_injection import FAULTS, FaultInjector
from voicegauge.emulator.process import (
    CONTROL_PREFIX,
    SERVER_HEADER_VALUE,
    EmulatorProcessConfig,
    EmulatorSettings,
    EmulatorStartupMessage,
    create_server_certificate,
)
from voicegauge.emulator.provider_app import EmulatedProvider, reject_handshake
from voicegauge.emulator.server import (
    MAX_CONTROL_BODY_BYTES,
    BodyMemory,
    ReceivedBody,
    ServerOptions,
    are_headers_too_large,
    bind_socket,
    create_receive_replaying_body,
    receive_provider_request_body,
    receive_whole_body,
    serve_app,
)
from voicegauge.errors import UnknownNameError, VoicegaugeError
from voicegauge.formats.bodies import UnreadableBodyError, read_json
from voicegauge.hosts import names_this_machine
from voicegauge.speech.containers import suppress_decoder_stderr

# Serves all emulated providers in one ASGI application, and keeps a journal of their requests.


class EmulatedProviders:
    """The emulated providers, with a clock and a journal that they share."""

    def __init__(
        self,
        contracts: Sequence[Contract],
        settings: EmulatorSettings,
        extra_faults: Sequence[Fault] = (),
        client_findings: ClientFindingLog | None = None,
    ) -> None:
        """Create a provider for each contract, without accounts and jobs. See `create_app`, also for `None`."""
        for contract in contracts:
            for target in contract.targets.values():
                check_emulation_spec(target)
        self.contracts, self.settings = contracts, settings
        self.fault_injector = FaultInjector(settings.faults, contracts, extra_faults)
        self.journal = RequestJournal()
        self.client_findings = client_findings or ClientFindingLog()
        self._body_memory = BodyMemory()
        self.reset()

    def reset(self) -> None:
        """Reset the clock and all providers, and clear the journal and the findings about clients; faults are kept."""
        self.clock = EmulatedClock(self.settings)
        self.journal.clear()
        self.client_findings.clear()
        lock = asyncio.Lock()
        self.providers = {
            contract.id: EmulatedProvider(
                EndpointContext(
                    contract.select_account_plans([self.settings.account_plan] if self.settings.account_plan else []),
                    self.settings,
                    clock=self.clock,
                    fault_injector=self.fault_injector,
                    client_findings=self.client_findings,
                    upload_lock=lock,
                )
            )
            for contract in self.contracts
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request to a provider, or to the handshake and the messages of a WebSocket."""
        path = read_raw_path(scope)
        provider_id, _, rest = path.lstrip("/").partition("/")
        provider, prefix = self.providers.get(provider_id), f"/{provider_id}"
        if provider is not None:
            path = f"/{rest}"
        elif len(self.providers) == 1:  # clients whose base URL has only a host reach it, too
            provider, prefix = next(iter(self.providers.values())), ""
        reason = f"no such provider; here are: {', '.join(f'/{name}' for name in self.providers)}"
        if scope["type"] == "websocket":
            if provider is None:
                await receive()
                self.client_findings.add_rejected_handshake(provider_id, path, reason)
                await reject_handshake(send, HTTPStatus.NOT_FOUND, reason)
            else:
                body = ReceivedBody(b"", None, 0)
                incoming_request = _build_incoming_request({**scope, "method": "GET"}, prefix, path, body)
                await provider.sockets.serve(incoming_request, scope, receive, send)
            return
        if provider is None:
            await Response(f"{reason}\n", 404)(scope, receive, send)
            return
        try:
            response = await self._respond(provider, prefix, path, scope, receive)
        except ConnectionError:
            return
        if response is None:
            await Response("the body is too large\n", 413, {"Connection": "close"})(scope, receive, send)
            return
        if response.stream_pieces is not None and response.replacement_body_bytes is None:
            await send({"type": "http.response.start", "status": response.status, "headers": _encode_headers(response)})
            await send_stream(response, response.stream_pieces, self.clock, receive, send)
        else:
            await send_response(response, send)

    async def _respond(
        self, provider: EmulatedProvider, base_path: str, path: str, scope: Scope, receive: Receive
    ) -> EmulatedResponse | None:
        """Read the request and return its response; `None` if its body is too large.

        Args:
            provider: the provider that the URL names.
            base_path: the path of the provider's base URL; empty at the root of the port.
            path: the path below the base URL.
            scope: the ASGI scope of the request.
            receive: receives the body.

        Raises:
            ConnectionError: the client disconnected.
        """
        # The share ends before the response is sent, for which the client may take hours.
        with self._body_memory.open_share() as share:
            body = await receive_provider_request_body(scope, receive, share)
            if body is None:
                return None
            incoming_request = _build_incoming_request(scope, base_path, path, body)
            del body  # an upload may have 100 MiB: it is not kept while speech is synthesized
            response = await provider.respond(incoming_request)
            self.journal.record_request(provider.context.contract, incoming_request, response, self.clock.now())
            return response


def read_raw_path(scope: MutableMapping[str, Any]) -> str:
    """Return the path with its percent-escapes, so that an escaped slash does not split a path parameter."""
    encoded_path: bytes | None = scope.get("raw_path")
    return encoded_path.partition(b"?")[0].decode("latin-1") if encoded_path is not None else str(scope["path"])


def _build_incoming_request(scope: Scope, base_path: str, path: str, body: ReceivedBody) -> IncomingRequest:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    forwarded = headers.get("x-forwarded-for", "").split(",")[0].strip()
    server_host, server_port = scope.get("server") or ("localhost", None)
    host = headers.get("host") or (server_host if server_port is None else f"{server_host}:{server_port}")
    return IncomingRequest(
        method=scope["method"],
        path=path,
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        body=body.content,
        form_reader=body.form_reader,
        body_size_bytes=body.size_bytes,
        base_url=f"{scope['scheme']}://{host}{base_path}",
        raw_query=scope["query_string"].decode("latin-1"),
        client_address=forwarded or (scope["client"][0] if scope.get("client") else "unknown"),
    )


def _encode_headers(response: EmulatedResponse) -> list[tuple[bytes, bytes]]:
    headers = {name.lower(): value for name, value in response.headers.items() if name.lower() != "content-type"}
    headers["server"] = SERVER_HEADER_VALUE
    if response.media_type:
        headers["content-type"] = response.media_type
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def send_response(response: EmulatedResponse, send: Send) -> None:
    """Send a response that is not streamed; if a fault cuts it, the connection is closed after half of the body."""
    payload = response.encode_payload()
    head = _encode_headers(response)
    if response.status >= 200 and response.status not in (204, 304):  # RFC 9110, section 8.6
        head.append((b"content-length", b"%d" % (len(payload) or int(response.is_connection_cut))))
    await send({"type": "http.response.start", "status": response.status, "headers": head})
    sent = payload[: len(payload) // 2] if response.is_connection_cut else payload
    await send({"type": "http.response.body", "body": sent, "more_body": response.is_connection_cut})


# Control routes for tests: health, reset, clock, state, journal, faults, and audio without a documented URL.
#
# A page in the user's browser can send requests to any address. If the page's host name resolves to this machine (DNS
# rebinding), the page could also read the responses, such as the journal and the state of accounts. Such requests can
# be recognized, because their Host header contains the page's host name, and their Origin header names the page.


MAX_EMULATED_UNIX_TIME_S = 250_000_000_000.0
"""Latest Unix time of an emulated clock, in the year 9892: timestamps have only four digits for the year."""


def build_control_routes(providers: EmulatedProviders) -> list[BaseRoute]:
    """Return the routes that inspect and control `providers`."""
    control = _ControlRoutes(providers)
    return [
        Route("/health", control.get_health),
        Route("/reset", control.reset_providers, methods=["POST"]),
        Route("/clock", control.get_clock),
        Route("/clock", control.advance_clock, methods=["POST"]),
        Route("/state", control.get_state),
        Route("/journal", control.get_journal),
        Route("/client-findings", control.get_client_findings),
        Route("/faults", control.get_faults),
        Route("/faults", control.replace_faults, methods=["PUT"]),
        Route("/media/{provider}/{name:path}", _AudioRoute(providers)),
    ]


def _describe_control_routes(routes: Iterable[BaseRoute]) -> Callable[[Request, Exception], Response]:
    """Return a function that answers a request for a control route that is none of `routes`, or has another method."""
    methods: dict[str, set[str]] = {}
    for route in routes:
        if isinstance(route, Route) and route.methods:  # audio has none: a URL in a response leads there
            methods.setdefault(route.path, set()).update(route.methods - {"HEAD"})
    known = ", ".join(f"{' or '.join(sorted(of_path))} {path}" for path, of_path in methods.items())

    def reject_control_request(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        message = f"no control route {request.method} {request.url.path}; below {CONTROL_PREFIX} are {known}"
        return JSONResponse({"error": message}, status)

    return reject_control_request


class _ControlRoutes:
    """The functions that answer the control routes."""

    def __init__(self, providers: EmulatedProviders) -> None:
        self._emulated = providers

    async def get_health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "emulated": True, "providers": list(self._emulated.providers)})

    async def reset_providers(self, _request: Request) -> Response:
        """Delete what providers store, the journal and the findings about clients, and reset the clock."""
        self._emulated.reset()
        return JSONResponse({"status": "ok"})

    async def get_clock(self, _request: Request) -> Response:
        clock = self._emulated.clock
        return JSONResponse({"kind": clock.mode, "now": clock.now()})

    async def advance_clock(self, request: Request) -> Response:
        """Advance the clock by the number of seconds in the body, such as {"advance_s": 12.5}."""
        body = await _read_json_body(request)
        seconds = body.get("advance_s") if isinstance(body, dict) else None
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds >= 0:
            return _build_control_error_response('send {"advance_s": seconds}, 0 or more')
        if seconds > MAX_EMULATED_UNIX_TIME_S - self._emulated.clock.now():  # a sum with a huge integer would overflow
            return _build_control_error_response("the clock would be later than the year 9999")
        self._emulated.clock.advance(float(seconds))
        for provider in self._emulated.providers.values():
            await provider.webhooks.send_due_callbacks()
        return await self.get_clock(request)

    async def get_state(self, _request: Request) -> Response:
        """Return accounts, jobs, resources and callbacks of every provider, without keys."""
        found = {}
        for name, provider in self._emulated.providers.items():
            state = provider.context
            for job in state.job_store.jobs.values():
                state.job_store.update_job_state(job)  # which makes the refunds that are due
            found[name] = {
                "accounts": [
                    {
                        "keyless": account.is_keyless,
                        "credits": account.credit_balance,
                        "spent": account.spent_credits,
                        "requests_in_window": account.rate_window.request_count,
                        "keyless_characters": account.keyless_character_count,
                    }
                    for account in state.accounts
                ],
                "jobs": [
                    {
                        "id": job.id,
                        "target": job.target.id,
                        "state": job.state,
                        "charge": job.charge,
                        "refunded": job.is_refunded,
                        "created": job.created_at_s,
                    }
                    for job in state.job_store.jobs.values()
                ],
                "resources": [
                    {"id": resource.id, "name": resource.resource_spec.display_name, "state": resource.state}
                    for resource in state.resources
                ],
                "webhooks": [
                    {
                        "job": record.job_id,
                        "final": record.is_final,
                        "status": record.response_status,
                        "sent": record.was_sent,
                    }
                    for record in provider.webhooks.callback_records
                ],
            }
        return JSONResponse(found)

    async def get_journal(self, _request: Request) -> Response:
        """Return the latest requests in order of their responses, with secrets masked."""
        return JSONResponse(list(self._emulated.journal))

    async def get_client_findings(self, _request: Request) -> Response:
        """Return what clients of WebSockets did wrong."""
        return JSONResponse(msgspec.to_builtins(self._emulated.client_findings.build_response()))

    async def get_faults(self, _request: Request) -> Response:
        known = {fault.id: fault.description for fault in FAULTS.values()}
        return JSONResponse({"injected": list(self._emulated.fault_injector.names), "known": known})

    async def replace_faults(self, request: Request) -> Response:
        """Replace the injected faults by those in the body, such as {"faults": ["wrong-type@provider"]}."""
        body = await _read_json_body(request)
        names = body.get("faults") if isinstance(body, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return _build_control_error_response('send {"faults": ["id", "id@provider/target"]}')
        try:
            checked = FaultInjector(names, self._emulated.contracts)
        except UnknownNameError as error:
            return _build_control_error_response(str(error))
        self._emulated.fault_injector.replace_faults(checked)
        return await self.get_faults(request)


class _AudioRoute:
    """Serves audio whose URL the contract does not describe.

    It is an ASGI application: a function would return a response, which Starlette sends, but a fault may cut it off.
    """

    def __init__(self, providers: EmulatedProviders) -> None:
        self._emulated = providers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        provider = self._emulated.providers.get(request.path_params["provider"])
        name = request.path_params["name"]
        response = await provider.context.downloads.find_download_response(name) if provider is not None else None
        if response is None or request.method not in ("GET", "HEAD"):
            await Response("no such file\n", 404)(scope, receive, send)
            return
        self._emulated.fault_injector.change_response(response)
        await send_response(response, send)


async def _read_json_body(request: Request) -> Any:
    try:
        return read_json(await request.body())
    except UnreadableBodyError:
        return None


def _build_control_error_response(message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Response:
    # The connection is closed, because the rest of a body that is too large was not read.
    return JSONResponse({"error": message}, status, headers={"Connection": "close"})


# Protects the control routes against web pages and large bodies.


_PUBLIC_PATH_PREFIX = f"{CONTROL_PREFIX}/media/"
"""Path prefix of audio for clients of the providers. It is not protected, because those clients may use other names of
this machine, and because file names are random."""


class ControlGuard:
    """Rejects requests to the control routes that do not come from this machine's own clients."""

    def __init__(self, app: ASGIApp, control_route_host_names: Iterable[str] = ()) -> None:
        """Protect `app`.

        Args:
            app: the application with the control routes.
            control_route_host_names: names of this machine, in addition to loopback names and addresses.
        """
        self._app, self._hosts = app, frozenset(host.lower() for host in control_route_host_names)
        self._body_memory = BodyMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request with its body to the application, unless it is rejected."""
        if scope["type"] != "http" or scope["path"].startswith(_PUBLIC_PATH_PREFIX):
            await self._app(scope, receive, send)
            return
        reason = self._find_rejection_reason(scope)
        if reason is not None:
            await _build_control_error_response(reason, HTTPStatus.FORBIDDEN)(scope, receive, send)
            return
        with self._body_memory.open_share() as share:
            try:
                body = await receive_whole_body(scope, receive, MAX_CONTROL_BODY_BYTES, share)
            except ConnectionError:
                return
            if body is not None:
                await self._app(scope, create_receive_replaying_body(body, receive), send)
                return
        reason = f"the body has more than {MAX_CONTROL_BODY_BYTES} bytes"
        await _build_control_error_response(reason, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)(scope, receive, send)

    def _find_rejection_reason(self, scope: Scope) -> str | None:
        """Return the reason why a request is rejected; `None` if it is accepted."""
        headers = {name: value.decode("latin-1").strip().lower() for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        address = scope.get("server")  # the address of this machine that the client connected to
        if not names_this_machine(host, {*self._hosts, *([address[0]] if address is not None else [])}):
            return f"control routes are not available as {host!r}: use 127.0.0.1, localhost or the emulator's --host"
        origin = headers.get(b"origin")
        if origin is not None and origin != f"{scope['scheme']}://{host}":
            return f"control routes are not available to pages of {origin!r}"
        return None


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
        settings: settings; `None` for the defaults.
        extra_faults: faults to inject in addition to those that the settings name; they apply to all requests.
        control_route_host_names: names of this machine under which the control routes are available, in addition to
            loopback names and the address that the server listens on.
        client_findings: where findings about the clients of WebSockets go; `None` for a new log.

    Raises:
        UnknownNameError: the settings name an unknown fault, provider, target or operation.
        ContractError: the emulator cannot do what a contract's `emulation` asks for.
        MissingExtraError: the emulator's voices are not installed.
    """
    from starlette.applications import Starlette
    from starlette.routing import Mount

    limited = tuple(limit_to_listed_names(contract) for contract in contracts)
    providers = EmulatedProviders(limited, settings or EmulatorSettings(), extra_faults, client_findings)
    routes = build_control_routes(providers)
    reject_control_request = _describe_control_routes(routes)
    control = ControlGuard(
        Starlette(
            routes=[Mount(CONTROL_PREFIX, routes=routes)],
            exception_handlers={404: reject_control_request, 405: reject_control_request},
        ),
        control_route_host_names,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and are_headers_too_large(scope):
            await Response(status_code=431, headers={"Connection": "close"})(scope, receive, send)
            return
        # Only control routes use Starlette's router, because the contract determines the routes of a provider.
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"].startswith(f"{CONTROL_PREFIX}/")):
            await control(scope, receive, _mark_as_emulated(send))
        else:
            await providers(scope, receive, send)

    return app


def serve(
    contracts: Iterable[Contract],
    settings: EmulatorSettings,
    bound_socket: socket.socket,
    *,
    host: str = "127.0.0.1",
    on_ready: Callable[[Callable[[], None]], None],
    ssl_context: ssl.SSLContext | None = None,
    on_client_finding: Callable[[ClientFinding], None] | None = None,
) -> None:
    """Serve an emulator of `contracts` on `bound_socket` until it is stopped or interrupted.

    Args:
        contracts: contracts of the providers.
        settings: settings of the emulator.
        bound_socket: the socket returned by `bind_socket`, which is closed at the end.
        host: the name or address to which `bound_socket` was bound; the control routes are available under it.
        on_ready: function that is called once the server accepts requests. Its argument is a function that stops the
            server and can be called from any thread.
        ssl_context: the certificate of the server; `None` for http and ws.
        on_client_finding: function that is called with each finding about a client of a WebSocket; `None` for none.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the server is stopped.
    """
    log = ClientFindingLog(on_client_finding)
    app = create_app(contracts, settings, control_route_host_names=[host], client_findings=log)
    options = ServerOptions(accepts_sockets=True, ssl_context=ssl_context)
    serve_app(app, bound_socket, on_ready=on_ready, options=options)


def _mark_as_emulated(send: Send) -> Send:
    """Return a function that sends the messages of an application with the emulator's `Server` header."""

    async def send_message(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name, value) for name, value in message.get("headers", ()) if name != b"server"]
            message = {**message, "headers": [*headers, (b"server", SERVER_HEADER_VALUE.encode())]}
        await send(message)

    return send_message


def main() -> None:
    """Serve the emulator that a line of JSON on standard input configures, until standard input is closed."""
    suppress_decoder_stderr()
    logging.disable(logging.CRITICAL)  # faults break connections on purpose; tracebacks of those are noise
    if sys.stdin.isatty() or not (first_line := sys.stdin.buffer.readline()):
        sys.exit("this module is started by other commands with its settings: run `voicegauge serve`")
    config = msgspec.json.decode(first_line, type=EmulatorProcessConfig)
    try:
        contracts = [load_contract(Path(file)) for file in config.contract_paths]
        bound_socket = bind_socket(config.host, config.port)
        port = int(bound_socket.getsockname()[1])
        with contextlib.ExitStack() as stack:
            certificate = stack.enter_context(create_server_certificate(config.host)) if config.uses_tls else None
            startup = EmulatorStartupMessage(
                port=port,
                provider_ids=tuple(contract.id for contract in contracts),
                authority_path=str(certificate.authority_file) if certificate else None,
            )

            def on_ready(stop_server: Callable[[], None]) -> None:
                threading.Thread(target=_wait_for_end_of_input, args=(stop_server,), daemon=True).start()
                with contextlib.suppress(BrokenPipeError):  # the parent has exited; standard input ends as well
                    _write_startup_message(startup)

            serve(
                contracts,
                config.settings,
                bound_socket,
                host=config.host,
                on_ready=on_ready,
                ssl_context=certificate.ssl_context if certificate else None,
            )
    except VoicegaugeError as error:
        _write_startup_message(EmulatorStartupMessage(error_message=str(error)))


def _wait_for_end_of_input(on_end: Callable[[], None]) -> None:
    # Not with sys.stdin: this thread would hold its lock at interpreter shutdown, which aborts the process.
    while os.read(sys.stdin.fileno(), 65536):
        pass
    on_end()


def _write_startup_message(startup_message: EmulatorStartupMessage) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(startup_message) + b"\n")


if __name__ == "__main__":
    main()
