"""Reads keys from the environment."""

from __future__ import annotations

import base64
import functools
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.provider import KeySpec
from voicegauge.contract.operation import Operation
from voicegauge.errors import MissingKeyError, UsageError
from voicegauge.model.exchange import Request

CREDENTIAL_PLACEHOLDER_PREFIX = "computed-when-sent"
"""Beginning of the placeholder for an access token or a signature. The credential replaces it when the request is
sent."""
AWS_SIGNATURE_SCHEME = "AWS4-HMAC-SHA256"
"""Scheme in the `Authorization` header of a request that is signed for AWS (Signature Version 4)."""


class ClientKey(str):
    """The API key of a provider, with the values that are sent along with it, such as a user id."""

    __slots__ = ("values_by_variable",)
    values_by_variable: Mapping[str, str]
    """Values of the other environment variables that the contract's security schemes name, by variable."""

    def __new__(cls, key: str, values_by_variable: Mapping[str, str]) -> Self:
        """Create the key, with the values that are sent along with it."""
        created = super().__new__(cls, key)
        created.values_by_variable = values_by_variable
        return created


def read_client_key(contract: Contract, environment: Mapping[str, str] = os.environ) -> ClientKey | None:
    """Return the API key of a provider; `None` if the key is not set and the provider accepts requests without a key.

    Raises:
        MissingKeyError: the key, or a value that is sent along with it, is not set.
        UsageError: the key has characters that a header cannot contain.
    """
    values = {variable: _read_environment_variable(variable, environment) for variable in contract.key_variables}
    if _accepts_no_key(contract) and not values[contract.provider.key_variable]:
        return None
    for variable in find_missing_key_variables(contract, environment):
        raise MissingKeyError(contract.id, variable)
    return ClientKey(values.pop(contract.provider.key_variable), values)


def find_missing_key_variables(contract: Contract, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the environment variables that requests to a provider need and that are not set.

    These are the variable of the key and those of the values that are sent along with it. The result is empty if the
    key is not set and the provider accepts requests without a key.
    """
    missing = tuple(variable for variable in contract.key_variables if not environment.get(variable, "").strip())
    return () if _accepts_no_key(contract) and contract.provider.key_variable in missing else missing


def _accepts_no_key(contract: Contract) -> bool:
    """Whether requests may be sent without a key: it is optional, or no security scheme says how one is sent."""
    return contract.provider.is_key_optional or not contract.key_specs


def _read_environment_variable(variable_name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(variable_name, "").strip()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise UsageError(f"{variable_name} has a space or another character that a key cannot have: set it again")
    return value


def list_secrets(key: str | None) -> tuple[str, ...]:
    """Return the secret texts of a key: the key, then the values that are sent along with it; empty for no key."""
    if not key:
        return ()
    return (key, *key.values_by_variable.values()) if isinstance(key, ClientKey) else (key,)


def read_values_by_variable(contract: Contract, key: str) -> dict[str, str]:
    """Return the value to send for each environment variable that the contract names.

    For the variable of the key itself, this is `key`. If `key` is a `ClientKey`, the values for the other variables are
    those in its `values_by_variable`. For a variable that has no value there, and for all if `key` is a plain text, it
    is `key`, too.
    """
    others = key.values_by_variable if isinstance(key, ClientKey) else {}
    return {contract.provider.key_variable: str(key)} | {
        variable: others.get(variable, str(key)) for variable in contract.key_variables[1:]
    }


def read_secrets(contract: Contract) -> tuple[str, ...]:
    """Return all secret texts of a provider in the environment: keys, user ids, secrets that sign webhooks."""
    signatures = (o.webhook.signature for o in contract.operations.values() if o.webhook is not None)
    variables = [*contract.key_variables, *(one.secret_variable for one in signatures if one is not None)]
    values = (os.environ.get(variable, "").strip() for variable in dict.fromkeys(variables))
    return tuple(value for value in values if value)


def replace_key(key: str | None, new_key: str) -> str:
    """Return `new_key` with the other values that are sent along with `key`, such as a user id."""
    return ClientKey(new_key, key.values_by_variable) if isinstance(key, ClientKey) else new_key


class Credential(NamedTuple):
    """A header, query parameter or cookie that contains the key."""

    location: str
    """Where the credential is sent: "header", "query" or "cookie"."""
    name: str
    value: str


def build_credentials(operation: Operation, key: str) -> tuple[Credential, ...]:
    """Return the credentials for the first documented security requirement of `operation` that uses a key.

    Some providers need further values along with the key, such as a user id. `key` is sent in place of a missing one.
    """
    return _build_credentials_from_values(operation, tuple(read_values_by_variable(operation.contract, key).items()))


@functools.lru_cache(maxsize=256)
def _build_credentials_from_values(
    operation: Operation, variables_and_values: tuple[tuple[str, str], ...]
) -> tuple[Credential, ...]:
    contract, value_by_variable = operation.contract, dict(variables_and_values)
    requirement = next((requirement for requirement in operation.security if requirement), {})
    found = []
    for name in requirement:
        key_spec = contract.key_specs[name]
        value = value_by_variable[key_spec.key_variable or contract.provider.key_variable]
        found.append(_build_credential(contract.security_schemes[name], key_spec, value))
    return tuple(found)


def remove_credentials(request: Request, operation: Operation, key: str) -> Request:
    """Return `request` without the headers, cookies and query parameters that contain the key."""
    names: dict[str, set[str]] = {"header": set(), "query": set(), "cookie": set()}
    for credential in build_credentials(operation, key):
        names[credential.location].add(credential.name.lower())
    removed = names["header"] | ({"cookie"} if names["cookie"] else set())
    headers = tuple((name, value) for name, value in request.headers if name.lower() not in removed)
    url, mark, query = request.url.partition("?")
    kept = [part for part in query.split("&") if unquote(part.partition("=")[0]).lower() not in names["query"]]
    return msgspec.structs.replace(request, headers=headers, url=f"{url}{mark if kept else ''}{'&'.join(kept)}")


def _build_credential(security_scheme: Mapping[str, Any], key_spec: KeySpec, secret_value: str) -> Credential:
    if key_spec.aws_signature is not None:
        return Credential("header", "Authorization", f"{AWS_SIGNATURE_SCHEME} {secret_value}")
    if security_scheme.get("type") == "apiKey":
        location, name = str(security_scheme.get("in", "header")), str(security_scheme["name"])
        return Credential(location, name, f"{key_spec.key_prefix}{secret_value}")
    word = str(security_scheme.get("scheme", "Bearer"))
    if word.lower() == "basic":
        pair = secret_value if ":" in secret_value else f"{secret_value}:"
        return Credential("header", "Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    # The scheme is case-insensitive (RFC 9110, section 11.1), but some providers accept only "Bearer".
    return Credential("header", "Authorization", f"{'Bearer' if word.lower() == 'bearer' else word} {secret_value}")
