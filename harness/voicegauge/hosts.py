"""Recognizes hosts that are this machine, and builds the URLs of servers."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

EMULATOR_PORT = 8080
"""The port on which `voicegauge serve` listens unless another one is chosen."""


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, that is, localhost (RFC 6761, section 6.3) or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_this_machine(host_header: str, other_names: Collection[str] = ()) -> bool:
    """Whether the value of a Host header names this machine: a loopback name or address, or one of `other_names`.

    A page in a browser on this machine can send requests to any address, and read the responses if its own host name
    resolves to this machine (DNS rebinding). The Host header then contains the page's host name.
    """
    try:
        name = urlsplit(f"//{host_header.strip().lower()}").hostname
    except ValueError:
        return False
    return name is not None and "@" not in host_header and (is_loopback(name) or name in other_names)


_SOCKET_SCHEME_BY_HTTP_SCHEME = {"http": "ws", "https": "wss"}
_HTTP_SCHEME_BY_SOCKET_SCHEME = {"ws": "http", "wss": "https"}


def to_socket_url(url: str) -> str:
    """Return an http or https URL with ws or wss; any other text unchanged."""
    scheme, separator, rest = url.partition("://")
    return f"{_SOCKET_SCHEME_BY_HTTP_SCHEME.get(scheme, scheme)}{separator}{rest}"


def to_http_url(url: str) -> str:
    """Return a ws or wss URL with http or https; any other text unchanged."""
    scheme, separator, rest = url.partition("://")
    return f"{_HTTP_SCHEME_BY_SOCKET_SCHEME.get(scheme, scheme)}{separator}{rest}"


def build_server_url(host: str, port: int, scheme: str = "http") -> str:
    """Return the URL of the server that listens on `port` of `host`; an IPv6 address is put in brackets."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
