"""Runs a receiver on a local port."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from voicegauge.emulator.server import ClientLimits, running_app
from voicegauge.errors import UsageError
from voicegauge.model import ReceivedCallback
from voicegauge.receiver.receiver import Receiver

_CLIENT_LIMITS = ClientLimits(
    headers_timeout_s=10.0, body_pause_timeout_s=10.0, body_timeout_s=10.0, max_connections=64
)
"""Default limits for the clients of a receiver. They suit callbacks, which are small and few. Behind a tunnel, all
connections come from the tunnel's own program on this machine."""


@contextlib.contextmanager
def run_receiver(
    *,
    port: int = 0,
    public_url: str | None = None,
    on_callback: Callable[[ReceivedCallback], None] | None = None,
    client_limits: ClientLimits = _CLIENT_LIMITS,
) -> Iterator[Receiver]:
    """Run a receiver on a local port, in a thread, until the context ends; yield the receiver.

    Args:
        port: port to listen on; 0 chooses a free one.
        public_url: URL of a tunnel to this receiver, for providers that cannot reach this machine otherwise.
        on_callback: called with each callback, in the server's thread.
        client_limits: limits for slow senders and many connections.

    Raises:
        UsageError: the port is not available, or `public_url` is not an https URL.
    """
    if public_url is not None and not public_url.startswith("https://"):
        raise UsageError(f"--public-url {public_url!r} must begin with https://: it is a tunnel's URL")
    receiver = Receiver(on_callback)
    with running_app(receiver, port=port, client_limits=client_limits) as local_url:
        receiver.base_url = (public_url or local_url).rstrip("/")
        yield receiver
