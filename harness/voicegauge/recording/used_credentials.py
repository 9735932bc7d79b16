"""Finds the values that an exchange uses as keys, tokens, cookies or passwords, so that they are masked everywhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from voicegauge.contract.contract import Contract
from voicegauge.model.exchange import Exchange, Headers, Request, Response
from voicegauge.recording.body_masking import BodyReader, mask_body, split_location
from voicegauge.recording.credentials import INVALID_API_KEY, MASK, is_credential_name, may_name_credential

MIN_SECRET_CHARACTERS = 8
"""Smallest number of characters of a value at the place of a key that counts as a secret. Shorter values, such as
"none" or "xxx", are placeholders."""
_AUTHORIZATION_HEADERS = frozenset({"authorization", "proxy-authorization"})
_COOKIE_HEADERS = frozenset({"cookie", "set-cookie"})
_SUBPROTOCOL_HEADER = "sec-websocket-protocol"
_MIN_SUBPROTOCOL_KEY_CHARACTERS = 16
"""Smallest number of characters of a subprotocol that may be a key. Names of subprotocols are shorter words."""
_COOKIE_ATTRIBUTES = frozenset({"path", "domain", "expires", "max-age", "samesite", "priority"})


def find_used_credentials(contract: Contract, exchange: Exchange, *, of_request_only: bool = False) -> list[str]:
    """Return the values in the places of credentials: headers, cookies, query parameters, and fields of bodies.

    Args:
        contract: contract of the provider, whose security schemes name the headers and parameters of its keys.
        exchange: an exchange that is not redacted yet.
        of_request_only: whether to leave out the response, in which services often send new cookies and sessions.
    """
    names = {str(scheme.get("name")).lower() for scheme in contract.security_schemes.values() if scheme.get("name")}
    request, response = exchange.request, exchange.response
    messages: tuple[Request | Response, ...] = (request,) if of_request_only else (request, response)
    found = [value for message in messages for value in find_credentials_in_headers(message.headers, names)]
    query = urlsplit(request.url).query
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower() in names or is_credential_name(name, allow_short_names=True) or may_name_credential(name):
            found.append(value)
    for message in messages:
        found += _find_credentials_in_body(message.find_header("content-type") or "", message.body, names)
    found += _find_credentials_in_messages(contract, exchange, names)
    return list(dict.fromkeys(filter(is_secret, found)))


def _find_credentials_in_messages(contract: Contract, exchange: Exchange, credential_names: set[str]) -> Iterator[str]:
    """Yield the keys in the messages of a client: at documented places, and in fields with the name of a key."""
    if exchange.socket is None:
        return
    operation = contract.socket_operations.get(exchange.operation)
    for message in exchange.socket.messages:
        if message.sender == "server" or message.is_binary:
            continue
        if operation is not None and operation.socket is not None:
            key = operation.socket.read_client_message(message.data).key
            yield from [key] if key is not None else []
        yield from _find_credentials_in_body("application/json", message.data, credential_names)


def find_credentials_in_headers(headers: Headers, credential_names: set[str]) -> Iterator[str]:
    """Yield the values that headers have in the places of credentials.

    Args:
        headers: the headers of a request or a response.
        credential_names: names of headers that have keys, in lower case.
    """
    for header_name, value in headers:
        name = header_name.lower()
        if name in _COOKIE_HEADERS:
            for part in value.split(";"):
                cookie, _, content = part.strip().partition("=")
                if cookie.lower() not in _COOKIE_ATTRIBUTES:
                    yield content
                    yield unquote_plus(content)
        elif name == _SUBPROTOCOL_HEADER:
            # A browser cannot set headers of a handshake, so that some services take the key as a subprotocol.
            parts = (part.strip() for part in value.split(","))
            yield from (part for part in parts if len(part) >= _MIN_SUBPROTOCOL_KEY_CHARACTERS)
        elif name in _AUTHORIZATION_HEADERS or name in credential_names or may_name_credential(name):
            scheme, _, token = value.strip().rpartition(" ")
            yield token
            if scheme.lower() == "basic":
                yield from _read_basic_credentials(token)


def _read_basic_credentials(encoded_credentials: str) -> Iterator[str]:
    """Yield the password of the Basic scheme (RFC 7617), and the user name, in which some services expect the key."""
    try:
        user, _, password = base64.b64decode(encoded_credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    yield password
    yield user


def _find_credentials_in_body(content_type: str, body: bytes, credential_names: set[str]) -> list[str]:
    found: list[str] = []

    def collect_secret(value: str, location: str) -> None:
        if any(may_name_credential(name) or name.lower() in credential_names for name in split_location(location)):
            found.append(value)

    mask_body(content_type, body, BodyReader(collect_secret))
    return found


def is_secret(text: str) -> bool:
    """Whether a value at the place of a credential may be one, and is neither short nor masked."""
    return len(text) >= MIN_SECRET_CHARACTERS and MASK not in text and text != INVALID_API_KEY
