"""Limits of a server for slow clients and for many connections, and how an application closes a connection."""

from __future__ import annotations

from typing import NamedTuple


class ClientLimits(NamedTuple):
    """Limits of connections, and of the time, in seconds, for reading one request."""

    headers_timeout_s: float = 30.0
    """Longest time from the first byte of a request to the end of its headers. For the first request of a connection,
    the time counts from the opening of the connection."""
    body_pause_timeout_s: float = 30.0
    """Longest pause between two parts of a body."""
    body_timeout_s: float = 300.0
    """Longest time for the whole body. It is enough for the largest accepted upload at half a megabyte per second."""
    max_connections: int = 1000
    """Maximum number of open connections. A new connection above it replaces the oldest one without a complete request,
    so that nobody can occupy all of them. If every connection has a request in progress, the new one is closed."""


DEFAULT_CLIENT_LIMITS = ClientLimits()

ABORT_EXTENSION_KEY = "voicegauge.abort"
"""Key in `scope["extensions"]` of a function that closes the connection before the response is complete. Without it, an
application could only raise an exception, which uvicorn logs."""
