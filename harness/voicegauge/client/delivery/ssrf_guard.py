"""Protects against server-side request forgery: rejects URLs from responses that point into the user's network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from voicegauge.errors import UnreachableError

_IPV4_IN_IPV6_NETWORKS = [ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")]
"""Networks of NAT64 (RFC 6052) and IPv4-compatible addresses, which have an IPv4 address in their last four bytes."""


class ForbiddenAddressError(Exception):
    """Raised when the host of a URL has an address that is not public."""


async def resolve_public_addresses(url: str) -> tuple[str, ...]:
    """Resolve the host of `url` and return the addresses to connect to.

    The caller must connect to these addresses, because a second lookup could return other ones (DNS rebinding). If
    the host has both IPv6 and IPv4 addresses, one of each is returned, in the system's order, because one of the two
    networks may not work.

    Raises:
        ForbiddenAddressError: one of the host's addresses is loopback, private, link-local, multicast or reserved.
        UnreachableError: the name cannot be resolved.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"{host}: name resolution failed: {error}", request_was_sent=False) from None
    families: dict[int, str] = {}
    for family, _, _, _, socket_address in found:
        require_public_address(host, str(socket_address[0]))
        families.setdefault(family, str(socket_address[0]))
    return tuple(families.values())


def require_public_address(host: str, address: str) -> None:
    """Check that `address`, and any IPv4 address embedded in it, is public.

    Raises:
        ForbiddenAddressError: an address is not public.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    for candidate in (ip, *_list_embedded_ipv4_addresses(ip)):
        if not candidate.is_global or candidate.is_multicast:
            raise ForbiddenAddressError(f"{host} is {address}, which is not a public address")


def _list_embedded_ipv4_addresses(
    ip_address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses to which an IPv6 address is translated or tunneled."""
    if isinstance(ip_address, ipaddress.IPv4Address):
        return []
    found = [ip_address.ipv4_mapped, ip_address.sixtofour, *(ip_address.teredo or ())]
    if any(ip_address in network for network in _IPV4_IN_IPV6_NETWORKS):
        found.append(ipaddress.IPv4Address(int(ip_address) & 0xFFFFFFFF))
    return [address for address in found if address is not None]


def reject_private_host_literal(url: str) -> None:
    """Check that the host of `url` is not written as a private address, or as the name of this machine.

    This check is used if a proxy resolves the name, because the addresses of the host are then not known here.

    Raises:
        ForbiddenAddressError: the host is a private address or this machine.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")  # a fully qualified name may end with a dot
    if host == "localhost" or host.endswith(".localhost"):
        raise ForbiddenAddressError(f"{host} is this machine")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        try:  # "2130706433" and "0x7f.1" are IPv4 addresses for inet_aton, and therefore for many proxies
            address = socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            return
    require_public_address(host, address)
