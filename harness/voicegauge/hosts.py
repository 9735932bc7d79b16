"""Recognizes hosts that are this machine, and builds the URLs of servers."""

from __future__ import annotations

import ipaddress

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


def build_server_url(host: str, port: int, scheme: str = "http") -> str:
    """Return the URL of the server that listens on `port` of `host`; an IPv6 address is put in brackets."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
