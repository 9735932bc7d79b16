"""Opens connection pools of httpcore, the library below httpx. Their connections note when bytes are sent and received.

The client of httpx is not used, because it would follow redirects and store cookies.
"""

from __future__ import annotations

import importlib
import re
import ssl

import httpcore
import httpx

from voicegauge.errors import MissingExtraError, UsageError
from voicegauge.transport.network import TimedBackend

KEEP_ALIVE_S = 120.0
"""Time for which an idle connection is kept, in seconds. It is longer than any documented poll interval and most jobs,
so that polls and the requests after a job reuse the connection. A connection that the server has closed is not used."""
HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    ssl.SSLError,
)
"""The exceptions that httpcore raises if a request fails."""


def open_pool(
    proxy_url: str | None, *, ssl_context: ssl.SSLContext, max_connections: int, http2: bool
) -> httpcore.AsyncConnectionPool:
    """Return a pool of connections through a proxy, or of direct connections if `proxy_url` is `None`.

    Raises:
        UsageError: the proxy cannot be used.
    """
    try:
        return httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            proxy=None if proxy_url is None else _build_proxy(proxy_url),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=KEEP_ALIVE_S,
            http2=http2,
            network_backend=TimedBackend(),
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        # The URL may contain a password, so it is not part of the message.
        raise UsageError(
            f"the proxy named by the environment cannot be used: {describe_httpcore_error(error)}"
        ) from error


def _build_proxy(proxy_url: str) -> httpcore.Proxy:
    proxy = httpx.Proxy(proxy_url)  # parses user name and password
    if proxy.url.scheme.startswith("socks"):
        importlib.import_module("socksio")  # or the first request would fail
    url = httpcore.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    return httpcore.Proxy(url, auth=proxy.raw_auth)


def require_http2() -> None:
    """Check that HTTP/2 is installed.

    Raises:
        MissingExtraError: HTTP/2 is not installed.
    """
    try:
        import h2  # noqa: F401
    except ImportError:
        raise MissingExtraError("HTTP/2", "http2") from None


def describe_httpcore_error(error: Exception) -> str:
    """Return the message of an error of httpcore on one line, without an error number."""
    message = re.sub(r"^\[Errno [^\]]*\] ", "", " ".join(str(error).split()))
    return message.rstrip(".") or type(error).__name__
