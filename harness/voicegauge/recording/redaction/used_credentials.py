"""Finds the values that an exchange uses as keys, tokens, cookies or passwords, so that they are masked everywhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from voicegauge.contract import Contract
from voicegauge.model import Exchange, Headers
from voicegauge.recording.redaction.body_masking import mask_body
from voicegauge.recording.redaction.credentials import INVALID_API_KEY, MASK, is_credential_name

MIN_SECRET_CHARACTERS = 8
"""Smallest number of characters of a value at the place of a key that counts as a secret. Shorter values, such as
"none" or "xxx", are placeholders."""
_AUTHORIZATION_HEADERS = frozenset({"authorization", "proxy-authorization"})
_COOKIE_HEADERS = frozenset({"cookie", "set-cookie"})
_COOKIE_ATTRIBUTES = frozenset({"path", "domain", "expires", "max-age", "samesite", "priority"})


def find_used_credentials(contract: Contract, exchange: Exchange) -> list[str]:
    """Return the values in the places of credentials: headers, cookies, query parameters, and fields of bodies.

    Args:
        contract: contract of the provider, whose security schemes name the headers and parameters of its keys.
        exchange: an exchange that is not redacted yet.
    """
    names = {str(scheme.get("name")).lower() for scheme in contract.security_schemes.values() if scheme.get("name")}
    request, response = exchange.request, exchange.response
    found = [
        *_find_credentials_in_headers(request.headers, names),
        *_find_credentials_in_headers(response.headers, names),
    ]
    query = urlsplit(request.url).query
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower() in names or is_credential_name(name, allow_short_names=True):
            found.append(value)
    for content_type, body in (
        (request.find_header("content-type") or "", request.body),
        (response.find_header("content-type") or "", response.body),
    ):
        found += _find_credentials_in_body(content_type, body, names)
    return list(dict.fromkeys(filter(_is_secret, found)))


def _find_credentials_in_headers(headers: Headers, credential_names: set[str]) -> Iterator[str]:
    for header_name, value in headers:
        name = header_name.lower()
        if name in _COOKIE_HEADERS:
            for part in value.split(";"):
                cookie, _, content = part.strip().partition("=")
                if cookie.lower() not in _COOKIE_ATTRIBUTES:
                    yield content
                    yield unquote_plus(content)
        elif name in _AUTHORIZATION_HEADERS or name in credential_names or is_credential_name(name):
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

    def collect_secret(value: str, location: str) -> str:
        if any(is_credential_name(name) or name.lower() in credential_names for name in location.split("/") if name):
            found.append(value)
        return value

    mask_body(content_type, body, collect_secret)
    return found


def _is_secret(text: str) -> bool:
    return len(text) >= MIN_SECRET_CHARACTERS and MASK not in text and text != INVALID_API_KEY
