"""Finds the URL to which a request to the proxy is forwarded, and the headers that are forwarded with it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from voicegauge.contract import Contract, Server
from voicegauge.transport import RawHeaders

_HOP_BY_HOP_HEADERS = frozenset(
    [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ]
)
"""Headers about one connection, which are not forwarded (RFC 9110, section 7.6.1)."""

MAX_CACHED_PATHS = 1000
"""Maximum number of pairs of method and path whose server is cached. Finding a server takes as long as all other work
of the proxy for a request."""


class Upstream:
    """The service to which the proxy forwards requests: the servers of a contract, or the URL that the user names."""

    def __init__(self, contract: Contract, base_url: str | None) -> None:
        """Prepare to forward requests to the service of a contract.

        Args:
            contract: contract of the provider.
            base_url: base URL in place of those of all servers; `None` for the contract's own servers.
        """
        self._contract = contract
        self._url = base_url.rstrip("/") if base_url is not None else None
        self._servers = sorted(contract.servers.values(), key=lambda server: len(server.url), reverse=True)
        self._find_server = functools.lru_cache(MAX_CACHED_PATHS)(self._find_server_uncached)

    @property
    def base_urls(self) -> Mapping[str, str]:
        """The base URLs in place of the contract's own, by server name, as for `UrlCanonicalizer`."""
        return {} if self._url is None else {"": self._url}

    def find_origin_and_request_target(self, method: str, path: str, query: str) -> tuple[str, str]:
        """Return the origin, such as "https://api.example", and the path with the query, to which to forward a request.

        Args:
            method: method of the request.
            path: path of the request to the proxy, as it was sent.
            query: query of the request, without the question mark.
        """
        server = self._find_server(method, path)
        url = server.url if self._url is None else self._url
        parts = urlsplit(url)
        if self._url is not None:
            relative = _find_relative_path(server, path)
            # A path outside of the server's, such as that of a file, is not below the base URL either.
            path = path if relative is None else f"{parts.path}{relative}"
        return f"{parts.scheme}://{parts.netloc}", f"{path or '/'}{'?' if query else ''}{query}"

    def _find_server_uncached(self, method: str, path: str) -> Server:
        """Return the server of the requested operation.

        If no operation matches, it is the first server with a matching base path, or else the first server.
        """
        with_path = [server for server in self._servers if _find_relative_path(server, path) is not None]
        for server in with_path:
            match = self._contract.match_operation(method, _find_relative_path(server, path) or "/")
            if match is not None and match[0].server.url == server.url:
                return server
        return with_path[0] if with_path else next(iter(self._contract.servers.values()))


def _find_relative_path(server: Server, path: str) -> str | None:
    base = urlsplit(server.url).path.rstrip("/")
    return path[len(base) :] if f"{path}/".startswith(f"{base}/") else None


def select_forwarded_headers(headers: Iterable[tuple[bytes, bytes]], *, is_request: bool) -> RawHeaders:
    """Return the headers of a message without those about its connection (RFC 9110, section 7.6.1).

    "Host" and "Expect" of a request are left out as well: the service has another name, and the proxy itself asks for
    the body. "Content-Length" is left out beside "Transfer-Encoding", which replaces it (RFC 9112, section 6.3).
    """
    pairs = list(headers)
    left_out = set(_HOP_BY_HOP_HEADERS)
    for name, value in pairs:
        if name.lower() == b"connection":
            left_out |= {option.strip().lower() for option in value.split(b",")}
        elif name.lower() == b"transfer-encoding":
            left_out.add(b"content-length")
    if is_request:
        left_out |= {b"host", b"expect"}
    return [(name, value) for name, value in pairs if name.lower() not in left_out]
