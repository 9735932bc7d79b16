"""Tells to which hosts a key is sent, and requires the user's consent where no bundled contract names the host."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from voicegauge.client.http_request import Origin, RequestBuilder, parse_origin
from voicegauge.client.keys import ClientKey, read_client_key
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import is_bundled, load_catalogue
from voicegauge.errors import UsageError
from voicegauge.files import read_file
from voicegauge.hosts import build_server_url, is_loopback, to_socket_url


class KeyDestinations(NamedTuple):
    """The servers that receive the key of one provider."""

    contract: Contract
    server_urls: tuple[str, ...]
    """URLs with scheme, host and port, without a path and a default port."""
    unencrypted_server_urls: tuple[str, ...]
    """Those of `server_urls` that are on another machine and do not use TLS."""
    is_key_set: bool
    is_key_blank: bool
    """Whether the variable of the key is set, but has nothing but spaces."""

    def describe(self) -> str:
        """Return one line with the provider, the variable of its key, and the servers.

        If the contract is not a bundled one, the line also names its file.
        """
        variable = " and ".join(self.contract.key_variables)
        lack = f"{self.contract.provider.key_variable} is blank" if self.is_key_blank else f"{variable} is not set"
        key = f"sends the key in {variable} to" if self.is_key_set else f"sends no key ({lack}) to"
        source = "" if is_bundled(self.contract.document.path) else f", as {self.contract.document.path} says"
        return f"{self.contract.id} {key} {', '.join(self.server_urls)}{source}"

    def check_encryption(self) -> None:
        """Check that every server that receives the key is reached through TLS or is on this machine.

        Raises:
            UsageError: the key would be sent unencrypted.
        """
        if self.is_key_set and self.unencrypted_server_urls:
            url = self.unencrypted_server_urls[0]
            raise UsageError(
                f"the key in {self.contract.provider.key_variable} would be sent unencrypted to {url}: "
                f"use {'wss' if url.startswith('ws:') else 'https'}, or pass --allow-insecure-http"
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
    builder = RequestBuilder(contract, base_urls)
    origins = sorted(builder.origins)
    unencrypted = [one for one in origins if one[0] == "http" and not is_loopback(one[1])]

    def describe(origin: Origin) -> str:
        url = _format_origin(origin)
        return to_socket_url(url) if origin in builder.socket_origins else url

    key = os.environ.get(contract.provider.key_variable, "")
    return KeyDestinations(
        contract,
        tuple(map(describe, origins)),
        tuple(map(describe, unencrypted)),
        bool(key.strip()),
        bool(key) and not key.strip(),
    )


def _format_origin(origin: Origin) -> str:
    scheme, host, port = origin
    return build_server_url(host, port, scheme).removesuffix(":443" if scheme == "https" else ":80")


ALLOWED_KEYS_VARIABLE = "VOICEGAUGE_ALLOW_KEYS"
"""Environment variable with pairs that the user allows, separated by spaces."""
_VARIABLE_AND_HOST_PATTERN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
"""Matches the name of an environment variable, "=", and a host, with its port if it is not the usual one."""


def parse_allowed_key(text: str) -> str:
    """Read a pair of a variable and a host, such as "ACME_KEY=api.acme.example:8443", and return it in its usual form.

    Raises:
        UsageError: `text` is not such a pair.
    """
    pair = _VARIABLE_AND_HOST_PATTERN.fullmatch(text.strip())
    if pair is None:
        raise UsageError("write VARIABLE=HOST[:PORT], such as ACME_KEY=api.acme.example")
    variable, host, port = pair.groups()
    return f"{variable}={host.lower()}{port or ''}".removesuffix(":443")


def read_permitted_key(
    contract: Contract, base_urls: Mapping[str, str], allowed_keys: Collection[str]
) -> ClientKey | None:
    """Check that the API key of a provider may go to the hosts that will receive it, and return it.

    `None` if the key is optional and not set; see `read_client_key`.

    Raises:
        MissingKeyError: the key, or a value that is sent along with it, is not set.
        UsageError: see `check_key_consent`; or the key has characters that a header cannot contain.
    """
    check_key_consent(contract, base_urls, allowed_keys)
    return read_client_key(contract)


def check_key_consent(contract: Contract, base_urls: Mapping[str, str], allowed_keys: Collection[str]) -> None:
    """Check that every host that would receive a key of a contract is allowed to receive it.

    A host is allowed for the variable of a key by a bundled contract, by `allowed_keys`, or if it is a server on this
    machine that the user names as base URL. Every server that the user names may receive the keys of a bundled
    contract. A variable that is not set needs no consent.

    Args:
        contract: the contract of the provider.
        base_urls: replacement base URLs by the server's name in the contract; the name "" means every other server.
        allowed_keys: pairs that the user allows, as `parse_allowed_key` reads them.

    Raises:
        UsageError: a pair is not allowed; the message says how to allow it.
    """
    if is_bundled(contract.document.path):
        return
    named_origins = {parse_origin(url) for url in base_urls.values()}
    allowed = {parse_allowed_key(text) for text in allowed_keys}
    origins = sorted(
        one for one in RequestBuilder(contract, base_urls).origins if not (one in named_origins and is_loopback(one[1]))
    )
    refused: dict[str, list[str]] = {}
    for variable in contract.key_variables if origins else ():
        if not os.environ.get(variable, "").strip():
            continue
        bundled = _find_bundled_origins(variable)
        hosts = [_format_host(one) for one in origins if not any(one in known for known in bundled.values())]
        hosts = [host for host in hosts if f"{variable}={host}" not in allowed]
        if hosts:
            owner = f" (the key of {', '.join(bundled)})" if bundled else ""
            refused[f"{variable}{owner} to {', '.join(hosts)}"] = [f"--allow-key {variable}={host}" for host in hosts]
    if refused:
        flags = " ".join(flag for flags in refused.values() for flag in flags)
        raise UsageError(
            f"{contract.document.path} sends the key in {' and '.join(refused)}, which no bundled contract does: "
            f"if you trust it with that key, pass {flags}, or set {ALLOWED_KEYS_VARIABLE}"
        )


def _find_bundled_origins(variable: str) -> Mapping[str, frozenset[Origin]]:
    """Return the origins to which bundled contracts send the key in a variable, by provider."""
    origins_by_provider = {}
    for provider, path in load_catalogue().bundled_paths.items():
        if variable.encode() in read_file(path):  # loading all of them takes a second
            contract = load_catalogue().find_provider(provider)
            if variable in contract.key_variables:
                origins_by_provider[provider] = RequestBuilder(contract, {}).origins
    return origins_by_provider


def _format_host(origin: Origin) -> str:
    scheme, host, port = origin
    return build_server_url(host, port, scheme).partition("://")[2].removesuffix(":443")
