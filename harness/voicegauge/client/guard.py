"""Where a URL from an answer may lead: never into the user's own network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from voicegauge.errors import UnreachableError


class ForbiddenAddressError(Exception):
    """A URL leads to an address that is not public."""


async def public_address(url: str) -> str:
    """The address behind the host of `url`, to connect to; looking it up again could give another.

    Raises:
        ForbiddenAddressError: one of its addresses is loopback, private, link-local,
            multicast or reserved.
        UnreachableError: its name is not known.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"{host}: looking up the name: {error}", sent=False) from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        check_address(host, address)
    return addresses[0]


def check_address(host: str, address: str) -> None:
    """Refuse `address` unless it is public; an IPv4 address inside an IPv6 one counts as itself.

    Raises:
        ForbiddenAddressError: it is not.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None) or ip
    if not inner.is_global or inner.is_multicast:
        raise ForbiddenAddressError(f"{host} is {address}, which is not a public address")


def check_literal(url: str) -> None:
    """Refuse a host written as an address that is not public, or as this machine's name.

    For a URL that a proxy resolves: the proxy's own network is not known here.

    Raises:
        ForbiddenAddressError: it is one.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        raise ForbiddenAddressError(f"{host} is this machine")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    check_address(host, host)
