"""Protection against server-side request forgery: URLs from responses must not lead into the user's network."""

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
    """Resolve the host of `url` and return the addresses to connect to.

    The caller must connect to these addresses: a second lookup could return other ones (DNS rebinding). With both
    IPv6 and IPv4, one of each is returned, in the system's order: one of the networks may not work.

    Raises:
        ForbiddenAddressError: one of its addresses is loopback, private, link-local,
            multicast or reserved.
        UnreachableError: the name cannot be resolved.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"{host}: name resolution failed: {error}", sent=False) from None
    families: dict[int, str] = {}
    for family, _, _, _, socket_address in found:
        check_address(host, str(socket_address[0]))
        families.setdefault(family, str(socket_address[0]))
    return tuple(families.values())


def check_address(host: str, address: str) -> None:
    """Check that `address`, and any IPv4 address embedded in it, is public.

    Raises:
        ForbiddenAddressError: it is not.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    for candidate in (ip, *_embedded_ipv4(ip)):
        if not candidate.is_global or candidate.is_multicast:
            raise ForbiddenAddressError(f"{host} is {address}, which is not a public address")


def _embedded_ipv4(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses to which an IPv6 address is translated or tunnelled."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if any(ip in network for network in _TRANSLATED):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [address for address in found if address is not None]


def check_literal(url: str) -> None:
    """Check that the host of `url` is not written as a private address, or as the name of this machine.

    Used if a proxy resolves the name: then the addresses behind it are not known here.

    Raises:
        ForbiddenAddressError: it is.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")  # a fully qualified name may end with a dot
    if host == "localhost" or host.endswith(".localhost"):
        raise ForbiddenAddressError(f"{host} is this machine")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        try:  # "2130706433" and "0x7f.1" are IPv4 addresses for inet_aton, and so for many proxies
            address = socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            return
    check_address(host, address)
