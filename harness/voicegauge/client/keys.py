"""Reads keys from the environment, adds keys and tokens to requests, and renews tokens."""

from __future__ import annotations

import asyncio
import base64
import functools
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote, urlencode

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.provider import KeySpec
from voicegauge.contract.operation import Operation
from voicegauge.errors import MissingKeyError, TransportError, UsageError
from voicegauge.formats.bodies import UnreadableBodyError, read_finite_number, read_json
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.masking import INVALID_API_KEY, mask_credentials
from voicegauge.transport.http import Transport, sign_for_aws
from voicegauge.transport.timing import Clock

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
    values = {variable: environment.get(variable, "").strip() for variable in contract.key_variables}
    for variable, value in values.items():
        if not value.isascii() or not value.isprintable() or " " in value:
            raise UsageError(f"{variable} has a space or another character that a key cannot have: set it again")
    if _accepts_requests_without_key(contract) and not values[contract.provider.key_variable]:
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
    return () if _accepts_requests_without_key(contract) and contract.provider.key_variable in missing else missing


def _accepts_requests_without_key(contract: Contract) -> bool:
    """Whether requests may be sent without a key: it is optional, or no security scheme says how one is sent."""
    return contract.provider.is_key_optional or not contract.key_specs


def list_secrets(key: str | None) -> tuple[str, ...]:
    """Return the secret texts of a key: the key, then the values that are sent along with it; empty for `None`."""
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
    """Return `new_key` with the other values that are sent along with `key`, such as a user id; `None` has none."""
    return ClientKey(new_key, key.values_by_variable) if isinstance(key, ClientKey) else new_key


class Credential(NamedTuple):
    """A header, query parameter or cookie that contains the key."""

    location: str
    """Where the credential is sent: "header", "query" or "cookie"."""
    name: str
    """Name of the header, query parameter or cookie."""
    value: str
    """The key, with what the security scheme puts before it, such as "Bearer "."""


def build_credentials(operation: Operation, key: str) -> tuple[Credential, ...]:
    """Return the credentials for the first documented security requirement of `operation` that uses a key.

    Some providers need further values along with the key, such as a user id. `key` is sent in place of a missing one.
    The result is empty if no requirement uses a key.
    """
    return _build_credentials_from_values(operation, tuple(read_values_by_variable(operation.contract, key).items()))


@functools.lru_cache(maxsize=256)
def _build_credentials_from_values(
    operation: Operation, variables_and_values: tuple[tuple[str, str], ...]
) -> tuple[Credential, ...]:
    contract, value_by_variable = operation.contract, dict(variables_and_values)
    requirement = next((requirement for requirement in operation.security if requirement), {})
    credentials = []
    for name in requirement:
        key_spec = contract.key_specs[name]
        value = value_by_variable[key_spec.key_variable or contract.provider.key_variable]
        credentials.append(_build_credential(contract.security_schemes[name], key_spec, value))
    return tuple(credentials)


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


# Adds tokens and signatures, which are computed from keys, when requests are sent.


TOKEN_EXPIRY_MARGIN_S = 30.0
"""A token is replaced this number of seconds before it expires, so that it is still valid when a request arrives."""
TOKEN_REQUEST_OPERATION_ID = "(access token)"  # noqa: S105 - an operation of no contract
"""Operation id of the exchanges that request an access token, which is an operation of no contract."""


class _ComputedCredentialScheme(NamedTuple):
    """A security scheme whose credential is computed from the key: an access token, or a signature."""

    name: str
    """Name of the security scheme in the contract."""
    key_spec: KeySpec
    token_url: str | None
    """URL at which OAuth 2 tokens are requested; `None` if the scheme signs requests instead."""
    scopes: tuple[str, ...]
    """The OAuth 2 scopes that the operation needs."""


class _AccessToken(NamedTuple):
    """An OAuth 2 access token, and the time on the clock at which it is to be replaced, just before it expires."""

    access_token: str
    expires_at_s: float


