from __future__ import annotations

import asyncio

import pytest

from voicegauge.client.audio_download import (
    ForbiddenAddressError,
    reject_private_host_literal,
    resolve_public_addresses,
)
from voicegauge.errors import UnreachableError


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",  # noqa: S104 - rejected
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::10.0.0.1]",
    ],
)
async def test_private_addresses_are_rejected(host):
    with pytest.raises(ForbiddenAddressError, match=r"not a public address|is this machine"):
        await resolve_public_addresses(f"http://{host}/a.wav")
    with pytest.raises(ForbiddenAddressError):
        reject_private_host_literal(f"http://{host}/a.wav")


@pytest.mark.parametrize(("host", "address"), [("1.1.1.1", "1.1.1.1"), ("[2606:4700::1111]", "2606:4700::1111")])
async def test_public_addresses_pass(host, address):
    assert await resolve_public_addresses(f"https://{host}/a.wav") == (address,)
    reject_private_host_literal(f"https://{host}/a.wav")


@pytest.mark.parametrize("host", ["localhost.", "127.0.0.1."])
def test_a_proxy_does_not_resolve_names_of_this_machine(host):
    with pytest.raises(ForbiddenAddressError):
        reject_private_host_literal(f"http://{host}/a.wav")


async def test_a_host_on_both_networks_has_an_address_of_each(monkeypatch):
    async def found(*_args, **_options):
        v6, v4 = [("2606:4700::1", 443, 0, 0), ("2606:4700::2", 443, 0, 0)], [("1.1.1.1", 443), ("1.0.0.1", 443)]
        return [(family, 1, 6, "", place) for family, places in ((10, v6), (2, v4)) for place in places]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    assert await resolve_public_addresses("https://files.test/a.wav") == ("2606:4700::1", "1.1.1.1")


async def test_an_unknown_name_is_unreachable():
    with pytest.raises(UnreachableError, match="name resolution failed"):
        await resolve_public_addresses("https://nowhere.invalid/")
    reject_private_host_literal("https://nowhere.invalid/")
