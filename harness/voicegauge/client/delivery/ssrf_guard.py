"""Where a URL from an answer may lead: never into the user's own network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from voicegauge.errors import UnreachableError

_TRANSLATED = [ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")]
"""NAT64 (RFC 6052) and IPv4-compatible addresses carry an IPv4 address in their last four bytes."""


class ForbiddenAddressError(Exception):
    """A URL leads to an address that is not public."""


async def public_addresses(url: str) -> tuple[str, ...]:
    """The addresses behind the host of `url`, to connect to; looking it up again could give others.

    One of IPv6 and one of IPv4 where it has both, the system's choice first: either network may lead nowhere.

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
    families: dict[int, str] = {}
    for family, _, _, _, place in found:
        check_address(host, str(place[0]))
        families.setdefault(family, str(place[0]))
    return tuple(families.values())


def check_address(host: str, address: str) -> None:
    """Refuse `address` unless it is public, and so is any IPv4 address inside it.

    Raises:
        ForbiddenAddressError: it is not.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    for one in (ip, *_embedded(ip)):
        if not one.is_global or one.is_multicast:
            raise ForbiddenAddressError(f"{host} is {address}, which is not a public address")


def _embedded(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address is translated or tunnelled to."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if any(ip in network for network in _TRANSLATED):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [address for address in found if address is not None]


def check_literal(url: str) -> None:
    """Refuse a host written as an address that is not public, or as this machine's name.

    For a URL that a proxy resolves: the proxy's own network is not known here.

    Raises:
        ForbiddenAddressError: it is one.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")  # a name may end with the root's dot
    if host == "localhost" or host.endswith(".localhost"):
        raise ForbiddenAddressError(f"{host} is this machine")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        try:  # "2130706433" and "0x7f.1" are addresses too
            address = socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            return
    check_address(host, address)
