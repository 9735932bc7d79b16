"""Serves the proxy on a socket."""

from __future__ import annotations

from contextlib import AbstractContextManager

from voicegauge.conformance.proxy.relay_app import RelayApp
from voicegauge.emulator.server import running_app


def run_relay(app: RelayApp, *, host: str, port: int) -> AbstractContextManager[str]:
    """Serve `app` in a thread while the context is active, and return the root URL on entering. Close `app` at the end.

    Raises:
        UsageError: on entering the context: the port is in use, or the server does not start.
    """
    from voicegauge.conformance.proxy.relay_protocol import RelayProtocol  # uvicorn takes long to import

    return running_app(
        app, host=host, port=port, adds_date_header=False, on_shutdown=app.close, protocol_class=RelayProtocol
    )
