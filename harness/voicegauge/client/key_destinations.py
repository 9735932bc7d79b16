"""Tells to which hosts a key is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from voicegauge.client.http_request import Origin, RequestBuilder
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import is_bundled
from voicegauge.errors import UsageError
from voicegauge.hosts import build_server_url, is_loopback


class KeyDestinations(NamedTuple):
    """The servers that receive the key of one provider."""

    contract: Contract
    server_urls: tuple[str, ...]
    """URLs with scheme, host and port, without a path and a default port."""
    unencrypted_server_urls: tuple[str, ...]
    """Those of `server_urls` that are on another machine and do not use TLS."""
    is_key_set: bool

    def describe(self) -> str:
        """Return one line with the provider, the variable of its key, and the servers.

        If the contract is not a bundled one, the line also names its file.
        """
        variable = " and ".join(self.contract.key_variables)
        key = f"sends the key in {variable} to" if self.is_key_set else f"sends no key ({variable} is not set) to"
        source = "" if is_bundled(self.contract.document.path) else f", as {self.contract.document.path} says"
        return f"{self.contract.id} {key} {', '.join(self.server_urls)}{source}"

    def check_encryption(self) -> None:
        """Check that every server that receives the key is reached through TLS or is on this machine.

        Raises:
            UsageError: the key would be sent unencrypted.
        """
        if self.is_key_set and self.unencrypted_server_urls:
            raise UsageError(
                f"the key in {self.contract.provider.key_variable} would be sent unencrypted to "
                f"{self.unencrypted_server_urls[0]}: use https, or pass --allow-insecure-http"
            )


def find_key_destinations(contract: Contract, base_urls: Mapping[str, str]) -> KeyDestinations:
    """Return where the key of a provider is sent.

    Args:
        contract: the contract of the provider.
        base_urls: replacement base URLs by the server's name in the contract; the name "" means every other server.

    Raises:
        UnknownNameError: `base_urls` names a server that the contract does not have.
        UsageError: a base URL is not valid.
    """
    origins = sorted(RequestBuilder(contract, base_urls).origins)
    unencrypted = [one for one in origins if one[0] == "http" and not is_loopback(one[1])]
    return KeyDestinations(
        contract,
        tuple(map(_format_origin, origins)),
        tuple(map(_format_origin, unencrypted)),
        bool(os.environ.get(contract.provider.key_variable, "").strip()),
    )


def _format_origin(origin: Origin) -> str:
    scheme, host, port = origin
    return build_server_url(host, port, scheme).removesuffix(":443" if scheme == "https" else ":80")
