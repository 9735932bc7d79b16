"""Keys: from the environment, and where they go in a request."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from voicegauge.contract import Contract, Operation
from voicegauge.errors import MissingKeyError, UsageError


def client_key(contract: Contract, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key of a provider; `None` where it is unset and the provider answers without one.

    Raises:
        MissingKeyError: it is unset, and the provider wants one.
        UsageError: it holds characters that cannot stand in a header.
    """
    variable = contract.provider.key_env
    key = environment.get(variable, "").strip()
    if not key:
        if contract.provider.key_optional:
            return None
        raise MissingKeyError(contract.id, variable)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{variable} holds a space or a character that no key has: set it again")
    return key


class Credential(NamedTuple):
    """One piece of a request that carries the key."""

    place: str
    """"header", "query" or "cookie"."""
    name: str
    value: str


def credentials(operation: Operation, key: str) -> list[Credential]:
    """How `operation` wants the key, by the first documented way that uses one."""
    schemes = operation.contract.security_schemes
    way = next((way for way in operation.security if way), {})
    return [_credential(schemes.get(name, {}), key) for name in way]


def _credential(scheme: Mapping[str, Any], key: str) -> Credential:
    if scheme.get("type") == "apiKey":
        return Credential(str(scheme.get("in", "header")), str(scheme["name"]), key)
    word = str(scheme.get("scheme", "Bearer"))
    if word.lower() == "basic":
        pair = key if ":" in key else f"{key}:"
        return Credential("header", "Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    # RFC 9110 compares the word without case, but providers have been seen that do not.
    return Credential("header", "Authorization", f"{'Bearer' if word.lower() == 'bearer' else word} {key}")
