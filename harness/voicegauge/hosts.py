"""Which hosts are this machine, and the address of a server on it."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(host: str, port: int) -> str:
    """The address of a server at a port of `host`, a name or an IP address."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
