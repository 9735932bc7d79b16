"""Keeping secrets out of what is written: known keys are refused, likely ones are masked."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

import msgspec

from voicegauge.contract import Contract
from voicegauge.model import Exchange, Request, Response
from voicegauge.model.exchange import Headers

MASK = "[redacted]"

_NAMES = r"[\w.-]*(?:api[_-]?key|access[_-]?key|subscription[_-]?key|token|signature|secret|password|credential)"
_QUERY_NAMES = rf"(?:{_NAMES}|key|sig|auth|policy|[\w.-]*key[_-]?(?:pair[_-]?)?id)"
"""Signed URLs use short names that mean other things elsewhere: a song has a "key" too."""
_QUERY = re.compile(rf"([?&;]{_QUERY_NAMES}=)[^&#\s\"'<>\\]+", re.IGNORECASE)
_FIELD = re.compile(rf"(\"{_NAMES}\"\s*:\s*\")(?:[^\"\\]|\\.)+", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_PREFIXED = re.compile(
    r"\b(?:(?:sk|pk|rk|xi|ghp|hf|r8)[-_][A-Za-z0-9_-]{12,}|(?:AKIA|ASIA)[0-9A-Z]{16})(?![A-Za-z0-9])"
)
"""How issuers begin their keys."""
_SCHEME = re.compile(r"[A-Za-z-]{1,20} ")
"""The word before the key in an Authorization header."""
_USER = re.compile(r"(https?://)[^/\s\"'@?#]+@", re.IGNORECASE)


def mask_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with `secrets`, and everything that looks like a credential, replaced by `MASK`.

    Looks like one: "Bearer ...", "sk-...", a user name in a URL, a query parameter or a
    JSON field named as keys, tokens and signatures are.
    """
    for secret in secrets:
        for _, form in _text_forms(secret):
            text = text.replace(form, MASK)
    text = _USER.sub(rf"\1{MASK}@", text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = _FIELD.sub(rf"\1{MASK}", text)
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    return _PREFIXED.sub(MASK, text)


def mask_parameter(url: str, name: str) -> str:
    """`url` with the query parameter `name` masked, whatever it looks like."""
    return re.sub(rf"([?&]{re.escape(name)}=)[^&#]*", rf"\1{MASK}", url)


def find_secret(data: bytes, secrets: Iterable[str]) -> str | None:
    """The form in which one of `secrets` stands in `data`; `None` where none does.

    Looked for as it is, as JSON writes it, URL-encoded, and in base64 at each of the
    three alignments, with either alphabet.
    """
    for secret in secrets:
        for form, needle in _text_forms(secret):
            if needle.encode() in data:
                return form
        for digits in _base64_forms(secret.encode()):
            if digits in data:
                return "base64"
    return None


def _text_forms(secret: str) -> Iterator[tuple[str, str]]:
    if not secret:
        return
    yield "as it is", secret
    yield "as JSON", json.dumps(secret)[1:-1]
    yield "URL-encoded", quote(secret, safe="")
    yield "URL-encoded", quote_plus(secret)
    yield "URL-encoded", re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quote(secret, safe=""))


_MIN_BASE64 = 6
"""A shorter needle would be found in any audio by chance."""


def _base64_forms(secret: bytes) -> Iterator[bytes]:
    """What base64 makes of `secret` wherever it begins, less the digits its neighbours have a part in."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)
        whole_bits = 8 * (shift + len(secret))
        needle = encoded[(8 * shift + 5) // 6 : whole_bits // 6]
        if len(needle) >= _MIN_BASE64:
            yield needle
            yield needle.replace(b"+", b"-").replace(b"/", b"_")


_USUAL_HEADERS = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-ranges",
        "age",
        "allow",
        "cache-control",
        "connection",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "date",
        "etag",
        "expires",
        "host",
        "last-modified",
        "location",
        "retry-after",
        "server",
        "transfer-encoding",
        "user-agent",
        "vary",
    ]
)
"""Headers that carry no secret by their nature; their values are still searched and masked."""
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


class Redactor:
    """Masks the exchanges of one provider."""

    def __init__(self, contract: Contract, secrets: Sequence[str] = ()) -> None:
        """Headers and query parameters of the contract's security schemes are masked whole."""
        self._secrets = secrets
        schemes = [s for s in contract.security_schemes.values() if s.get("type") == "apiKey"]
        self._queries = [str(s.get("name")) for s in schemes if s.get("in") == "query"]
        keys = _KEY_HEADERS | {str(s.get("name")).lower() for s in schemes}
        self._kept = (_USUAL_HEADERS | _documented_headers(contract)) - keys

    def exchange(self, exchange: Exchange) -> Exchange:
        """`exchange` with everything masked that is or looks like a secret."""
        request, response = exchange.request, exchange.response
        masked_request = Request(
            method=request.method,
            url=self._url(request.url),
            headers=self._headers(request.headers),
            body=self._body(request.body),
        )
        masked_response = Response(
            status=response.status, headers=self._headers(response.headers), body=self._body(response.body)
        )
        return msgspec.structs.replace(exchange, request=masked_request, response=masked_response)

    def _url(self, url: str) -> str:
        for name in self._queries:
            url = mask_parameter(url, name)
        return mask_credentials(url, self._secrets)

    def _headers(self, headers: Headers) -> Headers:
        return tuple((name, self._header(name.lower(), value)) for name, value in headers)

    def _header(self, name: str, value: str) -> str:
        if name in self._kept:
            return self._url(value)
        word = _SCHEME.match(value) if name == "authorization" else None
        return f"{word[0]}{MASK}" if word else MASK

    def _body(self, body: bytes) -> bytes:
        """Text is masked; anything else is left, and searched for known secrets before it is written."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return body
        masked = mask_credentials(text, self._secrets)
        return body if masked == text else masked.encode()


def _documented_headers(contract: Contract) -> frozenset[str]:
    names = {*contract.provider.headers, *contract.limits.headers.values()}
    for operation in contract.operations.values():
        names |= {parameter.name for parameter in operation.parameters if parameter.place == "header"}
        for response in operation.responses.values():
            names |= set(response.headers)
    return frozenset(name.lower() for name in names)
