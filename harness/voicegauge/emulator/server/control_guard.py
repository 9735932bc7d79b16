"""Protects the control routes against web pages and large bodies.

A page in the user's browser can send requests to any address. If the page's host name resolves to this machine (DNS
rebinding), the page could also read the responses, such as the journal and the state of accounts. Such requests can be
recognized, because their Host header contains the page's host name, and their Origin header names the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from voicegauge.emulator.server.body_memory import BodyMemory
from voicegauge.emulator.server.request_bodies import (
    MAX_CONTROL_BODY_BYTES,
    create_receive_replaying_body,
    receive_whole_body,
)
from voicegauge.emulator.settings import CONTROL_PREFIX
from voicegauge.hosts import is_loopback

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
        """Pass an acceptable request on with its body, and reject any other."""
        if scope["type"] != "http" or scope["path"].startswith(_PUBLIC_PATH_PREFIX):
            await self._app(scope, receive, send)
            return
        reason = self._find_rejection_reason(scope)
        if reason is not None:
            await _build_error_response(403, reason)(scope, receive, send)
            return
        with self._body_memory.open_share() as share:
            try:
                body = await receive_whole_body(scope, receive, MAX_CONTROL_BODY_BYTES, share)
            except ConnectionError:
                return
            if body is not None:
                await self._app(scope, create_receive_replaying_body(body, receive), send)
                return
        await _build_error_response(413, f"the body has more than {MAX_CONTROL_BODY_BYTES} bytes")(scope, receive, send)

    def _find_rejection_reason(self, scope: Scope) -> str | None:
        """Return the reason why a request is rejected; `None` if it is accepted."""
        headers = {name: value.decode("latin-1").strip().lower() for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if not self._is_host_of_this_machine(host, scope):
            return f"control routes are not available as {host!r}: use 127.0.0.1, localhost or the emulator's --host"
        origin = headers.get(b"origin")
        if origin is not None and origin != f"{scope['scheme']}://{host}":
            return f"control routes are not available to pages of {origin!r}"
        return None

    def _is_host_of_this_machine(self, host: str, scope: Scope) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None or "@" in host:
            return False
        address = scope.get("server")  # the address of this machine that the client connected to
        return is_loopback(name) or name in self._hosts or (address is not None and name == address[0])


def _build_error_response(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status, headers={"Connection": "close"})
