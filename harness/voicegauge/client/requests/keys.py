"""Reads API keys from the environment and determines where requests contain them."""

from __future__ import annotations

import base64
import functools
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from voicegauge.contract import Contract, Operation
from voicegauge.errors import MissingKeyError, UsageError


def read_client_key(contract: Contract, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the API key of a provider; `None` if the key is not set and the provider accepts requests without a key.

    Raises:
        MissingKeyError: the key is not set, but required.
        UsageError: the key has characters that a header cannot contain.
    """
    variable = contract.provider.key_env
    key = environment.get(variable, "").strip()
    if not key:
        if contract.provider.key_optional:
            return None
        raise MissingKeyError(contract.id, variable)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{variable} has a space or another character that a key cannot have: set it again")
    return key


class Credential(NamedTuple):
    """A header, query parameter or cookie that contains the key."""

    location: str
    """Where the credential is sent: "header", "query" or "cookie"."""
    name: str
    value: str


@functools.lru_cache(maxsize=256)
def build_credentials(operation: Operation, key: str) -> tuple[Credential, ...]:
    """Return the credentials for the first documented security requirement of `operation` that uses a key."""
    schemes = operation.contract.security_schemes
    requirement = next((requirement for requirement in operation.security if requirement), {})
    return tuple(_build_credential(schemes.get(name, {}), key) for name in requirement)


def _build_credential(security_scheme: Mapping[str, Any], key: str) -> Credential:
    if security_scheme.get("type") == "apiKey":
        return Credential(str(security_scheme.get("in", "header")), str(security_scheme["name"]), key)
    word = str(security_scheme.get("scheme", "Bearer"))
    if word.lower() == "basic":
        pair = key if ":" in key else f"{key}:"
        return Credential("header", "Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    # The scheme is case-insensitive (RFC 9110, section 11.1), but some providers accept only "Bearer".
    return Credential("header", "Authorization", f"{'Bearer' if word.lower() == 'bearer' else word} {key}")