class RequestAuthenticator:
    """Authenticates the requests of one connection at the moment when they are sent."""

    def __init__(
        self, contract: Contract, transport: Transport, clock: Clock, replace_base_url: Callable[[str], str]
    ) -> None:
        """Create an authenticator that has no tokens yet.

        Args:
            contract: the contract of the provider.
            transport: sends the requests for tokens.
            clock: tells when a token has expired.
            replace_base_url: function that puts the base URL that the user has set into a URL of the contract.
        """
        self._contract, self._transport, self._clock = contract, transport, clock
        self._replace_base_url = replace_base_url
        self._credential_by_placeholder: dict[str, tuple[str, _ComputedCredentialScheme]] = {}
        """The key and the scheme from which a credential is computed, by the placeholder in requests."""
        self._tokens: dict[str, _AccessToken] = {}
        self._token_lock = asyncio.Lock()

    def get_key_or_placeholder(self, operation: Operation, key: str) -> str:
        """Return `key`, or a placeholder if `operation` needs a credential that is computed from the key."""
        scheme = _find_computed_credential_scheme(operation)
        # An invalid key, sent on purpose, gets no token: it is sent in place of one, so that the service rejects it.
        if scheme is None or (scheme.token_url is not None and key == INVALID_API_KEY):
            return key
        for text, key_and_scheme in self._credential_by_placeholder.items():
            if key_and_scheme == (key, scheme):
                return text
        # A number for each key and scheme: recorded requests do not contain the token, and equal ones stay equal.
        number = len(self._credential_by_placeholder) + 1
        text = INVALID_API_KEY if key == INVALID_API_KEY else f"{CREDENTIAL_PLACEHOLDER_PREFIX}-{number}"
        self._credential_by_placeholder[text] = (key, scheme)
        return text

    async def authenticate(self, request: Request) -> Request:
        """Return the request to send, in which a token or signature replaces the placeholder, if there is one.

        Raises:
            UsageError: the credentials for a token were rejected.
            TransportError: there was no response to the request for a token; the request itself was not sent.
        """
        text = self._find_credential_placeholder(request)
        if text is None:
            return request
        key, scheme = self._credential_by_placeholder[text]
        values = read_values_by_variable(self._contract, key)
        secret, key_id = (
            values[variable or self._contract.provider.key_variable]
            for variable in (scheme.key_spec.key_variable, scheme.key_spec.id_variable)
        )
        if scheme.key_spec.aws_signature is not None:
            aws = scheme.key_spec.aws_signature
            return sign_for_aws(
                request, access_key_id=key_id, secret_key=secret, region=aws.region, service=aws.service
            )
        async with self._token_lock:  # one token for requests that are sent at the same time
            token = self._tokens.get(text)
            if token is None or token.expires_at_s <= self._clock.monotonic():
                token = self._tokens[text] = await self._request_access_token(scheme, key_id, secret)
        headers = tuple((name, value.replace(text, token.access_token)) for name, value in request.headers)
        return msgspec.structs.replace(request, headers=headers)

    def forget_access_token(self, request: Request) -> bool:
        """Forget the token of a rejected request; return whether the request had a token."""
        text = self._find_credential_placeholder(request)
        return text is not None and self._tokens.pop(text, None) is not None

    def hide_credentials(self, exchange: Exchange, request_with_placeholder: Request) -> Exchange:
        """Return `exchange` without tokens.

        Its request is replaced by `request_with_placeholder`, and tokens in its response are masked.
        """
        if not self._tokens and exchange.request is request_with_placeholder:
            return exchange
        headers, body = exchange.response.headers, exchange.response.body
        for text, token in self._tokens.items():
            headers = tuple((name, value.replace(token.access_token, text)) for name, value in headers)
            body = body.replace(token.access_token.encode(), text.encode())
        response = exchange.response
        if (headers, body) != (response.headers, response.body):
            response = msgspec.structs.replace(response, headers=headers, body=body)
        return msgspec.structs.replace(exchange, request=request_with_placeholder, response=response)

    def _find_credential_placeholder(self, request: Request) -> str | None:
        value = request.find_header("authorization") or ""
        return next((text for text in self._credential_by_placeholder if value.endswith(f" {text}")), None)

    async def _request_access_token(
        self, scheme: _ComputedCredentialScheme, client_id: str, client_secret: str
    ) -> _AccessToken:
        assert scheme.token_url is not None, "only called for OAuth 2"
        url = self._replace_base_url(scheme.token_url)
        pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"  # RFC 6749, section 2.3.1
        fields = {"grant_type": "client_credentials"} | ({"scope": " ".join(scheme.scopes)} if scheme.scopes else {})
        request = Request(
            method="POST",
            url=url,
            headers=(
                ("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"),
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Accept", "application/json"),
            ),
            body=urlencode(fields).encode(),
        )
        try:
            exchange = await self._transport.send(
                request, provider_id=self._contract.id, operation_id=TOKEN_REQUEST_OPERATION_ID
            )
        except TransportError as error:
            # Without the cause, whose message may quote the secret.
            shown = mask_credentials(str(error), (client_secret, client_id))
            raise TransportError(f"no access token: {shown}", request_was_sent=False) from None
        token = _read_access_token(exchange.response, self._clock.monotonic())
        if token is None:
            variables = " and ".join(self._contract.key_variables)
            raise UsageError(
                f"{self._contract.id}: {url} gave no access token (status {exchange.response.status}): "
                f"check {variables}"
            )
        return token


def _read_access_token(response: Response, now_s: float) -> _AccessToken | None:
    if not 200 <= response.status < 300:
        return None
    try:
        body = read_json(response.body)
    except UnreadableBodyError:
        return None
    text = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text or " " in text:
        return None
    stated = body.get("expires_in")
    valid_s = read_finite_number(float(stated) if isinstance(stated, str) and stated.isdecimal() else stated)
    return _AccessToken(text, math.inf if valid_s is None else now_s + max(valid_s - TOKEN_EXPIRY_MARGIN_S, 0.0))


@functools.lru_cache(maxsize=256)
def _find_computed_credential_scheme(operation: Operation) -> _ComputedCredentialScheme | None:
    """Return the scheme whose credential is computed from the key, in the first security requirement of `operation`.

    Return `None` if requests contain the key itself, or no key.
    """
    requirement = next((requirement for requirement in operation.security if requirement), {})
    for name in requirement:
        key, scheme = operation.contract.key_specs[name], operation.contract.security_schemes[name]
        token_url = scheme.get("flows", {}).get("clientCredentials", {}).get("tokenUrl")
        if key.aws_signature is not None or (scheme.get("type") == "oauth2" and token_url):
            return _ComputedCredentialScheme(name, key, token_url, tuple(requirement[name]))
    return None
