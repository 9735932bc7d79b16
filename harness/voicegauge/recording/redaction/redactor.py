"""Keeping secrets out of what is written: likely ones are masked, what cannot be masked stops the write."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl

import msgspec

from voicegauge.contract import Contract
from voicegauge.errors import DataError
from voicegauge.model import Exchange, Headers, Request, Response
from voicegauge.recording.bodies import mask_body
from voicegauge.recording.redaction.credentials import (
    BAD_KEY,
    MASK,
    find_credential,
    find_secret,
    looks_opaque,
    mask_credentials,
    mask_parameter,
    names_credential,
)

_SCHEME = re.compile(r"[A-Za-z-]{1,20} ")
"""The word before the key in an Authorization header."""
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
_OWN_HEADERS = "x-voicegauge-"
"""What voicegauge tells its own emulator."""
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_SHOWN = 120
"""Characters of a place."""
_MEND = "name the field to be masked with --mask, or leave the case out"


class Redactor:
    """Masks the exchanges of one provider, and refuses what it cannot mask."""

    def __init__(self, contract: Contract, secrets: Sequence[str] = (), mask: Iterable[str] = ()) -> None:
        """Headers and query parameters of the contract's security schemes are masked whole.

        Args:
            contract: its documented headers are kept.
            secrets: the keys in use; found in any form they are masked, or stop the write.
            mask: further names of fields, parameters and headers to mask.
        """
        self._secrets = tuple(secret for secret in secrets if secret)
        self._mask = frozenset(name.lower() for name in mask)
        schemes = [s for s in contract.security_schemes.values() if s.get("type") == "apiKey"]
        self._queries = [str(s.get("name")) for s in schemes if s.get("in") == "query"] + list(self._mask)
        self._keys = _KEY_HEADERS | {str(s.get("name")).lower() for s in schemes}
        kept = _USUAL_HEADERS | _documented_headers(contract)
        self._kept = {name for name in kept - self._keys - self._mask if not names_credential(name)}
        self.redactions: Counter[str] = Counter()
        """Places in which something was masked, with how often."""

    def exchange(self, exchange: Exchange) -> Exchange:
        """`exchange` with everything masked that is or looks like a secret."""
        request, response = self.request(exchange.request), exchange.response
        headers, body = self._message("response", response.headers, response.body)
        masked = Response(status=response.status, headers=headers, body=body)
        return msgspec.structs.replace(exchange, request=request, response=masked)

    def request(self, request: Request) -> Request:
        """`request` with everything masked that is or looks like a secret."""
        headers, body = self._message("request", request.headers, request.body)
        return Request(method=request.method, url=self._url(request.url, "request URL"), headers=headers, body=body)

    def _message(self, side: str, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        content_type = next((value for name, value in headers if name.lower() == "content-type"), "")

        def mask(value: str, place: str) -> str:
            return self._value(value, place, f"{side} body {place[:_SHOWN]}".strip())

        new_type, new_body = mask_body(content_type, body, mask)
        changed = {"content-type": new_type, "content-length": str(len(new_body))} if new_body != body else {}
        kept = ((name, changed.get(name.lower(), value)) for name, value in headers)
        return tuple((name, self._header(side, name.lower(), value)) for name, value in kept), new_body

    def _note(self, before: str, after: str, place: str) -> str:
        if before != after:
            self.redactions[self._text(place)] += 1
        return after

    def _value(self, value: str, inner: str, place: str) -> str:
        """What lies inside a field that is named as secrets are, is one, however deep."""
        if value and value != BAD_KEY and any(self._is_secret(name) for name in inner.split("/")):
            return self._note(value, MASK, place)
        return self._note(value, self._text(value), place)

    def _is_secret(self, name: str) -> bool:
        return names_credential(name) or name.lower() in self._mask

    def _text(self, text: str) -> str:
        for name in self._queries:
            text = mask_parameter(text, name)
        return mask_credentials(text, self._secrets)

    def _url(self, url: str, place: str) -> str:
        return url if BAD_KEY in url else self._note(url, self._text(url), place)

    def _header(self, side: str, name: str, value: str) -> str:
        place = f"{side} header {name}"
        if name in self._kept or name.startswith(_OWN_HEADERS) or BAD_KEY in value:
            return self._note(value, self._text(value), place) if BAD_KEY not in value else value
        word = _SCHEME.match(value) if name == "authorization" else None
        return self._note(value, f"{word[0]}{MASK}" if word else MASK, place)

    # What is left after masking

    def refuse(self, name: str, number: int, exchange: Exchange) -> None:
        """Refuse `exchange`, masked before, if anything in it still is or looks like a credential.

        Raises:
            DataError: says the place, never the secret; `name` is what is not written.
        """
        where = f"exchange {number} ({exchange.operation})"
        request, response = exchange.request, exchange.response
        self.refuse_bytes(name, f"{where}, URL", request.url.encode())
        for key, value in parse_qsl(request.url.partition("?")[2]):
            self._refuse_opaque(name, f"{where}, query parameter {key}", value)
        for side, message in (("request", request), ("response", response)):
            for key, value in message.headers:
                self.refuse_bytes(name, f"{where}, {side} header {key}", f"{key}: {value}".encode())
                self._refuse_opaque(name, f"{where}, {side} header {key}", value)
            self._refuse_body(name, f"{where}, {side} body", message)

    def _refuse_body(self, name: str, where: str, message: Request | Response) -> None:
        self.refuse_bytes(name, where, message.body)

        def look(value: str, place: str) -> str:
            self._refuse_opaque(name, f"{where} {place[:_SHOWN]}".strip(), value)
            return value

        mask_body(message.header("content-type") or "", message.body, look)

    def _refuse_opaque(self, name: str, where: str, value: str) -> None:
        if looks_opaque(value):
            raise DataError(f"{name} is not written: {where} holds what looks like a credential; {_MEND}")

    def refuse_bytes(self, name: str, where: str, data: bytes) -> None:
        """Refuse `data` if it holds a known key in any form, or what has the form of a key.

        Raises:
            DataError: it does; `where` names the place.
        """
        form = find_secret(data, self._secrets)
        if form is not None:
            raise DataError(f"{name} is not written: {where} holds a key ({form})")
        what = find_credential(data)
        if what is not None:
            raise DataError(f"{name} is not written: {where} holds what looks like {what}; {_MEND}")


def _documented_headers(contract: Contract) -> frozenset[str]:
    names = {*contract.provider.headers, *contract.limits.headers.values()}
    for operation in contract.operations.values():
        names |= {parameter.name for parameter in operation.parameters if parameter.place == "header"}
        for response in operation.responses.values():
            names |= set(response.headers)
    return frozenset(name.lower() for name in names)
